"""A training run that can be saved and restored."""

from __future__ import annotations

import contextlib
import os
from abc import abstractmethod
from collections.abc import Iterator
from typing import Any

from lehr.learner.batches import Batches
from lehr.learner.run import TrainingRun
from lehr.learner.snapshot import Snapshot


class Learner(TrainingRun):
    """A training run with snapshots: one model, its optimizer, its data.

    The order of the data is a function of (seed, epoch): learners of one seed use the same batches.
    """

    steps_per_epoch: int
    """Optimizer updates in one pass over the training data."""

    _batches: Batches

    @abstractmethod
    def evaluate(self, split: str = "validation") -> dict[str, float]:
        """Return the metrics on a split, "validation" or "test", without changing the run."""

    @abstractmethod
    def snapshot(self) -> Snapshot:
        """Return a copy of everything the next update depends on."""

    @abstractmethod
    def restore(self, snapshot: Snapshot) -> None:
        """Restore a snapshot: the next update is bit-identical to the one after the snapshot."""

    def rows(self, step: int) -> Any:
        """Return the indices of the training rows in the batch of one update of the run."""
        return self._batches[step]

    @contextlib.contextmanager
    def preserved(self) -> Iterator[None]:
        """Restore the run at the end of the context."""
        before = self.snapshot()
        try:
            yield
        finally:
            self.restore(before)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a snapshot to a file."""
        self.snapshot().save(path)

    def load(self, path: str | os.PathLike[str]) -> None:
        """Restore a snapshot from a file."""
        self.restore(Snapshot.load(path))
