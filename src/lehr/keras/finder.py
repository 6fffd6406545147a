"""The learning-rate range test for compiled Keras models."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from lehr.finder import Sweep
from lehr.finder.run import RangeTest
from lehr.finder.sweep import Spacing
from lehr.keras import _private
from lehr.keras.batches import Source, check_class_weight, joined, shape
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
    low: float = 1e-5,
    high: float = 10.0,
    steps: int = 100,
    spacing: Spacing = "geometric",
    divergence: float = 4.0,
    batch_size: int = 32,
    validation_data: Any = None,
    class_weight: Mapping[int, float] | None = None,
    sample_weight: Any = None,
    seed: int = 0,
    on_disk: bool = False,
) -> Sweep:
    """Train with an increasing rate, record the loss of each update, and restore all state.

    Update n of N uses the rate ``low * (high / low) ** (n / (N - 1))``, or with linear spacing
    ``low + (high - low) * n / (N - 1)``.

    The weights, statistics, dropout seeds, metrics, the optimizer with its rate, schedule or
    policy, and the random generators (of Keras, Python, NumPy, torch and the data) are restored bit
    for bit, also after an error or Ctrl-C. A model that is not built is built, as in ``fit``.

    With gradient accumulation, an update of the test is an update of the optimizer; its loss is the
    mean over its batches. ``steps_per_execution`` has no effect. Under ``torch.distributed`` every
    process must call it; losses are averaged over all processes.

    Source: Smith, arXiv 1506.01186.

    Args:
        model: a compiled model.
        data: ``(x, y)`` or ``(x, y, sample_weight)``, arrays or nested arrays, which are shuffled;
            or an iterable of such batches: a ``tf.data.Dataset``, a ``PyDataset``, a
            ``DataLoader``, a generator. An iterable is restarted at its end; its position is not
            restored. Batches smaller than the first one are skipped.
        low: learning rate of the first update, above 0.
        high: learning rate of the last update, above ``low``.
        steps: number of updates, at least 20.
        spacing: spacing of the rates: "geometric" (a constant ratio) or "linear" (a constant
            difference).
        divergence: early-stopping threshold, above 1. The test ends when a loss is not finite, or
            when the running mean of the loss has increased from its minimum by ``divergence - 1``
            times the larger of the minimum and the decrease before it.
        batch_size: number of samples per batch of arrays; an incomplete last batch is skipped.
        validation_data: data in the form of ``data``; the loss over all of it is recorded after
            each update instead of the training loss.
        class_weight: class weights as in ``fit``, ``{class: weight}``, for a model with one output
            and targets that are class indices or one-hot; other classes have weight 1.
        sample_weight: sample weights as in ``fit``, for ``data=(x, y)``: an array, or one per
            output in the structure of y.
        seed: seed of the order of arrays.
        on_disk: store the state to restore in a temporary file instead of in memory.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if an argument is out of range, the model is not compiled or its optimizer has
            several rates, the data has no targets, too few batches or several shapes, or both
            class weights and sample weights are given.

    >>> import keras, lehr, numpy as np
    >>> model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1)])
    >>> model.compile(keras.optimizers.SGD(0.25), loss="mse")
    >>> sweep = lehr.keras.range_test(model, (np.ones((64, 1)), np.ones((64, 1))), steps=40)
    >>> sweep.steps, float(model.optimizer.learning_rate)
    (40, 0.25)
    """
    test = RangeTest(
        low=low,
        high=high,
        steps=steps,
        spacing=spacing,
        divergence=divergence,
        objective="training" if validation_data is None else "validation",
    )
    optimizer = optimizer_of(model)
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    if type(inner).__name__ == "MultiOptimizer":
        fail("optimizer", "an optimizer with one rate", inner, "compile with one of its parts")
    if class_weight is not None:
        check_class_weight(class_weight)
    with preserve_rng(data, validation_data), folder_if(on_disk) as folder:
        weighted = _with_weights(data, sample_weight)
        targets = model.loss is not None
        source = Source("data", weighted, batch_size, seed, targets, class_weight)
        validation = _validation(validation_data, source, batch_size)
        _private.symbolic_build(model, source.first)
        if not optimizer.built:
            optimizer.build(model.trainable_variables)
        graph = compiled_cache(model)
        with _writable(inner, graph.rate) as rate:
            return test(_Run(model, inner, rate, graph, source, validation, folder))


def _with_weights(data: Any, sample_weight: Any) -> Any:
    """Append sample weights to ``(x, y)``; raise ValueError for data of another form."""
    if sample_weight is None:
        return data
    if not isinstance(data, tuple) or len(data) != 2:
        fix = "pass batches (x, y, sample_weight)"
        fail("sample_weight", "None unless data is (x, y)", type(sample_weight).__name__, fix)
    structure = keras.tree.map_structure(lambda _: 0, sample_weight)
    if structure not in (0, keras.tree.map_structure(lambda _: 0, data[1])):
        rule = "an array, or one per output in the structure of y"
        fail("sample_weight", rule, type(sample_weight).__name__)
    if any(np.ndim(leaf) == 0 for leaf in keras.tree.flatten(sample_weight)):
        rule = "an array with one weight per row"
        fail("sample_weight", rule, sample_weight, error=TypeError)
    return *data, sample_weight


def _validation(data: Any, like: Source, size: int) -> Callable[[], dict[str, Any]] | None:
    """Return a function that creates the arguments of ``model.evaluate``."""
    if data is None:
        return None
    if isinstance(data, Iterator):
        rule = "arrays, or batches that can be restarted"
        fail("validation_data", rule, data, "pass a list of its batches")
    source = Source("validation_data", data, 1, 0, like.targets)
    for ours, theirs in zip(like.first[:2], source.first[:2], strict=False):
        if shape(ours) != shape(theirs):
            fail("validation_data", f"data with rows of shape {shape(ours)}", shape(theirs))
    if isinstance(data, tuple):
        names = ("x", "y", "sample_weight")
        return lambda: dict(zip(names, data, strict=False)) | {"batch_size": size}
    return lambda: {"x": (source.checked(batch) for batch in data)}


@contextlib.contextmanager
def _writable(optimizer: Any, spare: Any) -> Iterator[Any]:
    """Yield the variable of the rate; ``spare`` temporarily replaces a schedule or function."""
    if isinstance(optimizer, WritableHyperparameters):
        with optimizer.pause():
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
    """Training run of a range test on the user's compiled model."""

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
        assert self.validation is not None  # called for the objective "validation" only
        with preserve_rng():
            metrics = self.model.evaluate(**self.validation(), verbose=0, return_dict=True)
        return {"loss": all_reduce_mean(float(metrics["loss"]))}

    @contextlib.contextmanager
    def preserved(self) -> Iterator[None]:
        with preserved(self.model, self.folder):
            self._begin()
            yield

    def _begin(self) -> None:
        """Prepare the model for blocks of updates."""
        optimizer = self.optimizer
        if (
            optimizer.use_ema
        ):  # fit leaves weights and averages in shared buffers, which JAX donates
            for variable in _variables(self.model).values():
                variable.assign(np.array(keras.ops.convert_to_numpy(variable)))
        if self.accumulation > 1:  # fit may have ended between two micro-batches of an update
            _private.reset_accumulation(optimizer)
        self._compiled = self.graph.block(self.model, self.rate)

    def _next(self, count: int) -> tuple[Any, Any]:
        """Return the next batches, concatenated, and the row indices of each batch."""
        batches = self.source.take(count)
        size = len(keras.tree.flatten(batches[0])[0])
        self._capacity = max(self._capacity, count)  # a constant data shape avoids recompilation
        batches += batches[-1:] * (self._capacity - count)
        data = keras.tree.map_structure(keras.ops.convert_to_tensor, joined(batches))
        return data, np.arange(count * size, dtype="int32").reshape(count, size)


@contextlib.contextmanager
def preserved(model: Any, folder: Path | None = None) -> Iterator[None]:
    """Restore on exit the variables of a model, its optimizer and its metrics, and its buffers."""
    test_function = model.test_function
    buffers = [(buffer, buffer.clone()) for buffer in _buffers(model)]
    arrays = copied(_variables(model))
    if folder is not None:
        # NumPy's files do not support bfloat16
        plain = {n: a.astype("float32") if a.dtype.kind == "V" else a for n, a in arrays.items()}
        Snapshot(plain, {}).save(folder / "state.npz")
        del arrays, plain
    try:
        yield
    finally:
        if folder is not None:
            arrays = Snapshot.load(folder / "state.npz").arrays
        for name, variable in _variables(model).items():
            variable.assign(arrays[name])
        for buffer, before in buffers:
            buffer.copy_(before)
        model.test_function = test_function


def _variables(model: Any) -> dict[str, Any]:
    return variables_of(model, *model.metrics_variables)


def _buffers(model: Any) -> list[Any]:
    """Return the buffers of torch modules in a Keras model, for example statistics."""
    if keras.backend.backend() != "torch":
        return []
    return [buffer for layer in _private.flatten_layers(model) for buffer in layer.buffers()]
