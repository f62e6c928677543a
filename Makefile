# `make demo` and `make test` install what they need into .venv. They need Python 3.11+ and make; they
# use no network besides the package index. `make PYTHON=python3.12 demo` uses another Python.
# DAGSTER_HOME and DATASET_ASSETS_ROOT are taken from the environment if they are set there.

PYTHON ?= python3
UI_PORT ?= 3000
PYTEST_ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
MADE_VENV := $(VENV)/.made
INSTALLED_DEMO := $(VENV)/.installed-demo
INSTALLED_DEV := $(VENV)/.installed-dev

ifndef DAGSTER_HOME
DAGSTER_HOME := $(CURDIR)/.dagster
INSTANCE := .dagster/dagster.yaml
endif
ifndef DATASET_ASSETS_ROOT
DATASET_ASSETS_ROOT := $(CURDIR)/data
endif
export DAGSTER_HOME DATASET_ASSETS_ROOT
unexport PYTHONDONTWRITEBYTECODE  # without bytecode every Dagster process takes twice as long to start

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo ui test test-slow check bench clean

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile

demo: $(INSTALLED_DEMO) $(INSTANCE) ## download the demo dataset through Dagster, from a photo server on this machine
	$(BIN)/dataset-assets demo

ui: $(INSTALLED_DEMO) $(INSTANCE) ## open the Dagster UI and daemon on 127.0.0.1, port UI_PORT
	$(BIN)/dagster dev -w workspace.yaml -h 127.0.0.1 -p $(UI_PORT)

test: $(INSTALLED_DEV) ## run the tests except the slow ones, in parallel; PYTEST_ARGS are passed on
	$(BIN)/python -m pytest -n auto --dist worksteal -m "not slow and not alone" $(PYTEST_ARGS)
	$(BIN)/python -m pytest -m alone $(PYTEST_ARGS) || [ $$? -eq 5 ]  # 5: PYTEST_ARGS chose none

test-slow: $(INSTALLED_DEV) ## run the slow crash and scale tests
	$(BIN)/python -m pytest -m slow --timeout 3600 $(PYTEST_ARGS)

check: $(INSTALLED_DEV) ## format, lint, types, floors
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(INSTALLED_DEV) ## compare with img2dataset on one local server
	$(BIN)/python benchmarks/download.py

clean: ## remove .venv, caches and build output; data/ and .dagster/ stay
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(MADE_VENV):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed, but '$(PYTHON)' is: $$($(PYTHON) --version 2>&1). Choose another one: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || { echo "'$(PYTHON)' has no venv. On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(INSTALLED_DEMO): $(MADE_VENV) pyproject.toml constraints.txt
	$(PIP) install --quiet --compile -c constraints.txt -e '.[demo]'
	@touch $@

$(INSTALLED_DEV): $(MADE_VENV) pyproject.toml constraints.txt
	$(PIP) install --quiet --compile -c constraints.txt torch  # first and alone, so that a build that you chose, such as one for CPU, stays
	$(PIP) install --quiet --compile -c constraints.txt -e '.[dev]'
	@touch $@ $(INSTALLED_DEMO)

.dagster/dagster.yaml: dagster.yaml
	@mkdir -p .dagster
	@cp $< $@
