"""The batches of a range test, from arrays or from any iterable of batches."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import keras
import numpy as np

from lehr.learner import Batches
from lehr.schedule.errors import fail

_RULE = "(x, y) or (x, y, sample_weight), or an iterable of such batches"


class Source:
    """Batches of one shape; an iterable is restarted when it ends.

    Args:
        field: name of the data in errors.
        data: a tuple of arrays, which may be nested, or an iterable of batches.
        size: rows in a batch of arrays.
        seed: of the order of arrays.
        targets: whether batches need targets.
    """

    def __init__(self, field: str, data: Any, size: int, seed: int, targets: bool) -> None:
        self.field, self.targets = field, targets
        self._data: Iterable[Any]
        if isinstance(data, tuple):
            arrays = self.checked(data)
            order = Batches(_rows(arrays), size, seed)
            self._data = (taken(arrays, order[step]) for step in itertools.count())
        elif isinstance(data, Iterable) and not isinstance(data, str | dict | np.ndarray):
            self._data = data
        else:
            fail(field, _RULE, type(data).__name__)
        self._left: Iterator[Any] = iter(())
        self.first = self._next()
        self._left = itertools.chain([self.first], self._left)

    def take(self, count: int) -> list[Any]:
        """Return the next batches."""
        return [self._next() for _ in range(count)]

    def _next(self) -> Any:
        for _ in range(2):
            for given in self._left:
                batch = self.checked(given)
                if not hasattr(self, "first") or self._fits(batch):
                    return batch
            self._left = iter(self._data)
        rule = "one with a batch for each update, or that can be begun again"
        fail(self.field, rule, self._data)

    def _fits(self, batch: Any) -> bool:
        """Return whether a batch is like the first; a smaller one is left out."""
        rows, row = _rows(batch), shape(batch)
        wanted = shape(self.first)
        if row != wanted or rows > _rows(self.first):
            rule = f"batches of one shape: {_rows(self.first)} rows of {wanted}"
            fail(self.field, rule, f"{rows} rows of {row}", "pad them to one shape")
        return rows == _rows(self.first)

    def checked(self, batch: Any) -> Any:
        """Return a batch as a tuple of one to three parts, nested NumPy arrays."""
        parts = batch if isinstance(batch, tuple | list) else (batch,)
        while len(parts) > 1 and parts[-1] is None:
            parts = parts[:-1]
        if not len(parts) <= 3 or len(parts) < 1 + self.targets:
            fail(self.field, _RULE, f"{type(batch).__name__} of {len(parts)}")
        arrays = keras.tree.map_structure(_array, tuple(parts))
        leaves = keras.tree.flatten(arrays)
        counts = sorted({leaf.shape[0] if leaf.ndim else 0 for leaf in leaves})
        if len(counts) != 1 or counts == [0]:
            fail(self.field, "arrays of one length, above 0", counts)
        return arrays


def joined(batches: list[Any]) -> Any:
    """Return several batches as one."""
    return keras.tree.map_structure(lambda *parts: np.concatenate(parts), *batches)


def _array(leaf: Any) -> Any:
    array = leaf if isinstance(leaf, np.ndarray) else keras.ops.convert_to_numpy(leaf)
    # as fit does
    return array.astype(keras.backend.floatx()) if array.dtype == np.float64 else array


def taken(arrays: Any, rows: Any) -> Any:
    """Return some rows of nested arrays."""
    return keras.tree.map_structure(lambda array: array[rows], arrays)


def shape(arrays: Any) -> Any:
    """Return the shape of a row, nested as the batch is."""
    return keras.tree.map_structure(lambda array: array.shape[1:], arrays)


def _rows(arrays: Any) -> int:
    return int(keras.tree.flatten(arrays)[0].shape[0])
