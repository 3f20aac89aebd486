# The commands of the README. Everything is installed into $(VENV), from wheels whose hashes requirements.lock names.

PYTHON ?= python3
VENV ?= .venv
UV ?= uv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
SHELL := /bin/bash

.PHONY: demo test fuzz lint format lock

demo: $(READY) ## a whole Portico on loopback; make demo ARGS="--port 9080"
	@exec $(BIN)/portico dev $(ARGS)

test: $(READY) ## the whole test suite; make test ARGS="tests/store -k limiter"
	@# A restarted worker of xdist 3.8 would run the test that hung again, and the run would never end.
	@$(BIN)/python -m pytest -n 2 --dist loadfile --max-worker-restart 0 $(ARGS)

fuzz: $(READY) ## strange bytes for an hour, new ones each time; make fuzz ARGS="--seconds 600 --only answers"
	@$(BIN)/python -m tests.fuzz $(ARGS)

lint: $(READY) ## format, style, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(READY) ## rewrite what lint complains of, where that is safe
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: ## bring requirements.lock up to date with pyproject.toml (needs uv); LOCK="--upgrade" takes new versions
	$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-emit-find-links --custom-compile-command "make lock" --extra dev --group test --group build \
		$(LOCK) --output-file requirements.lock pyproject.toml

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Portico needs Python 3.11 or newer, and $(PYTHON) is not: make PYTHON=python3.12 ..." >&2; exit 2; }
	@echo "Installing into $(VENV) ..."
	@$(PYTHON) -m venv $(VENV) || \
		{ echo "$(PYTHON) has no venv module that works; on Debian: apt install python3-venv" >&2; exit 2; }
	@$(BIN)/python -m pip install --quiet --require-hashes --only-binary :all: -r requirements.lock
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@bash deploy/embedded-redis $(BIN)/python
	@touch $@
