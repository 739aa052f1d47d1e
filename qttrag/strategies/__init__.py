"""The strategies between retrieval and answer: one function each, one file per function."""
