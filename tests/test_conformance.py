"""Every adapter resumes exactly: cut at every step of a short run, each time in a new process."""

import importlib.util
from pathlib import Path

import pytest

from lehr.testing import conformance

RUNS = Path(__file__).parent / "conformance"


@pytest.mark.parametrize("run", ["torch_loop:TorchLoop"])
def test_resumes_exactly(run, monkeypatch):
    monkeypatch.chdir(RUNS)
    conformance(run)


@pytest.mark.parametrize("backend", ["jax", "tensorflow", "torch"])
@pytest.mark.parametrize("run", ["KerasLoop", "KerasFit"])
def test_keras_resumes_exactly(run, backend, monkeypatch):
    for needed in ("keras", backend):
        if importlib.util.find_spec(needed) is None:
            pytest.skip(f"{needed} is not installed")
    monkeypatch.chdir(RUNS)
    monkeypatch.setenv("KERAS_BACKEND", backend)  # child processes read it
    conformance(f"keras_fit:{run}")
