"""Plan a study: count the missing jobs and estimate their time."""

from __future__ import annotations

import contextlib
import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path

from lehr.learner import Snapshot
from lehr.schedule.errors import integer
from lehr.study.definition import Study
from lehr.study.engines.local import LocalEngine
from lehr.study.environment import default_workers
from lehr.study.jobs import FIRST_TUNING_SEED, SWEEP, make_job
from lehr.study.runner import MissingJobs, Runner, job_counts, make_order
from lehr.study.storage import Storage


@dataclass(frozen=True)
class Plan:
    """The number of jobs of a study, and an estimate of the time for the missing ones.

    Attributes:
        parts: number of jobs and of finished jobs for "range tests", "peaks" and "trials".
        seconds: estimate for the missing jobs, without savings by shared budgets and patience.
        workers: assumed number of processes.
    """

    parts: dict[str, tuple[int, int]]
    seconds: float
    workers: int


def plan(study: Study, workers: int | None) -> Plan:
    """Return the plan of a study."""
    parts = {name: (total, 0) for name, total in job_counts(study).items()}
    if (Path(study.storage) / "results.sqlite").exists():
        with Storage(Path(study.storage), readonly=True) as storage:
            runner = Runner(study, storage)
            with contextlib.suppress(MissingJobs):
                runner.results()
            parts = runner.parts
    count = default_workers() if workers is None else integer("workers", workers)
    if all(total == finished for total, finished in parts.values()):
        return Plan(parts, 0.0, count)
    with tempfile.TemporaryDirectory(prefix="lehr-") as folder:
        cost = _probe(study, Path(folder))
    epoch = cost["steps_per_epoch"]
    one_epoch = epoch * cost["update"] + cost["evaluation"]
    budget_seconds = one_epoch if study.unit == "epochs" else one_epoch / epoch
    seconds = {
        "range tests": SWEEP["steps"] * cost["update"],
        "peaks": study.budgets[-1] * budget_seconds,
        "trials": statistics.fmean(study.budgets) * budget_seconds,
    }
    missing = sum((total - finished) * seconds[name] for name, (total, finished) in parts.items())
    return Plan(parts, missing / count, count)


def _probe(study: Study, folder: Path) -> dict[str, float]:
    """Measure the seconds of an update and an evaluation in a worker process."""
    optimizer, record = study.arms[study.reference].optimizer, folder / "record.npz"
    job = make_job("probe", study.task, study.options, FIRST_TUNING_SEED, optimizer)
    with LocalEngine(1, folder / "cache", study.backend) as engine:
        list(engine.run({"probe": make_order(job, "probe", record, folder / "log", folder)}))
    return Snapshot.load(record).metadata
