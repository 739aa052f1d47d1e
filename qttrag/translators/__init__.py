"""Translation of passages and questions."""
