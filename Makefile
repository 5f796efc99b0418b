# Needs Python 3.11 or newer, make and git. The first call creates a virtual environment in .venv; later calls install
# again only if the dependencies have changed.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
OUT ?= demo-output
WORKERS ?= 2
PYTEST_ARGS ?=

BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DOCS_STAMP := $(VENV)/.installed-docs
MUTATION_STAMP := $(VENV)/.installed-mutation

# The workers of pytest-xdist share the cores, so that each uses one thread. `make demo` and `make bench` use all cores.
ONE_THREAD := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 NUMBA_NUM_THREADS=1

.DEFAULT_GOAL := help
.PHONY: help demo test test-fast lint audit mutants format bench docs clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "no python3.11 or python3 found: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(PYTHON) is older than Python 3.11: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[test,lint]"
	@touch $@

demo: $(STAMP) ## simulate a section, analyze it and print how much of the truth was recovered
	$(BIN)/spacex demo -o $(OUT)

test: $(STAMP) ## run all tests
	$(ONE_THREAD) $(BIN)/python -m pytest -n $(WORKERS) $(PYTEST_ARGS)

test-fast: $(STAMP) ## run the tests that are not marked slow
	$(ONE_THREAD) $(BIN)/python -m pytest -n $(WORKERS) -m "not slow" $(PYTEST_ARGS)

lint: $(STAMP) ## check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy src
	$(BIN)/bandit --quiet --recursive --configfile pyproject.toml src

audit: $(STAMP) ## look up known vulnerabilities of the dependencies; skipped if the service cannot be reached
	$(BIN)/python .ci/audit.py $(BIN)/pip-audit

$(MUTATION_STAMP): $(STAMP)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[mutation]"
	@touch $@

mutants: $(MUTATION_STAMP) ## run mutation tests of the core modules (20 minutes)
	rm -rf mutants
	PATH="$(abspath $(BIN)):$$PATH" $(ONE_THREAD) $(BIN)/mutmut run --max-children $(WORKERS)
	$(BIN)/mutmut export-cicd-stats
	$(BIN)/python .ci/mutants.py mutants/mutmut-cicd-stats.json

format: $(STAMP) ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMP) ## measure speed and memory and compare them with the goals (3 minutes on an idle machine)
	$(BIN)/python -m benchmarks.speed

# A separate environment stamp: only documentation builds need these packages.
$(DOCS_STAMP): $(STAMP)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[docs]"
	@touch $@

docs: $(DOCS_STAMP) ## build the documentation into docs/_build/html, running its notebooks
	$(ONE_THREAD) $(BIN)/python -m sphinx -W --keep-going -b html docs docs/_build/html

clean: ## remove everything that make created
	rm -rf $(VENV) $(OUT) mutants docs/_build docs/api/generated build dist .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
