"""Collections of passages, built once and searched."""
