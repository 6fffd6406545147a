"""Every adapter resumes exactly: cut at every step of a short run, each time in a new process."""

from pathlib import Path

import pytest

from lehr.testing import conformance

RUNS = Path(__file__).parent / "conformance"


@pytest.mark.parametrize("run", ["torch_loop:TorchLoop", "jax_loop:JaxLoop", "jax_loop:JaxPlateau"])
def test_resumes_exactly(run, monkeypatch):
    monkeypatch.chdir(RUNS)
    conformance(run)
