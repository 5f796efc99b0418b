# `make demo` and `make test` do everything on a machine that has only Python 3.11, make and git.
# The first call makes a virtual environment in .venv; later calls install again only when what is needed changed.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
OUT ?= demo-output
WORKERS ?= 2
PYTEST_ARGS ?=

BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DOCS_STAMP := $(VENV)/.installed-docs
MUTATION_STAMP := $(VENV)/.installed-mutation

# The workers of pytest-xdist share the cores: one thread each. `make demo` and `make bench` use them all.
ONE_THREAD := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1

.DEFAULT_GOAL := help
.PHONY: help demo test lint audit mutants format bench docs clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "no python3.11 or python3 found: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(PYTHON) is older than Python 3.11: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[test,lint]"
	@touch $@

demo: $(STAMP) ## simulate a section, run the whole job on it, print what was recovered
	$(BIN)/spacex demo -o $(OUT)

test: $(STAMP) ## run the tests
	$(ONE_THREAD) $(BIN)/python -m pytest -n $(WORKERS) $(PYTEST_ARGS)

lint: $(STAMP) ## check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy src
	$(BIN)/bandit --quiet --recursive --configfile pyproject.toml src

audit: $(STAMP) ## look up what is known of the dependencies' weaknesses; skipped where the service cannot be reached
	$(BIN)/python .ci/audit.py $(BIN)/pip-audit

$(MUTATION_STAMP): $(STAMP)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[mutation]"
	@touch $@

mutants: $(MUTATION_STAMP) ## change the heart of the code in 3,000 small ways, count those that a test sees (20 minutes)
	rm -rf mutants
	PATH="$(abspath $(BIN)):$$PATH" $(ONE_THREAD) $(BIN)/mutmut run --max-children $(WORKERS)
	$(BIN)/mutmut export-cicd-stats
	$(BIN)/python .ci/mutants.py mutants/mutmut-cicd-stats.json

format: $(STAMP) ## put the code in its house style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMP) ## measure speed and memory at the size of the goals, say which are met (3 minutes on an idle machine)
	$(BIN)/python -m benchmarks.speed

# Apart from the rest: only those who write documentation need what builds it.
$(DOCS_STAMP): $(STAMP)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[docs]"
	@touch $@

docs: $(DOCS_STAMP) ## build the documentation, notebooks run anew, into docs/_build/html
	$(ONE_THREAD) $(BIN)/python -m sphinx -W --keep-going -b html docs docs/_build/html

clean: ## remove everything that make made
	rm -rf $(VENV) $(OUT) mutants docs/_build docs/api/generated build dist .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
