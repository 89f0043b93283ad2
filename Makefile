# `make help` lists what there is. Packages are installed into .venv, and again only when pyproject.toml or constraints.txt change.

PYTHON ?= python3
VENV ?= .venv
BUDGET ?= 10m
# Where PyTorch comes from; empty: PyPI. On Linux that is the CUDA build, several GB. The CPU build is
# `make demo TORCH_INDEX=https://download.pytorch.org/whl/cpu`.
TORCH_INDEX ?=
PYTEST_FLAGS ?= -n auto --maxprocesses 4 --dist loadfile

ifeq ($(OS),Windows_NT)
BIN := $(VENV)/Scripts
else
BIN := $(VENV)/bin
endif
GANVAS := $(BIN)/ganvas
PIP := $(BIN)/python -m pip --disable-pip-version-check
RUN := runs/demo-$(shell date +%Y%m%d-%H%M%S)

.PHONY: help demo test check bench clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-6s %s\n", $$1, $$2}' Makefile

demo: $(VENV)/.installed ## train on the built-in emoji for BUDGET (10m), score it, and show where the results are
	@$(GANVAS) train --data builtin:emoji --budget $(BUDGET) --out $(RUN)
	@$(GANVAS) evaluate $(RUN)
	@$(GANVAS) sample $(RUN) $(RUN)/generated --grid --quiet > /dev/null
	@echo
	@echo "run folder   $(RUN)"
	@echo "sample grid  $(RUN)/generated/grid.png"
	@echo "report       $(RUN)/report.html"

test: $(VENV)/.installed-test ## the tests
	$(BIN)/python -m pytest $(PYTEST_FLAGS) -m "not docs"

check: $(VENV)/.installed-dev ## ruff, pyright, import-linter, the docs' examples and the tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports
	$(BIN)/python -m pytest $(PYTEST_FLAGS)

bench: $(VENV)/.installed ## training speed beside a plain PyTorch loop
	$(BIN)/python benchmarks/throughput.py

clean: ## remove .venv and caches; runs and data stay
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .import_linter_cache
	find src tests benchmarks examples -name __pycache__ -type d -prune -exec rm -rf {} +

# -- Installing ---------------------------------------------------------------------------------------------------

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "ganvas needs Python 3.11 or newer, and $(PYTHON) is older or missing: name one with PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

# $(call install,extras): the package, editable so that a changed file needs no new install.
define install
	$(if $(TORCH_INDEX),$(PIP) install --quiet -c constraints.txt --index-url $(TORCH_INDEX) torch torchvision)
	$(PIP) install --quiet -c constraints.txt -e ".$(1)"
endef

$(VENV)/.installed: $(VENV)/.created pyproject.toml constraints.txt
	@echo "Installing ganvas into $(VENV) (PyTorch is large: minutes)"
	$(call install)
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(call install,[test])
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed-test
	$(call install,[dev])
	@touch $@
