"""The local engine: single-threaded worker processes, by default one per GPU or per core.

A worker runs its jobs in sequence, so imports and compiled functions are reused; jobs of its last
seed have priority. A worker process that dies is replaced, and its job resumes from its last
checkpoint.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import selectors
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

from lehr.schedule.errors import integer
from lehr.study.engines.engine import Engine, Event, Orders, log_tail
from lehr.study.environment import (
    check_installed,
    default_workers,
    usual_backend,
    worker_environment,
)

_MOST_DEATHS = 3
_POLL_SECONDS = 0.2  # between two checks that a worker process lives


class _Worker:
    """One worker process; messages pass through a socket that no other code reads or writes."""

    def __init__(self, backend: str, cache: Path, slot: int) -> None:
        self.channel, theirs = socket.socketpair()
        with theirs, contextlib.ExitStack() as if_not_started:
            if_not_started.enter_context(self.channel)
            self.process = subprocess.Popen(
                # -P: files of the current folder do not replace the modules of libraries
                [sys.executable, "-P", "-m", "lehr.study.engines.worker", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=2,  # prints of the start, before the first log
                env=worker_environment(backend, cache, slot),
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # Ctrl-C reaches only the driver process
            )
            if_not_started.pop_all()

    def run(self, name: str, order: dict[str, Any]) -> Iterator[Event]:
        """Run a job and yield its events; without a final event if the process dies."""
        try:
            self.channel.sendall(f"{json.dumps(order)}\n".encode())
        except ConnectionError:
            return
        for line in self._replies():
            payload = json.loads(line)
            event = Event(name, payload.pop("event"), payload)
            yield event
            if event.kind != "progress":
                return

    def _replies(self) -> Iterator[bytes]:
        """Yield lines until the process ends; its children may have the socket open for longer."""
        received = b""
        with selectors.DefaultSelector() as selector, contextlib.suppress(ConnectionError):
            selector.register(self.channel, selectors.EVENT_READ)
            while True:
                ended = self.process.poll() is not None
                if selector.select(0 if ended else _POLL_SECONDS):
                    data = self.channel.recv(2**16)
                    *lines, received = (received + data).split(b"\n")
                    yield from lines
                    ended = not data
                if ended:
                    return

    def kill(self) -> None:
        """Kill the process and the processes it has started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):  # it has ended
            os.killpg(self.process.pid, signal.SIGKILL)

    def close(self) -> int:
        """Wait for the process to end, and return its exit code."""
        self.channel.close()
        return self.process.wait()


class LocalEngine(Engine):
    """Worker processes on this machine, reused by several calls of `run`.

    Args:
        workers: number of processes; None: one per GPU, or one per core without a GPU.
        cache: folder of JAX's compilation cache.
        backend: Keras backend; None: the environment's backend.

    Raises:
        ValueError: if ``workers`` is below 1 or the backend is not installed.
    """

    def __init__(self, workers: int | None, cache: Path, backend: str | None = None) -> None:
        self.count = default_workers() if workers is None else integer("workers", workers)
        if backend is not None:
            check_installed(backend)
        self._cache, self._backend = cache, backend or usual_backend()
        self._workers: dict[int, _Worker] = {}
        self._seeds: dict[int, object] = {}  # task options and seed of each worker's cached learner
        self._waiting: Orders = {}
        self._events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._closed = False

    def __exit__(self, *error: object) -> None:
        for worker in self._workers.values():
            worker.close()

    def events(self, orders: Orders) -> Generator[Event]:
        self._waiting = dict(orders)
        threads = [
            threading.Thread(target=self._run_jobs, args=(slot,), daemon=True)
            for slot in range(min(self.count, len(orders)))
        ]
        for thread in threads:
            thread.start()
        running = len(threads)
        try:
            while running:
                event = self._events.get()
                if event is None:
                    running -= 1
                else:
                    yield event
        finally:
            if running:  # interrupted, or the caller stopped: stop the jobs
                with self._lock:
                    self._closed = True
                    self._waiting.clear()
                    for worker in self._workers.values():
                        worker.kill()
            for thread in threads:
                thread.join()

    def _run_jobs(self, slot: int) -> None:
        """Run jobs in one worker slot until none is waiting."""
        try:
            while taken := self._take(slot):
                try:
                    self._run_job(slot, *taken)
                except Exception as error:  # the process cannot start, or its reply is truncated
                    if worker := self._drop(slot):
                        worker.kill()
                        worker.close()
                    log = f"{type(error).__name__}: {error}"
                    self._events.put(Event(taken[0], "failed", {"log": log}))
        finally:
            self._events.put(None)

    def _run_job(self, slot: int, name: str, order: dict[str, Any]) -> None:
        """Run one job; if its process dies, start a new one, up to 3 times."""
        self._events.put(Event(name, "started", {}))
        for _ in range(_MOST_DEATHS):
            if (worker := self._worker(slot)) is None:
                return
            for event in worker.run(name, order):
                self._events.put(event)
                if event.kind != "progress":
                    return
            self._drop(slot)
            worker.kill()  # the processes that it has started
            code = worker.close()
        self._events.put(Event(name, "failed", {"log": _died(code, order)}))

    def _drop(self, slot: int) -> _Worker | None:
        with self._lock:
            return self._workers.pop(slot, None)

    def _worker(self, slot: int) -> _Worker | None:
        """Return the worker of a slot, started if necessary; None if the engine has stopped."""
        with self._lock:
            if self._closed:
                return None
            if slot not in self._workers:
                self._workers[slot] = _Worker(self._backend, self._cache, slot)
            return self._workers[slot]

    def _take(self, slot: int) -> tuple[str, dict[str, Any]] | None:
        """Return the next job: of this worker's last seed, else of a seed of no other worker."""
        with self._lock:
            last = self._seeds.get(slot)
            others = {seed for other, seed in self._seeds.items() if other != slot}

            def rank(name: str) -> tuple[bool, bool]:
                seed = _seed(self._waiting[name])
                return seed != last, seed in others

            if not self._waiting:
                return None
            name = min(self._waiting, key=rank)
            order = self._waiting.pop(name)
            self._seeds[slot] = _seed(order)
            return name, order


def _seed(order: dict[str, Any]) -> object:
    return order["seed"], json.dumps(order["options"], sort_keys=True)


def _died(code: int, order: dict[str, Any]) -> str:
    how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    tail = log_tail(Path(order["log"]))
    return f"its worker process died {_MOST_DEATHS} times, the last time with {how}\n{tail}"
