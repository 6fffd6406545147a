"""The interface of a training run that can be controlled, saved and restored."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from lehr.learner.snapshot import Snapshot
from lehr.learner.trace import Trace
from lehr.policy import Policy


class Learner(ABC):
    """A training run that can be driven: one model, its optimizer, its data.

    The order of the data is a function of (seed, epoch), so a snapshot holds its position as one
    number, and learners made from one seed see the same batches.
    """

    steps_per_epoch: int
    """Optimizer updates in one pass over the training data."""

    @abstractmethod
    def train(
        self,
        policy: Policy,
        steps: int,
        *,
        first: int = 0,
        factor: float = 1.0,
        until: Callable[[Trace], bool] | None = None,
    ) -> Trace:
        """Make ``steps`` updates under a policy and return what happened.

        Args:
            policy: in whole steps.
            steps: number of updates.
            first: the policy's step at the first of these updates.
            factor: a controller's factor on the learning rate.
            until: asked with the trace so far between blocks of updates; True stops.
        """

    @abstractmethod
    def evaluate(self, split: str = "validation") -> dict[str, float]:
        """Return the metrics on a split, "validation" or "test", leaving the run as it was."""

    @abstractmethod
    def snapshot(self) -> Snapshot:
        """Return a copy of everything the next update depends on."""

    @abstractmethod
    def restore(self, snapshot: Snapshot) -> None:
        """Put the run back: the next update is bit-identical to the one that would have come."""

    def rows(self, step: int) -> Any:
        """Return the numbers of the training rows in the batch of one update of the run.

        What pairs runs asks for them; a run over a user's own loader has none to tell, and a range
        test does not ask.
        """
        # not abstract: a Learner for range tests alone has no rows to tell
        raise NotImplementedError(f"{type(self).__name__} does not know its rows")

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a snapshot to a file."""
        self.snapshot().save(path)

    def load(self, path: str | os.PathLike[str]) -> None:
        """Restore from a file."""
        self.restore(Snapshot.load(path))
