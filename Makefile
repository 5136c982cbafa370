# The same words locally and in CI. Each target works alone on a fresh machine with Python 3.11, make and a package index.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help env demo test check bench docs lock clean

# The first interpreter that runs and is new enough; name another with `make env PYTHON=/path/to/python3.11`.
PYTHON ?= $(shell for python in python3.11 python3 python3.12 python3.13; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$python" && break; done)

# Threads that wait for each other busily slow every test down where other work shares the cores.
export OMP_WAIT_POLICY ?= PASSIVE

BIN := .venv/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check --no-input
LOCK_BIN := build/lock/bin

help: ## Say what there is
	@grep -hE '^[a-z]+:.* ## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.* ## /make \1\t/' | expand -t 14

env: .venv/installed ## Create .venv from requirements.lock and install channelwise into it

# Made anew whenever the pins change, so that nothing outlives its pin; an interrupted install starts over.
.venv/pinned: requirements.lock
	@test -n "$(PYTHON)" || { echo "make: found no Python 3.11 or newer; install one, or name it: make env PYTHON=/path/to/python3.11" >&2; exit 2; }
	@echo "env: creating .venv with $$($(PYTHON) --version); installing $$(grep -c '==' $<) pinned packages (a minute or two)"
	@$(PYTHON) -m venv --clear .venv
	@$(PIP) install --require-hashes --requirement $<
	@touch $@

.venv/installed: .venv/pinned pyproject.toml
	@echo "env: installing channelwise itself"
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@
	@echo "env: ready; use it with: . .venv/bin/activate"

demo: env ## Run the whole job on real bank customers and on a simulated retailer
	@$(BIN)/channelwise demo bank
	@$(BIN)/channelwise demo retailer

test: env ## Run the tests, in two processes
	@OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile

check: env ## Lint, formatting, strict types, one-way imports
	@echo "check: ruff" && $(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@echo "check: mypy" && $(BIN)/mypy
	@echo "check: imports" && $(BIN)/lint-imports --no-logo

bench: env ## Run every benchmark
	@for file in benchmarks/[a-z]*.py; do \
		name=$${file#benchmarks/}; echo "bench: python -m benchmarks.$${name%.py}"; \
		$(BIN)/python -m "benchmarks.$${name%.py}"; done

docs: env ## Write docs/commands.md from the commands' own help
	@$(BIN)/typer channelwise.command utils docs --name channelwise --title "Commands" --output docs/commands.md

# For every Python from 3.11.0 on and every system, whichever resolves: what only some need carries a marker.
lock: ## Pin every dependency of pyproject.toml anew in requirements.lock
	@test -n "$(PYTHON)" || { echo "make: found no Python 3.11 or newer; install one, or name it: make lock PYTHON=/path/to/python3.11" >&2; exit 2; }
	@echo "lock: resolving (a minute or two)"
	@$(PYTHON) -m venv build/lock
	@$(LOCK_BIN)/python -m pip --quiet --disable-pip-version-check install uv==0.13.9
	@$(LOCK_BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" \
		--extra train --extra serving --extra spark --extra postgres --extra redis --extra bench --extra dev \
		--output-file requirements.lock pyproject.toml

clean: ## Remove the environment and what tools left behind
	@rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
