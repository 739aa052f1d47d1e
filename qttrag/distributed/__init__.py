"""Builds whose work is spread over a cluster."""
