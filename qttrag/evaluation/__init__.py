"""Measuring answers: metrics now; suites, runner and report come with the evaluation harness."""
