"""What a study still has to do, and about how long that takes."""

from __future__ import annotations

import contextlib
import tempfile
from dataclasses import dataclass
from pathlib import Path

from lehr.learner import Snapshot
from lehr.schedule.errors import whole
from lehr.study.definition import Study
from lehr.study.engines.local import Pool, cores
from lehr.study.jobs import SWEEP, Job, probe_job, sizes
from lehr.study.runner import Conductor, Missing, order
from lehr.study.storage import Storage


@dataclass(frozen=True)
class Plan:
    """What a study still has to do.

    Attributes:
        parts: for "range tests", "peaks" and "trials": how many jobs, how many have finished.
        seconds: about how long the others take, without what budgets share and patience spares.
        workers: with so many processes.
    """

    parts: dict[str, tuple[int, int]]
    seconds: float
    workers: int


def plan(study: Study, workers: int | None) -> Plan:
    """Return what a study still has to do, and about how long that takes."""
    parts = {name: (total, 0) for name, total in sizes(study).items()}
    if (Path(study.storage) / "results.sqlite").exists():
        with Storage(Path(study.storage), readonly=True) as storage:
            conductor = Conductor(study, storage)
            with contextlib.suppress(Missing):
                conductor.results()
            parts = conductor.parts
    count = cores() if workers is None else whole("workers", workers)
    if all(total == finished for total, finished in parts.values()):
        return Plan(parts, 0.0, count)
    with tempfile.TemporaryDirectory(prefix="lehr-") as folder:
        cost = Snapshot.load(_run_one(probe_job(study), Path(folder), study.backend)).metadata
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
    with Pool(1, folder / "cache", backend) as pool:
        list(pool.run({"probe": order(job, "probe", record, folder / "log", folder)}))
    return record
