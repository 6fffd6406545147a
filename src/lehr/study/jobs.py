"""The jobs of a study as plain data: range tests, trials, probes and measurements."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lehr.study.arm import Arm

Job = dict[str, Any]

FIRST_TUNING_SEED = 1000
SWEEP = {"low": 1e-5, "high": 10.0, "steps": 100, "spacing": "exponential"}


def tuning_seeds(count: int) -> range:
    """Return the seeds on which peaks are chosen; none of them is a judging seed."""
    return range(FIRST_TUNING_SEED, FIRST_TUNING_SEED + count)


def sweep_job(task: str, options: Mapping[str, Any], optimizer: str | None, seed: int) -> Job:
    """Return a range test; an optimizer of None is the task's own."""
    return _job("sweep", task, options, optimizer, seed) | SWEEP


def trial_job(
    task: str,
    options: Mapping[str, Any],
    arm: Arm,
    peak: float | None,
    budget: int,
    seed: int,
    *,
    unit: str,
    metric: str,
    mode: str,
    judge: str,
    patience: int | None = None,
    test: bool = True,
) -> Job:
    """Return the training of an arm at a peak (None if untuned) for a budget and a seed.

    The other arguments are those of `lehr.Study`; without ``test`` no test data is evaluated.
    """
    job = _job("trial", task, options, arm.optimizer, seed) | {
        "policy": arm.at(peak).to_dict(),
        "unit": unit,
        "budget": budget,
        "peak": peak,
        "judge": judge,
        "test": test,
    }
    if judge == "best":
        job |= {"metric": metric, "mode": mode}
    return job | ({"patience": patience} if patience else {})


def probe_job(task: str, options: Mapping[str, Any], optimizer: str | None) -> Job:
    """Return the job that measures the cost of an update and an evaluation."""
    return _job("probe", task, options, optimizer, FIRST_TUNING_SEED)


def measuring_job(function: str, options: Mapping[str, Any], seed: int) -> Job:
    """Return the job of a function of a seed and options that returns plain data."""
    return _job("measurement", function, options, None, seed)


def describe(job: Job) -> str:
    """Return a short description of a job."""
    kind = {"sweep": "range test", "probe": "timing"}.get(job["kind"], job["kind"])
    return f"{kind} on {job['task']}, seed {job['seed']}"


def _job(kind: str, task: str, options: Mapping[str, Any], optimizer: str | None, seed: int) -> Job:
    named = {} if optimizer is None else {"optimizer": optimizer}
    return {"kind": kind, "task": task, "options": {**options, **named}, "seed": seed}
