# Two commands on a fresh machine: `make train EXP=gd_mining` and `make test`. Each builds .venv by itself.
#   make train EXP=<name> [SCALE=laptop|paper|h200] [DATA=<folder>] [ARGS="key=value ..."]
#   make evaluate CKPT=<run folder or weights> [DATA=<folder in HPatches layout>] [ARGS="--json table.json"]
#   make sweep SWEEP=<hyperparameters|search_space>   (Weights & Biases; needs a login)
#   make notebooks [NOTEBOOKS="notebooks/01_pairs.ipynb ..."]
#   make docs   (docstrings and how-to pages as a site that opens offline: docs/html/index.html)
#   make bench [PARTS="mining memory scaling pairs decoding neighbours cuda"]
#   make soak [MINUTES=60] [SEED=<of the first round>]   (train, kill, resume, evaluate; exit 1 if a round failed)
PYTHON ?= python3
EXP ?= gd_mining
SCALE ?=
DATA ?=
ARGS ?=
CKPT ?=
ROWS ?=
EVAL ?=
PARTS ?=
MINUTES ?= 60
SEED ?=
NOTEBOOKS ?=
SWEEP ?= hyperparameters
BIN := .venv/bin
CORES = $(shell nproc 2>/dev/null || sysctl -n hw.ncpu)
READY := .venv/.ready
# pip says much: shown are downloads of a megabyte and more, as they begin, and when it unpacks; errors it says itself.
SHOWN := (Downloading|Using cached) [^ ]+ \([0-9.]+ [MG]B\)|Installing collected packages
install = rm -f .venv/.status; \
	($(BIN)/python -m pip install --disable-pip-version-check --progress-bar off -c constraints.txt $(1); echo $$? > .venv/.status) | \
	grep --line-buffered -oE '$(SHOWN)'; exit $$(cat .venv/.status)

.PHONY: setup train evaluate ablation sweep notebooks docs test test-slow check audit format bench soak clean

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: $(PYTHON) is older than 3.11; give another one: make PYTHON=python3.12 ..."; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "installing into .venv: about 2 GB, a few minutes the first time; the 'Installing' steps take a minute without a word"
	@echo "1 of 2: torch, the largest part"
	@$(call install,torch)
	@echo "2 of 2: the other packages, and descriptors itself"
	@$(call install,--config-settings editable_mode=compat --editable '.[dev]')
	@touch $@
	@echo "ready: .venv/bin/python -m descriptors"

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

docs: $(READY)
	@$(BIN)/python docs/site/build.py

# One process a core, each with one thread; `pytest` by itself runs them one after the other.
test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $(CORES) --maxprocesses 8 --dist loadfile

test-slow: $(READY)
	$(BIN)/python -m pytest -q -m slow --timeout 1800

check: $(READY)
	$(BIN)/ruff check descriptors tests notebooks docs
	$(BIN)/ruff format --check descriptors tests notebooks docs
	$(BIN)/mypy

# Not part of check: the list of known vulnerabilities is on the net. OSV's, since pip-audit passes packages that the index
# of a mirror does not know, or knows under another version, as torch 2.13.0+cpu.
audit: $(READY)
	@test -x $(BIN)/pip-audit || { echo "error: pip-audit is not here; get it: $(BIN)/pip install pip-audit"; exit 2; }
	@$(BIN)/pip-audit --vulnerability-service osv --skip-editable || { echo "error: a package above has a known vulnerability, or the list of them could not be had"; exit 1; }

format: $(READY)
	$(BIN)/ruff check --fix descriptors tests notebooks docs
	$(BIN)/ruff format descriptors tests notebooks docs

bench: $(READY)
	@$(BIN)/python -m tests.bench $(PARTS)

soak: $(READY)
	@$(BIN)/python -m tests.robustness.soak --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis
