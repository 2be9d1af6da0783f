# Everything sets itself up: `make demo` and `make test` work in a fresh clone.
PYTHON ?= python3
BIN := .venv/bin
export TRIAGE_TEST_NO_SKIP ?=

.PHONY: demo test lint servers wheel clean
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

test: .venv servers lint
	$(BIN)/triage check --mutate --config fixtures/triage.toml
	$(BIN)/python -m pytest

lint: .venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Real servers for the tests. Only root installs anything, and nothing is left running.
servers:
	@tests/servers/install

wheel: .venv
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .

clean:
	rm -rf .venv dist demo-out .mypy_cache .ruff_cache .pytest_cache
