"""Trial storage: metadata in SQLite, curves in one ``.npz`` file per job; every write is atomic.

A folder contains ``results.sqlite``, ``curves/KEY.npz`` and ``logs/KEY.log`` for each cache key,
``checkpoints/KEY/`` while a job runs, and ``cache`` (JAX's compilation cache), which may be
deleted. A worker process saves the curves file; then the driver process inserts the row. A curves
file without a row is imported on the next request.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import filelock
import sqlalchemy as sql

from lehr._atomic import TEMPORARY
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
    sql.Column("batch", sql.String(32), primary_key=True, key="environment_key"),
    sql.Column("key", sql.String(200), primary_key=True),
    sql.Column("job", sql.String(32), nullable=False),
)


@dataclass(frozen=True)
class Record:
    """The result of a finished job: metadata, and curves, which are loaded on first use."""

    id: str
    metadata: dict[str, Any]
    path: Path

    @cached_property
    def trace(self) -> Trace:
        """The losses and the applied rates of all updates."""
        return trace_of(Snapshot.load(self.path).arrays)


_JOB = re.compile("[0-9a-f]{32}")  # the id of a job


class Storage:
    """The storage of finished jobs in a folder.

    Args:
        folder: folder of the results; it is created if it does not exist, unless ``readonly``.
        readonly: open the storage for reading; otherwise one process at a time can open it.

    Raises:
        ValueError: if the folder cannot be read or written, another process uses it, or a newer
            version of lehr wrote it.
    """

    def __init__(self, folder: Path, *, readonly: bool = False) -> None:
        self.folder, self._path = folder, folder / "results.sqlite"
        self.cache, self.checkpoints = folder / "cache", folder / "checkpoints"
        self._readonly = readonly
        self._valid: dict[str, Record | None] = {}  # each file is read one time
        self._lock = filelock.FileLock(folder / "lock")
        if readonly and not self._path.exists():
            fail("storage", "a folder with results", str(folder), "run a study first")
        try:
            if not readonly:
                self._prepare_folder()
        except filelock.Timeout:
            fix = "wait for the other process or set another storage"
            fail("storage", "used by one process at a time", str(folder), fix)
        except OSError as error:
            fail("storage", "a folder that can be written", str(folder), str(error.strerror))
        self._engine = sql.create_engine(_url(self._path, readonly))
        try:
            self._open(readonly)
        except BaseException:
            self.__exit__()
            raise

    def _prepare_folder(self) -> None:
        for name in ("curves", "logs", "checkpoints"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self._lock.acquire(blocking=False)
        # unfinished writes of killed workers; not in a storage in "checkpoints", or behind a link
        jobs = (p for p in (self.folder / "checkpoints").iterdir() if _JOB.fullmatch(p.name))
        for subfolder in (self.folder / "curves", *jobs):
            if not any(map(Path.is_symlink, (subfolder, subfolder.parent))):
                for path in subfolder.glob(TEMPORARY):
                    path.unlink(missing_ok=True)

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
            elif found not in [str(number) for number in range(1, FORMAT + 1)]:
                fix = "it was written by a newer lehr: update lehr"
                fail("storage", f"of format {FORMAT} or older", f"format {found}", fix)

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

    def add_study(self, definition: dict[str, Any]) -> str:
        """Insert a study if it is missing, and return its id."""
        name = study_id(definition)
        row = {"id": name, "definition": json.dumps(definition), "begun": _now()}
        with self._transaction() as connection:
            connection.execute(sql.insert(_studies).prefix_with("OR IGNORE").values(row))
        return name

    def studies(self) -> list[dict[str, Any]]:
        """Return each study's id, definition, time of the first run, number of finished jobs."""
        finished = (
            sql.select(sql.func.count())
            .select_from(_parts.join(_jobs, _parts.c.job == _jobs.c.id))
            .where(_parts.c.study == _studies.c.id)
            .scalar_subquery()
        )
        chosen = sql.select(_studies, finished.label("finished")).order_by(_studies.c.begun)
        with self._transaction() as connection:
            rows = [dict(row) for row in connection.execute(chosen).mappings()]
        return [row | {"definition": self._definition(**row)} for row in rows]

    def _definition(self, id: str, definition: Any, **others: Any) -> dict[str, Any]:
        """Return the definition of a study from its row; raise if it is damaged."""
        found = _json(definition)
        if isinstance(found, dict):
            unit = "epochs" if "epochs" in found else "steps"
            types = {"task": str, "arms": dict, "judging seeds": list, unit: list}
            if all(isinstance(found.get(name), kind) for name, kind in types.items()):
                return found
        fail("definition of a study", "the data of a study", definition, f"{self._path} is damaged")

    def delete(self, study: str) -> int:
        """Delete a study, and its jobs that are not part of another study; return their number."""
        others = sql.select(_parts.c.job).where(_parts.c.study != study)
        unshared = sql.select(_parts.c.job).where(
            _parts.c.study == study, _parts.c.job.not_in(others)
        )
        finished = sql.select(_jobs.c.id).where(_jobs.c.id.in_(unshared))
        with self._transaction() as connection:
            parts = [self._checked(name) for name in connection.execute(unshared).scalars()]
            jobs = [self._checked(name) for name in connection.execute(finished).scalars()]
            connection.execute(sql.delete(_jobs).where(_jobs.c.id.in_(unshared)))
            connection.execute(sql.delete(_parts).where(_parts.c.study == study))
            connection.execute(sql.delete(_studies).where(_studies.c.id == study))
        self.delete_checkpoints(parts)
        for name in jobs:
            self._valid.pop(name, None)
            self.curves(name).unlink(missing_ok=True)
            self.log(name).unlink(missing_ok=True)
        return len(jobs)

    def records(self, jobs: dict[str, Job]) -> dict[str, Record]:
        """Return the stored records by cache key.

        Curves files without a row are imported. A damaged file, or one that differs from its row,
        is reported and deleted.
        """
        chosen = sql.select(_jobs.c.id, _jobs.c.metadata).where(_jobs.c.id.in_(jobs))
        with self._transaction() as connection:
            rows = {row.id: row.metadata for row in connection.execute(chosen)}
        for name, text in rows.items():
            if name not in self._valid:
                self._valid[name] = self._record(name, text)
        for name in () if self._readonly else jobs:
            if self._valid.get(name) is None:
                self.import_record(name, jobs[name])
        records = {name: self._valid.get(name) for name in jobs}
        return {name: record for name, record in records.items() if record is not None}

    def _record(self, name: str, text: Any) -> Record | None:
        """Return the record of a row; None if its curves are missing or the two differ."""
        path = self.curves(name)
        if not path.exists():
            return None
        snapshot, metadata = Snapshot.load_if_valid(path), _json(text)
        if snapshot is not None and metadata is None:
            return None  # the row is damaged: the file is imported again
        if snapshot is not None and snapshot.metadata == metadata:
            steps = len(snapshot.arrays.get("losses", ()))
            if metadata.get("steps", steps) == steps:
                return Record(name, metadata, path)
        consequence = "it is not used" if self._readonly else "its job runs again"
        warnings.warn(f"{path} is damaged or differs from its row: {consequence}", stacklevel=2)
        if not self._readonly:
            path.unlink()
        return None

    def import_record(self, name: str, job: Job) -> Record | None:
        """Insert the row of a job from its curves file; None if the file is missing or damaged."""
        path = self.curves(name)
        snapshot = Snapshot.load_if_valid(path)
        if snapshot is None:
            path.unlink(missing_ok=True)
            return None
        row = {
            "id": name,
            "definition": json.dumps(job),
            "metadata": json.dumps(snapshot.metadata, allow_nan=False),
            "finished": _now(),
        }
        with self._transaction() as connection:
            connection.execute(sql.insert(_jobs).prefix_with("OR REPLACE").values(row))
        record = self._valid[name] = Record(name, snapshot.metadata, path)
        return record

    def link_jobs(self, study: str, environment_key: str, names: dict[str, str]) -> None:
        """Store the cache keys of a study's jobs, by their key in the study."""
        shared = {"study": study, "environment_key": environment_key}
        rows = [shared | {"key": key, "job": name} for key, name in names.items()]
        with self._transaction() as connection:
            if rows:
                connection.execute(sql.insert(_parts).prefix_with("OR REPLACE"), rows)

    def linked_jobs(self, study: str) -> list[dict[str, str]]:
        """Return the cache keys of a study's jobs for each of its environments, latest first."""
        environment = _parts.c.environment_key
        latest = sql.func.max(_jobs.c.finished).over(partition_by=environment).label("latest")
        parts = _parts.outerjoin(_jobs, _parts.c.job == _jobs.c.id)
        chosen = sql.select(environment, _parts.c.key, _parts.c.job, latest).select_from(parts)
        chosen = chosen.where(_parts.c.study == study).order_by(latest.desc())
        found: dict[str, dict[str, str]] = {}
        with self._transaction() as connection:
            for row in connection.execute(chosen):
                if row.latest:  # at least one of its jobs has finished
                    found.setdefault(row.environment_key, {})[row.key] = self._checked(row.job)
        return list(found.values())

    def curves(self, name: str) -> Path:
        """Return the path of a job's curves."""
        return self.folder / "curves" / f"{self._checked(name)}.npz"

    def log(self, name: str) -> Path:
        """Return the path of a job's log."""
        return self.folder / "logs" / f"{self._checked(name)}.log"

    def delete_checkpoints(self, names: list[str]) -> None:
        """Delete the checkpoints of jobs."""
        for name in names:
            shutil.rmtree(self.checkpoints / self._checked(name), ignore_errors=True)

    def _checked(self, name: str) -> str:
        """Return the id of a job; raise unless it is one, because ids are names of files."""
        if not isinstance(name, str) or not _JOB.fullmatch(name):
            fail("id of a job", "32 hexadecimal digits", name, f"{self._path} is damaged")
        return name


def _url(path: Path, readonly: bool) -> sql.URL:
    """Return the URL of the database; immutable if the folder is not writable."""
    effective = os.access in os.supports_effective_ids
    if not readonly or os.access(path.parent, os.W_OK, effective_ids=effective):
        return sql.URL.create("sqlite", database=str(path))
    query = {"immutable": "1", "uri": "true"}
    return sql.URL.create("sqlite", database=path.absolute().as_uri(), query=query)


def _json(text: Any) -> Any:
    """Return the data of JSON text; None if it is damaged."""
    try:
        return json.loads(text)
    except (TypeError, ValueError, RecursionError):
        return None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
