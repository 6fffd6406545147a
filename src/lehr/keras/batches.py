"""Batches of a range test, from arrays or from any iterable of batches."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import keras
import numpy as np

from lehr.learner import Batches
from lehr.schedule.errors import fail, integer, number

_RULE = "(x, y) or (x, y, sample_weight), or an iterable of such batches"


class Source:
    """Batches of one shape; an iterable is restarted at its end.

    Args:
        field: name of the argument in error messages.
        data: a tuple of arrays, which may be nested, or an iterable of batches.
        size: number of rows per batch of arrays.
        seed: seed of the order of arrays.
        targets: whether batches must have targets.
        class_weight: weights of the classes, from which sample weights are computed, or None.

    Raises:
        ValueError: if the data has another form, no complete batch, or several shapes.
    """

    def __init__(
        self,
        field: str,
        data: Any,
        size: int,
        seed: int,
        targets: bool,
        class_weight: Mapping[int, float] | None = None,
    ) -> None:
        self.field, self.targets, self.class_weight = field, targets, class_weight
        self._data: Iterable[Any]
        if isinstance(data, tuple):
            arrays = self._arrays(data)
            order = Batches(_rows(arrays), size, seed)
            self._data = (taken(arrays, order[step]) for step in itertools.count())
        elif isinstance(data, Iterable) and not isinstance(data, str | dict | np.ndarray):
            self._data = data
        else:
            fail(field, _RULE, type(data).__name__)
        self._left: Iterator[Any] = iter(())
        self.first = self._next()
        self._ready = [self.first]  # batches read from the data, but not returned yet

    def take(self, count: int) -> list[Any]:
        """Return the next ``count`` batches."""
        return [self._ready.pop() if self._ready else self._next() for _ in range(count)]

    def _next(self) -> Any:
        for _ in range(2):
            for raw in self._left:
                batch = self.checked(raw)
                if not hasattr(self, "first") or self._fits(batch):
                    return batch
            self._left = iter(self._data)
        rule = "an iterable with a batch for each update, or one that can be restarted"
        fail(self.field, rule, self._data)

    def _fits(self, batch: Any) -> bool:
        """Return whether a batch has the size of the first; raise for another shape."""
        rows, row = _rows(batch), shape(batch)
        wanted = shape(self.first)
        if row != wanted or rows > _rows(self.first):
            rule = f"batches of one shape: {_rows(self.first)} rows of {wanted}"
            fail(self.field, rule, f"{rows} rows of {row}", "pad them to one shape")
        return rows == _rows(self.first)

    def checked(self, batch: Any) -> Any:
        """Convert a batch to a tuple of one to three parts, which are nested NumPy arrays."""
        arrays = self._arrays(batch)
        if self.class_weight is None:
            return arrays
        if len(arrays) == 3:
            fail("class_weight", "None with sample weights", self.class_weight)
        if len(arrays) == 1 or keras.tree.is_nested(arrays[1]):
            fail("class_weight", "None unless the model has one output", self.class_weight)
        return *arrays, _class_weights(arrays[1], self.class_weight)

    def _arrays(self, batch: Any) -> Any:
        parts = batch if isinstance(batch, tuple | list) else (batch,)
        while len(parts) > 1 and parts[-1] is None:
            parts = parts[:-1]
        if not len(parts) <= 3 or len(parts) < 1 + self.targets:
            fail(self.field, _RULE, f"{type(batch).__name__} of {len(parts)}")
        arrays = keras.tree.map_structure(_array, tuple(parts))
        leaves = keras.tree.flatten(arrays)
        counts = sorted({leaf.shape[0] if leaf.ndim else 0 for leaf in leaves})
        if len(counts) != 1 or counts == [0]:
            fail(self.field, "arrays of the same length, above 0", counts)
        return arrays


def check_class_weight(class_weight: Any) -> None:
    """Raise unless ``class_weight`` is a dict that maps class indices to weights."""
    if not isinstance(class_weight, Mapping):
        fail("class_weight", "a dict {class: weight}", class_weight, error=TypeError)
    for label, weight in class_weight.items():
        integer("class in class_weight", label, at_least=0)
        number(f"class_weight[{label}]", weight)


def _class_weights(targets: Any, class_weight: Mapping[int, float]) -> Any:
    """Return the weight of each sample; classes without a weight have 1, as in ``fit``."""
    one_hot = targets.ndim > 1 and targets.shape[-1] != 1
    labels = targets.argmax(-1) if one_hot else np.round(targets)
    if labels.size != len(targets):
        fail("class_weight", "None unless there is one class per sample", class_weight)
    weights = [class_weight.get(int(label), 1.0) for label in labels.flat]
    return np.array(weights, keras.backend.floatx())


def joined(batches: list[Any]) -> Any:
    """Concatenate batches into one."""
    return keras.tree.map_structure(lambda *parts: np.concatenate(parts), *batches)


def host_array(leaf: Any) -> Any:
    """Convert an array, or a tensor of any framework on any device, to a NumPy array."""
    if hasattr(leaf, "detach"):  # a torch tensor, which is used with all backends
        leaf = leaf.detach().cpu()
    return np.asarray(keras.ops.convert_to_numpy(leaf))


def _array(leaf: Any) -> Any:
    array = host_array(leaf)
    # fit converts float64 to floatx
    return array.astype(keras.backend.floatx()) if array.dtype == np.float64 else array


def taken(arrays: Any, rows: Any) -> Any:
    """Index the rows of nested arrays."""
    return keras.tree.map_structure(lambda array: array[rows], arrays)


def shape(arrays: Any) -> Any:
    """Return the shape of a row, in the structure of the batch."""
    return keras.tree.map_structure(lambda array: array.shape[1:], arrays)


def _rows(arrays: Any) -> int:
    return int(keras.tree.flatten(arrays)[0].shape[0])
