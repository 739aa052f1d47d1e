"""Judges of whether a text supports a claim, in any two languages; a file per kind."""
