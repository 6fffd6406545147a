"""Plan a study: the jobs that are missing, and an estimate of their time."""

from __future__ import annotations

import contextlib
import tempfile
from dataclasses import dataclass
from pathlib import Path

from lehr.learner import Snapshot
from lehr.schedule.errors import whole
from lehr.study.definition import Study
from lehr.study.engines.local import LocalEngine
from lehr.study.environment import cores
from lehr.study.jobs import SWEEP, Job, probe_job
from lehr.study.runner import MissingJobs, Runner, job_counts, make_order
from lehr.study.storage import Storage


@dataclass(frozen=True)
class Plan:
    """The jobs of a study, and an estimate of the time that the missing ones take.

    Attributes:
        parts: for "range tests", "peaks" and "trials": how many jobs, how many have finished.
        seconds: estimate for the others, without the savings of shared budgets and patience.
        workers: number of processes that the estimate assumes.
    """

    parts: dict[str, tuple[int, int]]
    seconds: float
    workers: int


def plan(study: Study, workers: int | None) -> Plan:
    """Return the jobs of a study, and an estimate of the time that the missing ones take."""
    parts = {name: (total, 0) for name, total in job_counts(study).items()}
    if (Path(study.storage) / "results.sqlite").exists():
        with Storage(Path(study.storage), readonly=True) as storage:
            runner = Runner(study, storage)
            with contextlib.suppress(MissingJobs):
                runner.results()
            parts = runner.parts
    count = cores() if workers is None else whole("workers", workers)
    if all(total == finished for total, finished in parts.values()):
        return Plan(parts, 0.0, count)
    with tempfile.TemporaryDirectory(prefix="lehr-") as folder:
        probe = probe_job(study.task, study.options, study.arms[study.reference].optimizer)
        cost = Snapshot.load(_run_one(probe, Path(folder), study.backend)).metadata
    updates = {"range tests": SWEEP["steps"], "peaks": study.budgets[-1]}
    updates["trials"] = sum(study.budgets) / len(study.budgets)
    seconds = 0.0
    for name, (total, finished) in parts.items():
        steps = updates[name]
        if study.unit == "epochs" and name != "range tests":
            steps *= cost["steps_per_epoch"]
        evaluations = steps / cost["steps_per_epoch"] if name != "range tests" else 0
        one = steps * cost["update"] + evaluations * cost["evaluation"]
        seconds += (total - finished) * one
    return Plan(parts, seconds / count, count)


def _run_one(job: Job, folder: Path, backend: str | None) -> Path:
    record = folder / "record.npz"
    with LocalEngine(1, folder / "cache", backend) as engine:
        list(engine.run({"probe": make_order(job, "probe", record, folder / "log", folder)}))
    return record
