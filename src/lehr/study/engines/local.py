"""The local engine: worker processes of one thread each, as many as cores.

A worker takes one job after another, so that what it has imported and compiled serves them all,
and prefers jobs of the seed it has just had. One that is killed is replaced, and its job goes on
from its last checkpoint.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from lehr.schedule.errors import fail, whole
from lehr.study.jobs import Job

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
_MOST_DEATHS = 3
_LOG_LINES = 30


class TrialError(RuntimeError):
    """Jobs failed; the message ends with the first one's log."""


@dataclass(frozen=True)
class Event:
    """What a worker has to say about a job.

    Attributes:
        name: the job's.
        kind: "started", "moved", "finished" or "failed".
        payload: of a job that moved: "step", "steps", "lr", "loss"; of one that failed: "log".
    """

    name: str
    kind: str
    payload: dict[str, Any]


def environment(backend: str, cache: Path) -> dict[str, str]:
    """Return the environment of a worker: one thread, what the driver finds, JAX's cache."""
    return {
        **os.environ,
        **ONE_THREAD,
        "KERAS_BACKEND": backend,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "JAX_COMPILATION_CACHE_DIR": str(cache.absolute()),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }


class Worker:
    """One worker process."""

    def __init__(self, backend: str, cache: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "lehr.study.engines.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(backend, cache),
            start_new_session=True,  # Ctrl-C is the driver's to handle
        )

    def ask(self, name: str, order: dict[str, Any]) -> Iterator[Event]:
        """Have a job done and yield what happens; it ends too soon if the process dies."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps(order) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            return
        for line in self.process.stdout:
            payload = json.loads(line)
            event = Event(name, payload.pop("event"), payload)
            yield event
            if event.kind != "moved":
                return

    def kill(self) -> None:
        """Kill the process and whatever it has started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def close(self) -> int:
        """Let the process end, and return its exit code."""
        with contextlib.suppress(BrokenPipeError), self.process:
            pass
        return self.process.returncode


class Pool:
    """Workers that live as long as the pool, so that what they hold serves several lists of jobs.

    Args:
        workers: processes at a time; one per core if None.
        cache: a folder for what the processes compile alike: only the first needs to.
        backend: of Keras in the processes; that of the environment if None.

    Raises:
        ValueError: if ``workers`` is below 1 or the backend is not installed.
    """

    def __init__(self, workers: int | None, cache: Path, backend: str | None = None) -> None:
        self.count = cores() if workers is None else whole("workers", workers)
        if backend is not None:
            check_installed(backend)
        self._cache, self._backend = cache, backend or usual_backend()
        self._workers: dict[int, Worker] = {}
        self._seeds: dict[int, object] = {}  # what each worker has at hand
        self._waiting: dict[str, tuple[object, dict[str, Any]]] = {}
        self._events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for worker in self._workers.values():
            worker.close()

    def run(
        self,
        orders: dict[str, dict[str, Any]],
        report: Callable[[Event], None] = lambda event: None,
    ) -> Generator[str]:
        """Yield the names of jobs as they finish; what failed is raised after the others.

        Args:
            orders: what each job's worker is told, by the job's name: the job itself and where
                its "record", "log" and "checkpoints" go.
            report: called with whatever happens.

        Raises:
            TrialError: if jobs failed.
        """
        failed: list[Event] = []
        for event in self._happening(orders):
            report(event)
            if event.kind == "finished":
                yield event.name
            elif event.kind == "failed":
                failed.append(event)
        if failed:
            first = failed[0]
            others = f" (and {len(failed) - 1} more jobs)" if len(failed) > 1 else ""
            what = f"{describe(orders[first.name])} failed{others}:\n{first.payload['log']}"
            raise TrialError(what)

    def _happening(self, orders: dict[str, dict[str, Any]]) -> Iterator[Event]:
        self._waiting = {name: (_seed(order), order) for name, order in orders.items()}
        threads = [
            threading.Thread(target=self._work, args=(place,), daemon=True)
            for place in range(min(self.count, len(orders)))
        ]
        for thread in threads:
            thread.start()
        left = len(threads)
        try:
            while left:
                event = self._events.get()
                if event is None:
                    left -= 1
                else:
                    yield event
        finally:
            if left:  # interrupted, or the caller stopped: let nothing run on
                with self._lock:
                    self._closed = True
                    self._waiting.clear()
                    for worker in self._workers.values():
                        worker.kill()
            for thread in threads:
                thread.join()

    def _work(self, place: int) -> None:
        """Have jobs done in one place until there are none."""
        try:
            while taken := self._take(place):
                try:
                    self._do(place, *taken)
                except Exception as error:  # no process to be had, or a reply cut short
                    if worker := self._drop(place):
                        worker.kill()
                        worker.close()
                    log = f"{type(error).__name__}: {error}"
                    self._events.put(Event(taken[0], "failed", {"log": log}))
        finally:
            self._events.put(None)

    def _do(self, place: int, name: str, order: dict[str, Any]) -> None:
        """Have one job done, by a new process if one dies over it."""
        self._events.put(Event(name, "started", {}))
        for _ in range(_MOST_DEATHS):
            if (worker := self._worker(place)) is None:
                return
            for event in worker.ask(name, order):
                self._events.put(event)
                if event.kind != "moved":
                    return
            self._drop(place)
            code = worker.close()
        self._events.put(Event(name, "failed", {"log": _died(code, order)}))

    def _drop(self, place: int) -> Worker | None:
        with self._lock:
            return self._workers.pop(place, None)

    def _worker(self, place: int) -> Worker | None:
        """Return the worker of a place, a new one if it has none; None if all is to end."""
        with self._lock:
            if self._closed:
                return None
            if place not in self._workers:
                self._workers[place] = Worker(self._backend, self._cache)
            return self._workers[place]

    def _take(self, place: int) -> tuple[str, dict[str, Any]] | None:
        """Return the next job: of the worker's own seed, else of one that no other worker has."""
        with self._lock:
            own = self._seeds.get(place)
            others = {seed for other, seed in self._seeds.items() if other != place}

            def rank(name: str) -> tuple[bool, bool]:
                seed = self._waiting[name][0]
                return seed != own, seed in others

            if not self._waiting:
                return None
            name = min(self._waiting, key=rank)
            self._seeds[place], order = self._waiting.pop(name)
            return name, order


def describe(job: Job) -> str:
    """Return a job in a few words."""
    words = {"sweep": "range test", "probe": "timing"}.get(job["kind"], job["kind"])
    return f"{words} on {job['task']}, seed {job['seed']}"


def log_tail(path: Path) -> str:
    """Return the last lines of a log."""
    if not path.exists():
        return "it left no log"
    return "\n".join(path.read_text(errors="replace").splitlines()[-_LOG_LINES:])


def _seed(order: dict[str, Any]) -> object:
    return order["seed"], json.dumps(order["options"], sort_keys=True)


def _died(code: int, order: dict[str, Any]) -> str:
    how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    tail = log_tail(Path(order["log"]))
    return f"its process ended {_MOST_DEATHS} times, the last time by {how}\n{tail}"


def usual_backend() -> str:
    """Return the Keras backend of what does not name one."""
    return os.environ.get("KERAS_BACKEND", "jax")


def check_installed(backend: str) -> None:
    """Raise unless a Keras backend is installed."""
    if importlib.util.find_spec(backend) is None:
        package = {"tensorflow": "tensorflow-cpu"}.get(backend, backend)
        fail("backend", "installed", backend, f"pip install {package}")


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
