"""Every adapter resumes exactly: interrupted at every step of a short run, in new processes."""

import importlib.util
from pathlib import Path

import pytest

from lehr.testing import conformance

RUNS = Path(__file__).parent / "conformance"
TORCH = ("TorchLoop", "Closed", "Two", "Relative", "Late", "Scaled")


LOOPS = [
    *(f"torch_loop:{name}" for name in TORCH),
    "jax_loop:JaxLoop",
    "jax_loop:JaxPlateau",
    "lightning_loop:LightningLoop",
    "transformers_loop:TransformersLoop",
    "ddp_loop:DDPLoop",
    "accelerate_loop:AccelerateLoop",
]


@pytest.mark.parametrize("run", LOOPS)
def test_resumes_exactly(run, monkeypatch):
    monkeypatch.chdir(RUNS)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    conformance(run)


@pytest.mark.parametrize(
    ("run", "match"),
    [
        ("ForgetsASlot", "resumed at update 1: the final weights differ"),
        ("ForgetsTheStep", "resumed at update 1: update 1 used .*, the uninterrupted run used {"),
        ("OneStepLate", r"update 1 used lr 0.5, the policy's value is 0.4375"),
        ("IgnoresTheFactor", r"update 4 used lr 0.25, the policy's value is 0.125"),
        ("KeepsSilent", "train returned lr for update 0, the policy schedules lr, momentum"),
        ("StopsEarly", "train returned 5 updates, not 6"),
    ],
)
def test_errors_of_a_run_are_detected(run, match, monkeypatch):
    monkeypatch.chdir(RUNS)
    with pytest.raises(AssertionError, match=f"bad:{run}.*{match}"):
        conformance(f"bad:{run}")


def test_a_run_without_a_framework(monkeypatch):
    monkeypatch.chdir(RUNS)
    conformance("bad:Correct", steps=4)


def test_a_run_that_cannot_start_raises(monkeypatch):
    monkeypatch.chdir(RUNS)
    with pytest.raises(RuntimeError, match=r"(?s)bad:Crashes, resume: .*the disk is gone"):
        conformance("bad:Crashes")
    with pytest.raises(RuntimeError, match=r"(?s)bad:Nobody, save: .*no attribute 'Nobody'"):
        conformance("bad:Nobody")
    with pytest.raises(ValueError, match="factory must be 'module:function', got 'bad'"):
        conformance("bad")
    with pytest.raises(ValueError, match="steps must be an integer >= 2, got 1"):
        conformance("bad:Correct", steps=1)


@pytest.mark.parametrize("backend", ["jax", "tensorflow", "torch"])
@pytest.mark.parametrize("run", ["KerasLoop", "KerasFit"])
def test_keras_resumes_exactly(run, backend, monkeypatch):
    for needed in ("keras", backend):
        if importlib.util.find_spec(needed) is None:
            pytest.skip(f"{needed} is not installed")
    monkeypatch.chdir(RUNS)
    monkeypatch.setenv("KERAS_BACKEND", backend)  # child processes read it
    conformance(f"keras_fit:{run}")
