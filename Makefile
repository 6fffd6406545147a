# `make compare` and `make test` require only Python 3.11 or newer, pip and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# also pins the versions of the build tools
export PIP_CONSTRAINT := $(CURDIR)/constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: compare test test-lowest test-lowest-torch lint benchmark clean

compare: $(VENV)/installed-main
	$(BIN)/lehr compare

# the test processes share a cache of compiled JAX programs, which saves a fifth of the test time
test: export JAX_COMPILATION_CACHE_DIR := $(CURDIR)/.pytest_cache/jax
test: export JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS := 0.1
test: $(VENV)/installed-test lint
	$(BIN)/python -m pytest -n 2 --dist loadgroup

# the oldest Keras, JAX and optax that pyproject.toml allows
LOWEST := .venv-lowest
test-lowest: $(LOWEST)/installed
	KERAS_BACKEND=jax $(LOWEST)/bin/python -m pytest -n 2 --dist loadgroup $(LOWEST_TESTS)

# drivers, range tests, learners and schedules in JAX arrays; the torch tests are skipped.
# All Keras cases pass but take twice as long; run them with LOWEST_CASES= (empty).
LOWEST_TESTS = tests/jax tests/backends tests/schedule/test_frameworks.py \
	tests/schedule/test_long.py $(LOWEST_CASES)
LOWEST_CASES := -k "not jax-finder_cache and not jax-finder_refusals and not jax-processes and \
	not jax-control and not jax-fit and not jax-extra and not jax-diagnose and \
	not jax-monte_carlo and not jax-docs and not jax-book and not jax-compat"

# the oldest PyTorch: not part of CI, because its only wheel here is the CUDA build of 767 MB
LOWEST_TORCH := .venv-lowest-torch
test-lowest-torch: $(LOWEST_TORCH)/installed
	$(LOWEST_TORCH)/bin/python -m pytest -n 2 --dist loadgroup tests/torch

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

$(LOWEST)/installed $(LOWEST_TORCH)/installed: export PIP_CONSTRAINT := $(CURDIR)/constraints-lowest.txt

$(LOWEST)/installed: pyproject.toml constraints-lowest.txt
	$(PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/python -m pip install --quiet --editable ".[keras,jax]" $(TEST_TOOLS)
	touch $@

$(LOWEST_TORCH)/installed: pyproject.toml constraints-lowest.txt
	$(PYTHON) -m venv $(LOWEST_TORCH)
	$(LOWEST_TORCH)/bin/python -m pip install --quiet --editable ".[torch]" $(TEST_TOOLS)
	touch $@

TEST_TOOLS := hypothesis pytest pytest-xdist

clean:
	rm -rf $(VENV) $(LOWEST) $(LOWEST_TORCH)
