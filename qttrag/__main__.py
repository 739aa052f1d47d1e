"""`python -m qttrag` is `qttrag`."""

from qttrag.cli import main

main()
