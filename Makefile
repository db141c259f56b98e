# bizrq: `make demo` shows it, `make test` proves it. Both set up what they need.

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-fast check format lock chart bench bench-quick build clean

help:  ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: $(VENV)/.ready  ## Make .venv with the pinned requirements
$(VENV)/.ready: requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "python 3.11 or later is needed; this is $$($(PYTHON) --version). Set PYTHON=python3.11 or install it."; exit 1; }
	@echo "setting up $(VENV) (about a minute)"
	@test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	@$(RUN) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: setup  ## A tour on a real control plane; KEEP=1 leaves it running
	@$(RUN) -m testbed.demo

test: setup  ## All tests, fast ones first, end-to-end ones on a real control plane
	@$(RUN) -m testbed build
	@$(RUN) -m pytest

test-fast: setup  ## Only the tests that need no control plane
	@$(RUN) -m pytest -m "not e2e"

check: setup  ## Lint, formats, types and layers
	@$(VENV)/bin/ruff check
	@$(VENV)/bin/ruff format --check --quiet || { echo "run: make format"; exit 1; }
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports --no-cache

format: setup  ## Write the code as ruff formats it
	@$(VENV)/bin/ruff format
	@$(VENV)/bin/ruff check --fix

lock: setup  ## Pin the requirements anew from pyproject.toml
	@set -e; lock() { $(VENV)/bin/uv pip compile --quiet --generate-hashes --no-header --no-emit-index-url --no-annotate \
	    --universal --python-version 3.11 "$$@"; }; \
	lock --upgrade pyproject.toml -o requirements/runtime.txt; \
	lock --upgrade pyproject.toml --extra dev -o requirements/dev.txt; \
	lock --upgrade --group build -c requirements/dev.txt -o requirements/build.txt

chart:  ## Give the chart the CRD, and the kinds of workload that the package knows
	@cp operator/bizrq/workloads/built_in.yaml charts/bizrq/files/kinds.yaml
	@cp crds/quota.bizrq.io_bizgroupresourcequotas.yaml charts/bizrq/files/crd.yaml

bench: setup  ## All benchmarks, with their tables in docs/performance.md
	@$(RUN) -m benchmarks all

bench-quick: setup  ## The benchmarks in small, under 3 minutes
	@$(RUN) -m benchmarks all --quick

build: setup  ## The wheel, in dist/
	@$(RUN) -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .

clean:  ## Remove what was made here; the test bed's binaries stay in their cache
	@rm -rf $(VENV) build dist operator/bizrq.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
