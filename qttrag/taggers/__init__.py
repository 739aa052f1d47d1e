"""Quality scores of translations."""
