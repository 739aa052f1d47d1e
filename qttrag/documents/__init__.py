"""Reads files that people write: PDF, Word, slides, tables, web pages, books, Markdown, text, e-mail."""
