"""Starts and stops vLLM for the models of a deployment."""
