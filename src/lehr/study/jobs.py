"""Jobs of a study as plain data: range tests, trials, probes and measurements."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

Job = dict[str, Any]

FIRST_TUNING_SEED = 1000
SWEEP: dict[str, Any] = {"low": 1e-5, "high": 10.0, "steps": 100, "spacing": "geometric"}


def tuning_seeds(count: int) -> range:
    """Return the seeds for the choice of peaks; they are different from all judging seeds."""
    return range(FIRST_TUNING_SEED, FIRST_TUNING_SEED + count)


def make_job(
    kind: str, task: str, options: Mapping[str, Any], seed: int, optimizer: str | None = None
) -> Job:
    """Return the entries common to all jobs; ``optimizer=None`` uses the task's default.

    The kind is "sweep" (a range test), "trial", "probe" (time of an update and an evaluation) or
    "measurement" (a function that returns plain data).
    """
    named = {} if optimizer is None else {"optimizer": optimizer}
    return {"kind": kind, "task": task, "options": json_data({**options, **named}), "seed": seed}


def describe(job: Job) -> str:
    """Return a short description of a job."""
    kind = {"sweep": "range test", "probe": "timing"}.get(job["kind"], job["kind"])
    return f"{kind} on {job['task']}, seed {job['seed']}"


def json_data(value: Any) -> Any:
    """Return a value as plain data for JSON; numbers that are not finite become None."""
    if isinstance(value, dict):
        return {name: json_data(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [json_data(part) for part in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return value


def stored_number(value: float | None) -> float:
    """Return a number converted by `json_data`; None becomes NaN."""
    return math.nan if value is None else float(value)
