"""Rerankers: the order of the hits."""
