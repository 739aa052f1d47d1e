"""Telling the language of a text."""
