"""Ordering what was found."""
