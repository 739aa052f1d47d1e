"""Detection of the language of a text."""
