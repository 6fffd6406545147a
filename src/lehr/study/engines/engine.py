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

_LOG_LINES, _LINE_LENGTH = 30, 2000  # printed of a log


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
    """Return the last lines of a log, and its path if they are not its complete text."""
    if not path.exists():
        return "no log was written"
    text = path.read_text(errors="replace").strip()
    tail = shortened(text)
    return tail if tail == text else f"{tail}\n(the complete log is {path})"


def shortened(text: str) -> str:
    """Return the last lines of a text, each with its first characters."""
    lines = text.splitlines()[-_LOG_LINES:]
    return "\n".join(
        line if len(line) <= _LINE_LENGTH else f"{line[:_LINE_LENGTH]}..." for line in lines
    )
