# Everything sets itself up: `make demo` and `make test` work in a fresh clone.
PYTHON ?= python3
BIN := .venv/bin
WORKERS ?= 3
export TRIAGE_TEST_NO_SKIP ?=

.PHONY: demo test lint check servers wheel clean
.DEFAULT_GOAL := help

help:
	@echo "make demo    the whole service on an IMAP and an SMTP server of its own, in under a minute"
	@echo "make test    lint, types, import contracts, the catalog's own tests and all tests"
	@echo "make wheel   the wheel, in dist/"

.venv: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch .venv

demo: .venv
	$(BIN)/triage demo

# The servers are installed meanwhile; the tests wait more than they work.
test: .venv
	@$(MAKE) --no-print-directory --jobs 2 --output-sync servers lint check
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist worksteal

lint: .venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check: .venv
	$(BIN)/triage check --mutate --config fixtures/triage.toml

# Real servers for the tests. Only root installs anything, and nothing is left running.
servers:
	@tests/servers/install

wheel: .venv
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .

clean:
	rm -rf .venv dist demo-out .mypy_cache .ruff_cache .pytest_cache
