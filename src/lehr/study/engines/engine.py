"""The interface of engines: what runs the jobs of a study, and how it reports on them."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from lehr.study.jobs import Job, describe

Orders = dict[str, dict[str, Any]]

_LOG_LINES = 30


class TrialError(RuntimeError):
    """Jobs failed; the message ends with the log of the first."""


@dataclass(frozen=True)
class Event:
    """A change of a job's state.

    Attributes:
        name: cache key of the job.
        kind: "started", "moved", "finished" or "failed".
        payload: for "moved": "step", "steps", "lr", "loss"; for "failed": "log".
    """

    name: str
    kind: str
    payload: dict[str, Any]


class Engine(ABC):
    """Runs jobs; a context manager that ends its worker processes."""

    def __enter__(self) -> Self:
        return self

    @abstractmethod
    def __exit__(self, *error: object) -> None:
        """End the worker processes."""

    @abstractmethod
    def events(self, orders: Orders) -> Generator[Event]:
        """Run jobs and yield their events; closing the generator stops the jobs."""

    def run(
        self, orders: Orders, report: Callable[[Event], None] = lambda event: None
    ) -> Generator[str]:
        """Run jobs and yield the name of each that finishes; failures are raised at the end.

        An order is the message to a job's worker: the job and the paths of its "record", "log" and
        "checkpoints".

        Raises:
            TrialError: if jobs failed.
        """
        failed: list[Event] = []
        with contextlib.closing(self.events(orders)) as events:
            for event in events:
                report(event)
                if event.kind == "finished":
                    yield event.name
                elif event.kind == "failed":
                    failed.append(event)
        if failed:
            first = failed[0]
            others = f" (and {len(failed) - 1} more jobs)" if len(failed) > 1 else ""
            job: Job = orders[first.name]
            raise TrialError(f"{describe(job)} failed{others}:\n{first.payload['log']}")


def log_tail(path: Path) -> str:
    """Return the last lines of a log."""
    if not path.exists():
        return "it left no log"
    return "\n".join(path.read_text(errors="replace").splitlines()[-_LOG_LINES:])
