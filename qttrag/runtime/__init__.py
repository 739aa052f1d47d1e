"""Batches, the cache, and tasks: what every stage runs on."""
