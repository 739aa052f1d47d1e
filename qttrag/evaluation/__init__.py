"""Evaluation: datasets, metrics, suites, runs and their reports."""
