"""The environment of worker processes: Keras backend, one thread and one GPU per process."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

from lehr.schedule.errors import fail
from lehr.study.gpus import gpus

BACKENDS = ("jax", "tensorflow", "torch")
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "NPROC": "1",  # XLA's thread pool
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
    "TF_CPP_MIN_LOG_LEVEL": "2",
}
_SHARED_MEMORY = {  # JAX and TensorFlow otherwise reserve the memory of a GPU for one process
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",
}


def usual_backend() -> str:
    """Return the Keras backend of a study that does not name one."""
    return os.environ.get("KERAS_BACKEND", "jax")


def check_installed(backend: str) -> None:
    """Raise unless a Keras backend is installed."""
    if importlib.util.find_spec(backend) is None:
        package = {"tensorflow": "tensorflow-cpu"}.get(backend, backend)
        fail("backend", "installed", backend, f"pip install {package}")


def cores() -> int:
    """Return the number of cores available to this process."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def default_workers() -> int:
    """Return the default number of worker processes: one per GPU, otherwise one per core."""
    return len(gpus()) or cores()


def worker_environment(backend: str, cache: Path, slot: int = 0) -> dict[str, str]:
    """Return a worker's environment variables: one thread, one GPU, import paths, JAX's cache.

    Flags that the user has set for XLA, JAX's cache or the memory of a GPU are preserved.
    """
    found = gpus()
    flags = " ".join(filter(None, [ONE_THREAD["XLA_FLAGS"], os.environ.get("XLA_FLAGS")]))
    return {
        "JAX_COMPILATION_CACHE_DIR": str(cache.absolute()),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        **(_SHARED_MEMORY if found else {}),
        **os.environ,
        **ONE_THREAD,
        "XLA_FLAGS": flags,  # of two equal flags, the last one is used
        "KERAS_BACKEND": backend,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        **({"CUDA_VISIBLE_DEVICES": found[slot % len(found)].id} if found else {}),
    }
