# Two commands on a fresh machine: `make train EXP=gd_mining` and `make test`. Each builds .venv by itself.
#   make train EXP=<name> [SCALE=laptop|paper|h200] [DATA=<folder>] [ARGS="key=value ..."]
PYTHON ?= python3
EXP ?= gd_mining
SCALE ?=
DATA ?=
ARGS ?=
BIN := .venv/bin
READY := .venv/.ready

.PHONY: setup train test test-slow check format bench clean

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: $(PYTHON) is older than 3.11; give another one: make PYTHON=python3.12 ..."; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "installing into .venv (a few minutes the first time)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --editable '.[dev]'
	@touch $@

train: $(READY)
	@$(BIN)/python -m descriptors train $(EXP) $(if $(SCALE),scale=$(SCALE)) $(if $(DATA),'data.root=$(DATA)') $(ARGS)

test: $(READY)
	$(BIN)/python -m pytest -q

test-slow: $(READY)
	$(BIN)/python -m pytest -q -m slow --timeout 1800

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY)
	$(BIN)/python -m tests.bench

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis
