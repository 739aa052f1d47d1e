"""What happens between the top passages and the answer: one function a strategy, one file a function."""
