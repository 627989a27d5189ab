# Two commands on a fresh machine: `make train EXP=gd_mining` and `make test`. Each builds .venv by itself.
#   make train EXP=<name> [SCALE=laptop|paper|h200] [DATA=<folder>] [ARGS="key=value ..."]
#   make evaluate CKPT=<run folder or weights> [DATA=<folder in HPatches layout>] [ARGS="--json table.json"]
#   make sweep SWEEP=<hyperparameters|search_space>   (Weights & Biases; needs a login)
#   make notebooks [NOTEBOOKS="notebooks/01_pairs.ipynb ..."]
#   make bench [PARTS="mining memory scaling pairs decoding neighbours cuda"]
PYTHON ?= python3
EXP ?= gd_mining
SCALE ?=
DATA ?=
ARGS ?=
CKPT ?=
ROWS ?=
EVAL ?=
PARTS ?=
NOTEBOOKS ?=
SWEEP ?= hyperparameters
BIN := .venv/bin
READY := .venv/.ready

.PHONY: setup train evaluate ablation sweep notebooks test test-slow check audit format bench clean

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: $(PYTHON) is older than 3.11; give another one: make PYTHON=python3.12 ..."; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "installing into .venv: about 2 GB, a few minutes the first time"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --config-settings editable_mode=compat --editable '.[dev]'
	@touch $@

train: $(READY)
	@$(BIN)/python -m descriptors train $(EXP) $(if $(SCALE),scale=$(SCALE)) $(if $(DATA),'data.root=$(DATA)') $(ARGS)

evaluate: $(READY)
	@test -n "$(CKPT)" || { echo "error: name weights: make evaluate CKPT=runs/... [DATA=<folder in HPatches layout>]"; exit 2; }
	@$(BIN)/python -m descriptors evaluate rootsift '$(CKPT)' $(if $(DATA),--data '$(DATA)',--protocol bundled) $(ARGS)

ablation: $(READY)
	@$(BIN)/python -m descriptors ablation $(ROWS) $(if $(SCALE),scale=$(SCALE)) $(if $(DATA),--data '$(DATA)') $(if $(EVAL),--evaluate '$(EVAL)') $(ARGS)

sweep: $(READY)
	@test -f 'experiments/sweeps/$(SWEEP).yaml' || { echo "error: there is no sweep '$(SWEEP)'; there are: $$(cd experiments/sweeps; echo *.yaml)"; exit 2; }
	@$(BIN)/wandb sweep 'experiments/sweeps/$(SWEEP).yaml'   # says the command with which agents start, on as many machines as you like

notebooks: $(READY)
	@$(BIN)/python notebooks/render.py $(NOTEBOOKS)

test: $(READY)
	$(BIN)/python -m pytest -q

test-slow: $(READY)
	$(BIN)/python -m pytest -q -m slow --timeout 1800

check: $(READY)
	$(BIN)/ruff check descriptors tests
	$(BIN)/ruff format --check descriptors tests
	$(BIN)/mypy

# Not part of check: the list of known vulnerabilities is on the net.
audit: $(READY)
	@test -x $(BIN)/pip-audit || { echo "error: pip-audit is not here; get it: $(BIN)/pip install pip-audit"; exit 2; }
	@$(BIN)/pip-audit --skip-editable || { echo "error: a package above has a known vulnerability, or the list of them could not be had"; exit 1; }

format: $(READY)
	$(BIN)/ruff check --fix descriptors tests
	$(BIN)/ruff format descriptors tests

bench: $(READY)
	@$(BIN)/python -m tests.bench $(PARTS)

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis
