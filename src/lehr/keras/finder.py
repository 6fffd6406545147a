"""The range test on a user's own compiled Keras model."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from lehr import finder
from lehr.finder import Sweep
from lehr.finder.sweep import Objective
from lehr.keras import _private
from lehr.keras.batches import Source, joined, shape
from lehr.keras.compiled_cache import CompiledCache, compiled_cache
from lehr.keras.generators import preserve_rng
from lehr.keras.hyperparameters import WritableHyperparameters
from lehr.keras.processes import all_reduce_mean
from lehr.keras.state import copied, optimizer_of, variables_of
from lehr.learner import Snapshot, TrainingRun, folder_if
from lehr.policy import Policy
from lehr.schedule.errors import fail

_BLOCK = 16  # micro-batches in one block


def range_test(
    model: keras.Model,
    data: Any,
    *,
    batch_size: int = 32,
    validation_data: Any = None,
    seed: int = 0,
    on_disk: bool = False,
    **options: Any,
) -> Sweep:
    """Train with a rising rate, record the loss of each update, and restore everything.

    Restored bit for bit, also after an error or Ctrl-C: weights, statistics, seeds of dropout,
    metrics, the optimizer with its rate, schedule or policy, and the random generators of Keras,
    Python, NumPy, torch and the data. A model that never trained is built, as ``fit`` would. An
    optimizer that accumulates gradients uses its number of batches in each update; the loss is
    their mean. ``steps_per_execution`` has no effect. Under ``torch.distributed`` every process
    must call it: losses are averaged over them.

    Args:
        model: compiled.
        data: ``(x, y)`` or ``(x, y, sample_weight)``, arrays or nests of arrays, which are
            shuffled; or an iterable of such batches: a ``tf.data.Dataset``, a ``PyDataset``, a
            ``DataLoader``, a generator. An iterable is restarted when it ends, its position is
            not restored, and batches smaller than the first are skipped.
        batch_size: rows in a batch of arrays; a smaller last batch is skipped.
        validation_data: like ``data``: record the loss on all of it after each update, not the
            training loss.
        seed: of the order of arrays.
        on_disk: store the state to restore in a temporary file, not in memory.
        **options: low, high, steps, spacing, divergence of `lehr.range_test`.

    Raises:
        ValueError: if an argument is out of range, the model is not compiled or its optimizer has
            several rates, or the data has no targets, too few batches or several shapes.

    >>> import keras, lehr, numpy as np
    >>> model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1)])
    >>> model.compile(keras.optimizers.SGD(0.25), loss="mse")
    >>> sweep = lehr.keras.range_test(model, (np.ones((64, 1)), np.ones((64, 1))), steps=40)
    >>> sweep.steps, float(model.optimizer.learning_rate)
    (40, 0.25)
    """
    optimizer = optimizer_of(model)
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    if type(inner).__name__ == "MultiOptimizer":
        fail("optimizer", "one with one rate", inner, "compile with one of its parts")
    with preserve_rng(data, validation_data), folder_if(on_disk) as folder:
        source = Source("data", data, batch_size, seed, model.loss is not None)
        validation = _validation(validation_data, source, batch_size)
        _private.symbolic_build(model, source.first)
        if not optimizer.built:
            optimizer.build(model.trainable_variables)
        graph = compiled_cache(model)
        with _writable(inner, graph.rate) as rate:
            run = _Run(model, inner, rate, graph, source, validation, folder)
            objective: Objective = "training" if validation is None else "validation"
            return finder.range_test(run, objective=objective, **options)


def _validation(data: Any, like: Source, size: int) -> Callable[[], dict[str, Any]] | None:
    """Return a function that returns the arguments of ``model.evaluate``."""
    if data is None:
        return None
    if isinstance(data, Iterator):
        rule = "arrays, or batches that can be begun again"
        fail("validation_data", rule, data, "pass a list of its batches")
    source = Source("validation_data", data, 1, 0, like.targets)
    for ours, theirs in zip(like.first[:2], source.first[:2], strict=False):
        if shape(ours) != shape(theirs):
            fail("validation_data", f"like the data, rows of {shape(ours)}", shape(theirs))
    if isinstance(data, tuple):
        names = ("x", "y", "sample_weight")
        return lambda: dict(zip(names, data, strict=False)) | {"batch_size": size}
    return lambda: {"x": (source.checked(batch) for batch in data)}


@contextlib.contextmanager
def _writable(optimizer: Any, spare: Any) -> Iterator[Any]:
    """Lend the variable that an optimizer takes its rate from: its own, or the spare one."""
    if isinstance(optimizer, WritableHyperparameters):
        with optimizer.hold():
            yield optimizer.variable_of("lr")
    elif isinstance(_private.learning_rate(optimizer), keras.Variable):
        yield _private.learning_rate(optimizer)
    else:
        schedule = _private.learning_rate(optimizer)
        _private.track_variable(optimizer, spare)
        optimizer.learning_rate = lambda: spare
        try:
            yield spare
        finally:
            optimizer.learning_rate = schedule
            _private.untrack_variable(optimizer, spare)


@dataclass
class _Run(TrainingRun):
    """The user's compiled model during a range test."""

    model: keras.Model
    optimizer: Any
    rate: Any
    graph: CompiledCache
    source: Source
    validation: Callable[[], dict[str, Any]] | None
    folder: Path | None

    def __post_init__(self) -> None:
        self.accumulation: int = self.optimizer.gradient_accumulation_steps or 1
        self.block = max(1, _BLOCK // self.accumulation)
        self._capacity = 0

    def make_updates(
        self, policy: Policy, values: list[dict[str, Any]]
    ) -> tuple[list[float], dict[str, list[float]]]:
        each = self.accumulation
        rates = np.repeat(np.array([[wanted["lr"]] for wanted in values], "float32"), each, axis=0)
        data, rows = self._next(len(rates))
        losses, used = self._compiled(data, rows, rates)
        means = all_reduce_mean(losses).reshape(-1, each).mean(axis=1, dtype="float64")
        return means.tolist(), {"lr": used[::each, 0].tolist()}

    def evaluate(self) -> dict[str, float]:
        assert self.validation is not None  # else it is not asked for
        with preserve_rng():
            metrics = self.model.evaluate(**self.validation(), verbose=0, return_dict=True)
        return {"loss": all_reduce_mean(float(metrics["loss"]))}

    @contextlib.contextmanager
    def preserved(self) -> Iterator[None]:
        test_function = self.model.test_function
        buffers = [(buffer, buffer.clone()) for buffer in _buffers(self.model)]
        arrays = copied(self._variables())
        if self.folder is not None:
            # NumPy's files do not support bfloat16
            plain = {
                n: a.astype("float32") if a.dtype.kind == "V" else a for n, a in arrays.items()
            }
            Snapshot(plain, {}).save(self.folder / "state.npz")
            del arrays, plain
        try:
            self._begin()
            yield
        finally:
            if self.folder is not None:
                arrays = Snapshot.load(self.folder / "state.npz").arrays
            for name, variable in self._variables().items():
                variable.assign(arrays[name])
            for buffer, before in buffers:
                buffer.copy_(before)
            self.model.test_function = test_function

    def _variables(self) -> dict[str, Any]:
        return variables_of(self.model, *self.model.metrics_variables)

    def _begin(self) -> None:
        """Make the model ready for blocks of the test."""
        optimizer = self.optimizer
        if optimizer.use_ema:  # after fit weights and averages share buffers, which JAX donates
            for variable in self._variables().values():
                variable.assign(np.array(keras.ops.convert_to_numpy(variable)))
        if self.accumulation > 1:  # begins an update, also where fit ended amid one
            _private.reset_accumulation(optimizer)
        self._compiled = self.graph.block(self.model, self.rate)

    def _next(self, count: int) -> tuple[Any, Any]:
        """Return the next batches, one after the other, and the rows of each."""
        batches = self.source.take(count)
        size = len(keras.tree.flatten(batches[0])[0])
        self._capacity = max(self._capacity, count)  # one shape of the data: one compilation
        batches += batches[-1:] * (self._capacity - count)
        data = keras.tree.map_structure(keras.ops.convert_to_tensor, joined(batches))
        return data, np.arange(count * size, dtype="int32").reshape(count, size)


def _buffers(model: Any) -> list[Any]:
    """Return what torch modules in a Keras model hold beside variables, such as statistics."""
    if keras.backend.backend() != "torch":
        return []
    return [buffer for layer in _private.flatten_layers(model) for buffer in layer.buffers()]
