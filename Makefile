# `make compare` and `make test` need Python 3.11 or newer, pip and make, nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# the build's own tools are held to the same versions
export PIP_CONSTRAINT := $(CURDIR)/constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: compare test lint benchmark clean

compare: $(VENV)/installed-main
	$(BIN)/lehr compare

test: $(VENV)/installed-test lint
	$(BIN)/python -m pytest -n 2 --dist loadgroup

lint: $(VENV)/installed-test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

benchmark: $(VENV)/installed-test
	$(BIN)/python benchmarks/costs.py
	$(BIN)/python benchmarks/schedules.py
	$(BIN)/python benchmarks/driving.py
	$(BIN)/python benchmarks/keras_driving.py
	$(BIN)/python benchmarks/range_test.py
	$(BIN)/python benchmarks/study.py

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

$(VENV)/installed-main: $(BIN)/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --editable ".[keras,study]"
	touch $@

$(VENV)/installed-test: $(BIN)/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --editable ".[all]" --group dev --group test
	touch $@ $(VENV)/installed-main

clean:
	rm -rf $(VENV)
