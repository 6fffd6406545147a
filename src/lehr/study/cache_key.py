"""What a job is called: the hash of everything that its result depends on."""

from __future__ import annotations

import hashlib
import importlib.metadata
import itertools
import json
from functools import cache
from typing import Any

import lehr
from lehr.study.engines.local import usual_backend
from lehr.study.jobs import Job
from lehr.tasks.find import BUILT_IN

_BACKENDS = {
    "jax": ("jax", "jaxlib"),
    "tensorflow": ("tensorflow", "tensorflow-cpu"),
    "torch": ("torch",),
}


@cache
def versions(task: str, backend: str) -> dict[str, str]:
    """Return the versions that a result depends on: lehr's and the frameworks'."""
    found = {"lehr": lehr.__version__}
    for name in _frameworks(task, backend):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _frameworks(task: str, backend: str) -> tuple[str, ...]:
    # lehr's own are on Keras, or else in PyTorch: what else is installed does not matter
    if task in BUILT_IN or task.startswith("lehr.recipes."):
        return ("numpy", "keras", *_BACKENDS.get(backend, ()))
    return ("numpy", "keras", "optax", *itertools.chain(*_BACKENDS.values()))


def batch(task: str, source: str, backend: str | None) -> str:
    """Return a name for what all jobs of a study depend on: backend, versions, the task's file."""
    used = backend or usual_backend()
    whole = {"backend": used, "versions": versions(task, used), "source": source}
    return _digest(whole)


def identity(job: Job, batch: str) -> str:
    """Return a job's name: the hash of its definition and its batch."""
    return _digest({"job": job, "batch": batch})


def study_id(definition: dict[str, Any]) -> str:
    """Return a study's name: the hash of its definition, in its order, short enough to type."""
    return hashlib.sha256(json.dumps(definition).encode()).hexdigest()[:8]


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:32]
