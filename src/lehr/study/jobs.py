"""The jobs of a study as plain data: range tests, trials that tune a peak, trials that judge."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lehr.study.arm import Arm
    from lehr.study.definition import Study

Job = dict[str, Any]

FIRST_TUNING_SEED = 1000
SWEEP = {"low": 1e-5, "high": 10.0, "steps": 100, "spacing": "exponential"}


def tuning_seeds(study: Study) -> range:
    """Return the seeds that choose peaks and judge nothing."""
    return range(FIRST_TUNING_SEED, FIRST_TUNING_SEED + study.tuning_seeds)


def sweep_jobs(study: Study) -> dict[tuple[str | None, int], Job]:
    """Return the range tests that the peaks need, by optimizer (None: the task's own) and seed."""
    optimizers = dict.fromkeys(arm.optimizer for arm in study.arms.values() if arm.tune)
    return {
        (optimizer, seed): _job(study, "sweep", optimizer, seed) | SWEEP
        for seed in tuning_seeds(study)
        for optimizer in optimizers
    }


def tuning_job(study: Study, arm: str, peak: float, seed: int) -> Job:
    """Return the trial of one peak on a tuning seed; it never sees test data."""
    return _trial(study, study.arms[arm], peak, study.budgets[-1], seed) | {"test": False}


def judging_job(study: Study, arm: str, peak: float | None, budget: int, seed: int) -> Job:
    """Return the trial of an arm at its peak on a judging seed."""
    return _trial(study, study.arms[arm], peak, budget, seed)


def probe_job(study: Study) -> Job:
    """Return the job that measures what an update costs, with the first arm's optimizer."""
    optimizer = next(iter(study.arms.values())).optimizer
    return _job(study, "probe", optimizer, FIRST_TUNING_SEED)


def measuring_job(function: str, options: Mapping[str, Any], seed: int) -> Job:
    """Return the job of a function of a seed and options that returns plain data."""
    return {"kind": "measurement", "task": function, "options": dict(options), "seed": seed}


def sizes(study: Study) -> dict[str, int]:
    """Return how many jobs each part has, before grids widen and arms stop."""
    tuned = sum(arm.tune is not None for arm in study.arms.values())
    return {
        "range tests": len(sweep_jobs(study)),
        "peaks": tuned * study.tuning_seeds * study.peaks if study.peaks > 1 else 0,
        "trials": len(study.arms) * len(study.budgets) * study.seeds,
    }


def label(key: Any, unit: str) -> str:
    """Return what is running, in a few words."""
    match key:
        case (str(arm), float(peak), seed):
            return f"{arm} at {peak:g}, seed {seed}"
        case (str(arm), int(budget), seed):
            return f"{arm}, {budget} {unit}, seed {seed}"
        case (_, seed):
            return f"range test, seed {seed}"
    return str(key)


def _job(study: Study, kind: str, optimizer: str | None, seed: int) -> Job:
    options = study.options if optimizer is None else study.options | {"optimizer": optimizer}
    return {"kind": kind, "task": study.task, "options": options, "seed": seed}


def _trial(study: Study, arm: Arm, peak: float | None, budget: int, seed: int) -> Job:
    return (
        _job(study, "trial", arm.optimizer, seed)
        | {
            "policy": arm.at(peak).to_dict(),
            "unit": study.unit,
            "budget": budget,
            "peak": peak,
            "judge": study.judge,
            "test": True,
        }
        | ({"metric": study.metric, "mode": study.mode} if study.judge == "best" else {})
        | ({"patience": study.patience} if study.patience else {})
    )
