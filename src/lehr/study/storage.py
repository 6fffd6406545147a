"""Results that are never lost: metadata in SQLite, curves beside it, each whole or not there.

A folder holds ``results.sqlite`` and, by a job's identity, ``curves/ID.npz``, ``logs/ID.log`` and,
while it runs, ``checkpoints/ID/``; and ``cache``, which may be deleted. A worker writes the curves
file beside and renames it; only then the driver writes the row. A file without its row is taken in
when the job is asked for again.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import filelock
import sqlalchemy as sql

from lehr.learner import Snapshot, Trace
from lehr.schedule.errors import fail
from lehr.study.cache_key import study_id
from lehr.study.checkpoints import trace_of
from lehr.study.jobs import Job

FORMAT = 1

_tables = sql.MetaData()
_meta = sql.Table(
    "meta",
    _tables,
    sql.Column("name", sql.String(32), primary_key=True),
    sql.Column("value", sql.Text, nullable=False),
)
_studies = sql.Table(
    "studies",
    _tables,
    sql.Column("id", sql.String(32), primary_key=True),
    sql.Column("definition", sql.Text, nullable=False),
    sql.Column("begun", sql.String(32), nullable=False),
)
_jobs = sql.Table(
    "jobs",
    _tables,
    sql.Column("id", sql.String(32), primary_key=True),
    sql.Column("definition", sql.Text, nullable=False),
    sql.Column("facts", sql.Text, nullable=False, key="metadata"),
    sql.Column("finished", sql.String(32), nullable=False),
)
_parts = sql.Table(
    "parts",
    _tables,
    sql.Column("study", sql.String(32), primary_key=True),
    sql.Column("batch", sql.String(32), primary_key=True),
    sql.Column("key", sql.String(200), primary_key=True),
    sql.Column("job", sql.String(32), nullable=False),
)


@dataclass(frozen=True)
class Record:
    """What a finished job left: metadata, and curves that are read when they are asked for."""

    id: str
    metadata: dict[str, Any]
    path: Path

    @cached_property
    def trace(self) -> Trace:
        """The losses and the rates really used, update by update."""
        return trace_of(Snapshot.load(self.path).arrays)


class Storage:
    """The finished jobs of a folder.

    Args:
        folder: made if it is not there, unless ``readonly``.
        readonly: for looking only; else one process at a time may have it open.

    Raises:
        ValueError: if it cannot be used, is in use, or was made by a newer lehr.
    """

    def __init__(self, folder: Path, *, readonly: bool = False) -> None:
        self.folder, self._path = folder, folder / "results.sqlite"
        self._readonly = readonly
        self._lock = filelock.FileLock(folder / "lock")
        if readonly and not self._path.exists():
            fail("storage", "a folder with results", str(folder), "run a study first")
        try:
            for name in () if readonly else ("curves", "logs", "checkpoints"):
                (folder / name).mkdir(parents=True, exist_ok=True)
            if not readonly:
                self._lock.acquire(blocking=False)
                for left in folder.rglob(".*.tmp"):  # by a worker that was killed
                    left.unlink(missing_ok=True)
        except OSError as error:
            if isinstance(error, filelock.Timeout):
                way_out = "wait for it, or give this one another storage"
                fail("storage", "used by one process at a time", str(folder), way_out)
            fail("storage", "a folder that can be written", str(folder), str(error.strerror))
        self._engine = sql.create_engine(_url(self._path, readonly))
        try:
            self._open(readonly)
        except BaseException:
            self.__exit__()
            raise

    def _open(self, readonly: bool) -> None:
        with self._transaction() as connection:
            connection.execute(sql.text("PRAGMA busy_timeout=10000"))
            if not readonly:
                connection.execute(sql.text("PRAGMA journal_mode=WAL"))
                _tables.create_all(connection)
            mark = sql.select(_meta.c.value).where(_meta.c.name == "format")
            found = connection.execute(mark).scalar()
            if found is None and not readonly:
                connection.execute(sql.insert(_meta).values(name="format", value=str(FORMAT)))
            elif found is None or int(found) > FORMAT:
                way_out = "it was written by a newer lehr: update lehr"
                fail("storage", f"of format {FORMAT} or older", f"format {found}", way_out)

    @contextmanager
    def _transaction(self) -> Iterator[sql.Connection]:
        try:
            with self._engine.begin() as connection:
                yield connection
        except sql.exc.DatabaseError as error:
            reason = str(error.orig)
            fail("storage", "a database that can be read and written", str(self._path), reason)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._engine.dispose()
        self._lock.release()

    def begin(self, definition: dict[str, Any]) -> str:
        """Note that a study is run here, and return its name."""
        name = study_id(definition)
        row = {"id": name, "definition": json.dumps(definition), "begun": _now()}
        with self._transaction() as connection:
            connection.execute(sql.insert(_studies).prefix_with("OR IGNORE").values(row))
        return name

    def studies(self) -> list[dict[str, Any]]:
        """Return the studies: name, definition, when it began, how many jobs have finished."""
        finished = (
            sql.select(sql.func.count())
            .select_from(_parts.join(_jobs, _parts.c.job == _jobs.c.id))
            .where(_parts.c.study == _studies.c.id)
            .scalar_subquery()
        )
        chosen = sql.select(_studies, finished.label("finished")).order_by(_studies.c.begun)
        with self._transaction() as connection:
            rows = [dict(row) for row in connection.execute(chosen).mappings()]
        return [row | {"definition": json.loads(row["definition"])} for row in rows]

    def delete(self, study: str) -> int:
        """Forget a study and what no other study shares; return how many jobs that were."""
        others = sql.select(_parts.c.job).where(_parts.c.study != study)
        own = sql.select(_parts.c.job).where(_parts.c.study == study, _parts.c.job.not_in(others))
        finished = sql.select(_jobs.c.id).where(_jobs.c.id.in_(own))
        with self._transaction() as connection:
            parts = list(connection.execute(own).scalars())
            jobs = list(connection.execute(finished).scalars())
            connection.execute(sql.delete(_jobs).where(_jobs.c.id.in_(own)))
            connection.execute(sql.delete(_parts).where(_parts.c.study == study))
            connection.execute(sql.delete(_studies).where(_studies.c.id == study))
        self.forget_checkpoints(parts)
        for name in jobs:
            self.curves(name).unlink(missing_ok=True)
            self.log(name).unlink(missing_ok=True)
        return len(jobs)

    def records(self, jobs: dict[str, Job]) -> dict[str, Record]:
        """Return the records that are here, by identity; a file without its row is taken in."""
        found: dict[str, Record] = {}
        with self._transaction() as connection:
            chosen = sql.select(_jobs.c.id, _jobs.c.metadata).where(_jobs.c.id.in_(jobs))
            for row in connection.execute(chosen):
                path = self.curves(row.id)
                if path.exists():
                    found[row.id] = Record(row.id, json.loads(row.metadata), path)
        for name in () if self._readonly else jobs.keys() - found.keys():
            if record := self.take_in(name, jobs[name]):
                found[name] = record
        return found

    def take_in(self, name: str, job: Job) -> Record | None:
        """Write the row of a job whose curves file is there; None if it is not."""
        path = self.curves(name)
        if not Snapshot.readable(path):
            path.unlink(missing_ok=True)
            return None
        metadata = Snapshot.load(path).metadata
        row = {
            "id": name,
            "definition": json.dumps(job),
            "metadata": json.dumps(metadata, allow_nan=False),
            "finished": _now(),
        }
        with self._transaction() as connection:
            connection.execute(sql.insert(_jobs).prefix_with("OR REPLACE").values(row))
        return Record(name, metadata, path)

    def belong(self, study: str, batch: str, names: dict[str, str]) -> None:
        """Note which job is what to a study, by key."""
        known = {"study": study, "batch": batch}
        rows = [known | {"key": key, "job": name} for key, name in names.items()]
        with self._transaction() as connection:
            if rows:
                connection.execute(sql.insert(_parts).prefix_with("OR REPLACE"), rows)

    def batches(self, study: str) -> list[dict[str, str]]:
        """Return the jobs of a study by key, for each batch that it was run with, latest first."""
        latest = sql.func.max(_jobs.c.finished)
        both = _parts.join(_jobs, _parts.c.job == _jobs.c.id)
        chosen = sql.select(_parts.c.batch).select_from(both).where(_parts.c.study == study)
        chosen = chosen.group_by(_parts.c.batch).order_by(latest.desc())
        found = []
        with self._transaction() as connection:
            for batch in list(connection.execute(chosen).scalars()):
                own = sql.select(_parts.c.key, _parts.c.job)
                own = own.where(_parts.c.study == study, _parts.c.batch == batch)
                found.append({row.key: row.job for row in connection.execute(own)})
        return found

    def curves(self, name: str) -> Path:
        """Return where a job's curves are."""
        return self.folder / "curves" / f"{name}.npz"

    def log(self, name: str) -> Path:
        """Return where a job's log is."""
        return self.folder / "logs" / f"{name}.log"

    @property
    def cache(self) -> Path:
        """The folder of what JAX has compiled."""
        return self.folder / "cache"

    @property
    def checkpoints(self) -> Path:
        """The folder of the checkpoints of what has not finished."""
        return self.folder / "checkpoints"

    def forget_checkpoints(self, names: list[str]) -> None:
        """Remove the checkpoints of finished jobs."""
        for name in names:
            shutil.rmtree(self.checkpoints / name, ignore_errors=True)


def _url(path: Path, readonly: bool) -> sql.URL:
    """Return where the database is; one that cannot be written is read as it lies there."""
    effective = os.access in os.supports_effective_ids
    if not readonly or os.access(path.parent, os.W_OK, effective_ids=effective):
        return sql.URL.create("sqlite", database=str(path))
    query = {"immutable": "1", "uri": "true"}
    return sql.URL.create("sqlite", database=path.absolute().as_uri(), query=query)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
