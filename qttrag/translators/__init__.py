"""Translating passages and questions."""
