"""Every adapter resumes exactly: cut at every step of a short run, each time in a new process."""

from pathlib import Path

import pytest

from lehr.testing import conformance

RUNS = Path(__file__).parent / "conformance"


@pytest.mark.parametrize(
    "run",
    [
        "torch_loop:TorchLoop",
        "lightning_loop:LightningLoop",
        "transformers_loop:TransformersLoop",
        "ddp_loop:DDPLoop",
        "accelerate_loop:AccelerateLoop",
    ],
)
def test_resumes_exactly(run, monkeypatch):
    monkeypatch.chdir(RUNS)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    conformance(run)
