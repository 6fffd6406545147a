"""Have jobs done by a pool and take their records into a storage."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

from lehr.study.engine import Event, Pool
from lehr.study.jobs import Job
from lehr.study.storage import Record, Storage

CHECKPOINT_SECONDS = 10.0


def finish(
    storage: Storage,
    pool: Pool,
    jobs: dict[str, Job],
    more: Callable[[str], dict[str, Any]],
    moved: Callable[[Event], None] = lambda event: None,
) -> Generator[tuple[str, Record]]:
    """Run jobs and yield the name and the record of each as it comes.

    Args:
        storage: keeps the records.
        pool: runs the jobs.
        jobs: by name.
        more: what else a job's worker is told, by the job's name.
        moved: called with whatever happens.
    """
    orders = {}
    for name, job in jobs.items():
        places = order(job, name, storage.curves(name), storage.log(name), storage.checkpoints)
        orders[name] = places | more(name)
    with contextlib.closing(pool.run(orders, moved)) as finished:
        for name in finished:
            record = storage.take_in(name, jobs[name])
            assert record is not None
            yield name, record


def order(job: Job, name: str, record: Path, log: Path, checkpoints: Path) -> dict[str, Any]:
    """Return what a worker is told: the job, and where everything goes."""
    places = {"record": record, "log": log, "checkpoints": checkpoints}
    absolute = {key: str(path.absolute()) for key, path in places.items()}
    return job | absolute | {"id": name, "checkpoint_every": CHECKPOINT_SECONDS}
