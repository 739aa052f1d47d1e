"""Vector stores: collections of passages, searched by vector."""
