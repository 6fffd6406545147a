"""The local engine: each job in a process of its own with one thread, as many as cores."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from lehr.study.definition import Job

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


class TrialError(RuntimeError):
    """A job failed; the message ends with its log."""


def run_jobs(jobs: dict[str, Job], workers: int | None) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (name, result) as jobs finish; a failing one is raised after the others."""
    running: set[subprocess.Popen[bytes]] = set()
    errors: list[TrialError] = []
    with (
        tempfile.TemporaryDirectory(prefix="lehr-") as folder,
        ThreadPoolExecutor(workers or cores()) as pool,
    ):
        futures = {
            pool.submit(_run, job, Path(folder, name), running): name for name, job in jobs.items()
        }
        try:
            for future in as_completed(futures):
                try:
                    result = future.result()
                except TrialError as error:
                    errors.append(error)
                    continue
                yield futures[future], result
        finally:  # interrupted, or the caller stopped: let nothing run on
            pool.shutdown(wait=False, cancel_futures=True)
            for process in list(running):
                process.kill()
    if errors:
        raise errors[0]


def _run(job: Job, place: Path, running: set[subprocess.Popen[bytes]]) -> dict[str, Any]:
    result, log = place.with_suffix(".json"), place.with_suffix(".log")
    environment = {
        "KERAS_BACKEND": backend(),
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),  # it finds what the driver finds
        # the processes of a study compile the same programs: only the first needs to
        "JAX_COMPILATION_CACHE_DIR": str(place.parent / "jax"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "lehr.study.worker", str(result)],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | ONE_THREAD | environment,
            start_new_session=True,  # Ctrl-C is the driver's to handle
        )
        running.add(process)
        try:
            process.communicate(json.dumps(job).encode())
        finally:
            running.discard(process)
    if process.returncode != 0:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-30:])
        what = f"{job['kind']} on {job['task']}, seed {job['seed']}"
        raise TrialError(f"{what} failed with exit code {process.returncode}:\n{tail}")
    return json.loads(result.read_text())  # type: ignore[no-any-return]


def backend() -> str:
    """Return the Keras backend of the workers."""
    return os.environ.get("KERAS_BACKEND", "jax")


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
