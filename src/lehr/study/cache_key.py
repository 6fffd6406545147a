"""Cache keys: hashes of a job and of the environment that its result depends on."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import itertools
import json
import os
from functools import cache
from typing import Any

from lehr.study.environment import usual_backend
from lehr.study.gpus import gpus
from lehr.study.jobs import Job
from lehr.tasks.find import BUILT_IN

_BACKENDS = {
    "jax": ("jax", "jaxlib", "jax-cuda12-plugin", "jax-cuda13-plugin"),
    "tensorflow": ("tensorflow", "tensorflow-cpu"),
    "torch": ("torch",),
}


@cache
def versions(task: str, backend: str) -> dict[str, str]:
    """Return the versions of lehr and of the frameworks that a result depends on."""
    found = {}
    for name in ("lehr", *_frameworks(task, backend)):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def _frameworks(task: str, backend: str) -> tuple[str, ...]:
    # lehr's tasks use only Keras or PyTorch: other installed frameworks have no effect
    if task in BUILT_IN or task.startswith(("lehr.recipes.", "lehr.tasks.")):
        return ("numpy", "keras", *_BACKENDS.get(backend, ()))
    return ("numpy", "keras", "optax", *itertools.chain(*_BACKENDS.values()))


def environment_key(task: str, source: str, backend: str | None) -> str:
    """Return the hash of a study's backend, versions, task file and GPUs, shared by all its jobs.

    ``source`` is the hash of the task file; ``backend=None`` uses the environment's backend.
    """
    used = backend or usual_backend()
    key: dict[str, Any] = {"backend": used, "versions": versions(task, used), "source": source}
    if models := sorted({gpu.model for gpu in gpus()}):
        # JAX_PLATFORMS=cpu trains on the CPU of a machine with a GPU
        key |= {"gpus": models, "platforms": os.environ.get("JAX_PLATFORMS")}
    return _digest(key)


def cache_key(job: Job, environment_key: str) -> str:
    """Return the hash of a job's definition and its environment."""
    return _digest({"job": job, "batch": environment_key})  # "batch": as in lehr 0.1


def study_id(definition: dict[str, Any]) -> str:
    """Return the 8-digit hash of a study's definition; it depends on the order of the entries."""
    return hashlib.sha256(json.dumps(definition).encode()).hexdigest()[:8]


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:32]
