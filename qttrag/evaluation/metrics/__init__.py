"""Measures of a prediction against its references, each best over the references."""
