"""The learner interface: a training run that can be saved and restored."""

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
    """A training run with snapshots: one model, one optimizer, one data set.

    The order of the data depends only on (seed, epoch): learners with the same seed train on the
    same batches.
    """

    steps_per_epoch: int
    """Optimizer updates in one pass over the training data."""

    _batches: Batches

    @abstractmethod
    def evaluate(self, split: str = "validation") -> dict[str, float]:
        """Compute the metrics on a split; the state of the run does not change.

        Args:
            split: "validation" or "test".

        Returns:
            The metrics by name, "loss" among them.

        Raises:
            ValueError: if the learner was constructed without this split.
        """

    @abstractmethod
    def snapshot(self) -> Snapshot:
        """Return a copy of the state of the run: everything that affects the next update."""

    @abstractmethod
    def restore(self, snapshot: Snapshot) -> None:
        """Restore the state of a snapshot.

        The next update is bit-identical to the update that followed the snapshot.

        Raises:
            ValueError: if the snapshot is of a different model or optimizer.
        """

    def rows(self, step: int) -> Any:
        """Return the indices of the training rows in the batch of an update."""
        return self._batches[step]

    @contextlib.contextmanager
    def preserved(self) -> Iterator[None]:
        """Return a context manager that restores the state of the run on exit."""
        before = self.snapshot()
        try:
            yield
        finally:
            self.restore(before)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Save a snapshot to an ``.npz`` file; the write is atomic."""
        self.snapshot().save(path)

    def load(self, path: str | os.PathLike[str]) -> None:
        """Restore the run from a file written by `save`."""
        self.restore(Snapshot.load(path))
