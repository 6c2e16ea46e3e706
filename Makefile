# make run: the main job. make test: every check and test. make bench: the benchmarks. Each installs what it needs first.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
SOURCE_FOLDERS := schemas risk insurance liquidation ledger services bench
SOURCES := $(shell find $(SOURCE_FOLDERS) -name '*.py')

.PHONY: run test check unit faults bench setup clean

$(VENV)/pip.done: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

# Kernels are compiled here and cached beside the sources, so that nothing waits for a compiler later. A kernel's cache does
# not see that what it is built from changed, so the old ones go first.
$(VENV)/kernels.done: $(VENV)/pip.done $(SOURCES)
	find $(SOURCE_FOLDERS) -name '*.nb[ci]' -delete
	$(BIN)/novate compile
	touch $@

setup: $(VENV)/kernels.done

run: setup
	$(BIN)/novate run --out out/run --fresh

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: setup
	$(BIN)/python -m pytest -n 2 -m 'not slow'

faults: setup
	$(BIN)/python -m pytest -m slow -s

test: check unit

bench: setup
	$(BIN)/python -m bench --out out/bench.json

clean:
	rm -rf $(VENV) out build *.egg-info
