"""Results that are never lost: one row a finished job, in SQLite."""

from __future__ import annotations

import hashlib
import importlib.metadata
import itertools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Self

import sqlalchemy as sql

import lehr
from lehr.recipes.tasks import BUILT_IN, source_digest
from lehr.schedule.check import fail
from lehr.study.definition import Job
from lehr.study.engine import backend

_BACKENDS = {
    "jax": ("jax", "jaxlib"),
    "tensorflow": ("tensorflow", "tensorflow-cpu"),
    "torch": ("torch",),
}

_tables = sql.MetaData()
_jobs = sql.Table(
    "jobs",
    _tables,
    sql.Column("id", sql.String(32), primary_key=True),
    sql.Column("definition", sql.Text, nullable=False),
    sql.Column("result", sql.Text, nullable=False),
    sql.Column("finished", sql.String(32), nullable=False),
)


@cache
def versions(task: str) -> dict[str, str]:
    """Return the versions that a result depends on: lehr's and the frameworks'."""
    found = {"lehr": lehr.__version__}
    for name in _frameworks(task):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _frameworks(task: str) -> tuple[str, ...]:
    if task in BUILT_IN:  # on Keras: what else is installed does not matter
        return ("numpy", "keras", *_BACKENDS.get(backend(), ()))
    return ("numpy", "keras", "optax", *itertools.chain(*_BACKENDS.values()))


def identity(job: Job) -> str:
    """Return a job's name: the hash of its definition, the task's file, backend and versions."""
    task = job["task"]
    whole = {
        "job": job,
        "backend": backend(),
        "versions": versions(task),
        "source": source_digest(task),
    }
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()[:32]


class Storage:
    """Finished jobs by identity, in ``results.sqlite`` of a folder; each is safe once added."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / "results.sqlite"
        self._engine = sql.create_engine(sql.URL.create("sqlite", database=str(self._path)))
        with self._transaction() as connection:
            connection.execute(sql.text("PRAGMA journal_mode=WAL"))
            _tables.create_all(connection)

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

    def results(self, names: list[str]) -> dict[str, Any]:
        """Return the results that are here, by identity."""
        chosen = sql.select(_jobs.c.id, _jobs.c.result).where(_jobs.c.id.in_(names))
        with self._transaction() as connection:
            return {row.id: json.loads(row.result) for row in connection.execute(chosen)}

    def add(self, name: str, job: Job, result: dict[str, Any]) -> None:
        """Write one result down."""
        row = {
            "id": name,
            "definition": json.dumps(job),
            "result": json.dumps(result, allow_nan=False),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        with self._transaction() as connection:
            connection.execute(sql.insert(_jobs).prefix_with("OR REPLACE").values(row))
