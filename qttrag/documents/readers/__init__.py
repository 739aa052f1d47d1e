"""A file per type of document: `read(path, limits) -> Document`. They run in the reader process only."""
