"""Mini-batch order of the training data, computed from a seed and the epoch."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import Any

from lehr.schedule.errors import fail, integer


class Batches:
    """Row indices of the mini-batch of each step.

    The rows are permuted in every epoch; the permutation depends only on (seed, epoch). An
    incomplete last batch of an epoch is dropped, so all updates average over the same number of
    rows.

    Args:
        rows: number of training rows.
        size: rows in one batch, at most ``rows``.
        seed: seed of the permutations, at least 0.

    Attributes:
        per_epoch: number of batches in an epoch.

    Raises:
        TypeError: if ``size`` or ``seed`` is not an integer.
        ValueError: if ``size`` is below 1 or above ``rows``, or ``seed`` is negative.

    >>> batches = Batches(rows=10, size=4, seed=0)
    >>> batches.per_epoch, sorted(len(batches[step]) for step in range(4))
    (2, [4, 4, 4, 4])
    """

    def __init__(self, rows: int, size: int, seed: int) -> None:
        self.size, self.seed = integer("batch_size", size), integer("seed", seed, at_least=0)
        if size > rows:
            fail("batch_size", f"at most the {rows} training rows", size)
        self.rows = rows
        self.per_epoch = rows // size
        self._epoch = -1
        self._order: Any = None

    def __getitem__(self, step: int) -> Any:
        """Return the row indices of the batch of a step, a NumPy array of shape ``(size,)``."""
        import numpy as np

        epoch, i = divmod(step, self.per_epoch)
        if epoch != self._epoch:
            generator = np.random.Generator(np.random.PCG64([self.seed, epoch]))
            self._epoch, self._order = epoch, generator.permutation(self.rows)
        return self._order[i * self.size : (i + 1) * self.size]


def cycled(field: str, batches: Iterable[Any]) -> Generator[Any, None, None]:
    """Return a generator of batches without end; the iterable is restarted at its end.

    Args:
        field: name of the argument in error messages.
        batches: any iterable of batches.

    Raises:
        TypeError: if ``batches`` is not iterable.
        ValueError: at the next batch, if the iterable is empty or is an exhausted iterator.

    >>> first = cycled("batches", [1, 2])
    >>> [next(first) for _ in range(5)]
    [1, 2, 1, 2, 1]
    """
    if not hasattr(batches, "__iter__") and not hasattr(batches, "__getitem__"):
        fail(field, "an iterable of batches", batches, error=TypeError)
    return _cycle(field, batches)


def _cycle(field: str, batches: Iterable[Any]) -> Generator[Any, None, None]:
    while True:
        empty = True
        for batch in batches:
            empty = False
            yield batch
        if empty:
            fail(
                field,
                "an iterable with a batch for each update, or one that can be restarted",
                batches,
            )
