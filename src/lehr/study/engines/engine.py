"""The interface of engines, which run the jobs of a study and report events."""

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
    """One or more jobs failed; the message ends with the log of the first failed job."""


@dataclass(frozen=True)
class Event:
    """A change of a job's state.

    Attributes:
        name: cache key of the job.
        kind: "started", "progress", "finished" or "failed".
        payload: for "progress": "step", "steps", "lr", "loss"; for "failed": "log".
    """

    name: str
    kind: str
    payload: dict[str, Any]


class Engine(ABC):
    """Base class of engines; a context manager that ends its worker processes on exit."""

    def __enter__(self) -> Self:
        return self

    @abstractmethod
    def __exit__(self, *error: object) -> None:
        """End the worker processes."""

    @abstractmethod
    def events(self, orders: Orders) -> Generator[Event]:
        """Run jobs and yield their events; the jobs are stopped when the generator is closed."""

    def run(
        self, orders: Orders, report: Callable[[Event], None] = lambda event: None
    ) -> Generator[str]:
        """Run jobs and yield the name of each finished job; failures are raised at the end.

        Args:
            orders: messages to the workers, by cache key: the job and the paths of its "record",
                "log" and "checkpoints".
            report: called with each event.

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
        return "no log was written"
    return "\n".join(path.read_text(errors="replace").splitlines()[-_LOG_LINES:])
