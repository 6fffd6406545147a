"""Cache keys: the hash of everything that a job's result depends on."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import itertools
import json
from functools import cache
from typing import Any

from lehr.study.environment import usual_backend
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
    found = {}
    for name in ("lehr", *_frameworks(task, backend)):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def _frameworks(task: str, backend: str) -> tuple[str, ...]:
    # lehr's own tasks use Keras, or else PyTorch: other installed frameworks do not matter
    if task in BUILT_IN or task.startswith(("lehr.recipes.", "lehr.tasks.")):
        return ("numpy", "keras", *_BACKENDS.get(backend, ()))
    return ("numpy", "keras", "optax", *itertools.chain(*_BACKENDS.values()))


def environment_key(task: str, source: str, backend: str | None) -> str:
    """Return the hash of what all jobs of a study depend on: backend, versions, the task's file.

    ``source`` is the hash of that file; a backend of None is that of the environment.
    """
    used = backend or usual_backend()
    return _digest({"backend": used, "versions": versions(task, used), "source": source})


def cache_key(job: Job, environment_key: str) -> str:
    """Return the hash of a job's definition and its environment."""
    return _digest({"job": job, "batch": environment_key})  # "batch": as in lehr 0.1


def study_id(definition: dict[str, Any]) -> str:
    """Return the hash of a study's definition, whose order counts, short enough to type."""
    return hashlib.sha256(json.dumps(definition).encode()).hexdigest()[:8]


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:32]
