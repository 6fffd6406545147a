"""The state of a Keras model that the next update depends on, and the optimizer that trains it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from lehr.keras import _private
from lehr.learner import Snapshot
from lehr.schedule.errors import fail

_OWNERS: tuple[type, ...] = (  # ``variables`` or ``state`` has all their variables
    *(keras.optimizers.Optimizer, keras.metrics.Metric, keras.random.SeedGenerator),
    keras.Variable,
)
if keras.backend.backend() == "tensorflow":
    import tensorflow as tf

    _OWNERS += (tf.Variable, tf.random.Generator)


def optimizer_of(model: Any) -> Any:
    """Return the optimizer of a compiled model; raise ValueError if it is not compiled."""
    if getattr(model, "optimizer", None) is None:
        fail("model", "compiled with an optimizer", model, "call model.compile(...) first")
    return model.optimizer


class ModelState:
    """Everything in a model that an update changes; it is copied and restored in place.

    These are the variables of the model and its optimizer, and those of all optimizers, random
    generators and variables in attributes of the model or its layers, also in lists and dicts; on
    PyTorch also the buffers of modules.

    Args:
        model: a built model whose compiled optimizer is built.
        metrics: whether the state includes the metrics, which updates change but do not depend on.
        unused: an optimizer that was replaced and does not have to be built.

    Raises:
        ValueError: if an optimizer in an attribute of the model is not built: its variables do not
            exist yet.
    """

    def __init__(self, model: Any, metrics: bool = False, unused: Any = None) -> None:
        self._model = model
        self._metrics = metrics
        for optimizer in _held(model):
            if isinstance(optimizer, keras.optimizers.Optimizer) and not (
                optimizer.built or optimizer is unused
            ):
                rule = "built, so that its state can be restored"
                fix = "call its build(variables) with the variables that it trains"
                fail("optimizer in an attribute of the model", rule, optimizer, fix)

    def variables(self) -> dict[str, Any]:
        """Return the variables without duplicates, and on PyTorch the buffers of modules."""
        model = self._model
        found = [*model.variables, *model.optimizer.variables]
        if self._metrics:
            found += model.metrics_variables
        for value in _held(model):
            if self._metrics or not isinstance(value, keras.metrics.Metric):
                state = getattr(value, "state", value)  # of a random generator
                found += getattr(value, "variables", [state])
        found += _buffers(model)
        if not self._metrics:
            excluded = {id(variable) for variable in model.metrics_variables}
            found = [variable for variable in found if id(variable) not in excluded]
        unique = {id(variable): variable for variable in found}
        # keyed by position: Keras numbers the names over all models of the process
        return {f"variable {i}": variable for i, variable in enumerate(unique.values())}

    def copied(self) -> dict[str, Any]:
        """Copy the values to host memory."""
        convert = keras.ops.convert_to_numpy
        return {name: np.array(convert(value)) for name, value in self.variables().items()}

    def restore(self, arrays: Mapping[str, Any]) -> None:
        """Set the values to those returned by `copied`."""
        for name, variable in self.variables().items():
            if hasattr(variable, "assign"):
                variable.assign(arrays[name])
            else:  # a buffer
                variable.copy_(keras.ops.convert_to_tensor(arrays[name]))

    @contextlib.contextmanager
    def preserved(self, folder: Path | None) -> Iterator[None]:
        """Restore the state on exit; the copy is stored in a file in ``folder``, or in memory."""
        arrays = self.copied()
        if folder is not None:
            # NumPy's files do not support bfloat16
            plain = {
                n: a.astype("float32") if a.dtype.kind == "V" else a for n, a in arrays.items()
            }
            Snapshot(plain, {}).save(folder / "state.npz")
            del arrays, plain
        try:
            yield
        finally:
            self.restore(arrays if folder is None else Snapshot.load(folder / "state.npz").arrays)


def optimizers_of(model: Any, *first: Any) -> list[Any]:
    """Return ``first`` and all optimizers in a model, without wrappers and duplicates."""
    found: dict[int, Any] = {}
    held = [value for value in _held(model) if isinstance(value, keras.optimizers.Optimizer)]
    for optimizer in (*first, *held):
        inner = getattr(optimizer, "inner_optimizer", optimizer)
        for part in getattr(inner, "optimizers", [inner]):
            if part is not None:
                found[id(part)] = part
    return list(found.values())


def _held(model: Any) -> Iterator[Any]:
    """Yield each owner of variables in the attributes of a model and its layers once."""
    seen: dict[int, Any] = {}
    stack = [model]
    while stack:
        value = stack.pop()
        parts: Any = ()
        if isinstance(value, Mapping):
            parts = value.values()
        elif isinstance(value, list | tuple | set):
            parts = value
        elif isinstance(value, keras.layers.Layer | keras.losses.Loss):
            parts = vars(value).values()
        elif not isinstance(value, _OWNERS):
            continue
        if id(value) not in seen:
            seen[id(value)] = value
            stack += reversed([*parts])
            if isinstance(value, _OWNERS):
                yield value


def counters(optimizer: Any) -> list[Any]:
    """Return the counts of an optimizer; each batch with which it trains changes them.

    These are its integer variables, and the loss scale, which changes when an update is skipped.
    """
    found = [v for v in optimizer.variables if "int" in str(v.dtype)]
    found += [v for v in [getattr(optimizer, "dynamic_scale", None)] if v is not None]
    return [keras.ops.convert_to_numpy(variable).tolist() for variable in found]


def check_counted(optimizer: Any, before: list[Any], updates: int = 0) -> None:
    """Raise ValueError unless an optimizer has made updates: the count shows which one trains.

    Args:
        optimizer: the compiled optimizer.
        before: its `counters` before the updates.
        updates: smallest number of updates; 0: any change of the counters.
    """
    after = counters(optimizer)
    if after == before or after[0] - before[0] < updates:
        fix = (
            "its count of updates did not advance in train_step: compile with the optimizer that "
            "trains, and apply the gradients with self.optimizer"
        )
        fail("optimizer", "the one that updates the weights", optimizer, fix)


def _buffers(model: Any) -> list[Any]:
    """Return the buffers of torch modules in a Keras model, for example statistics."""
    if keras.backend.backend() != "torch":
        return []
    return [buffer for layer in _private.flatten_layers(model) for buffer in layer.buffers()]
