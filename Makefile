# make setup   a virtual environment with everything, from nothing
# make demo    questions in four languages, answered by small models of our own (demo/README.md)
# make test    the test suite
# make check   style and types
PYTHON ?= python3.11
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: setup demo test check

$(VENV)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt torch
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[models,eval,dev]'
	touch $@

setup: $(VENV)/.ready

demo: $(VENV)/.ready
	$(BIN)/python -m demo.corpus
	for lang in en ko fi zh; do $(BIN)/qttrag index build demo-$$lang --overwrite || exit 1; done
	$(BIN)/python -m demo.tour

test: $(VENV)/.ready
	$(BIN)/pytest

check: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
