"""Builds and runs of suites whose work is spread over a cluster."""
