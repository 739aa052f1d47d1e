"""Language models, in process and behind servers."""
