"""Retrievers: the passages of a question."""
