"""The Learner for compiled Keras models."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from lehr import learner as interface
from lehr.keras.blocks import BLOCK, BLOCKS
from lehr.keras.generators import generators, set_generators
from lehr.keras.hyperparameters import (
    WritableHyperparameters,
    check_fresh,
    check_groups,
    with_writable_hyperparameters,
)
from lehr.keras.processes import scope_of
from lehr.keras.state import ModelState, check_counted, counters, optimizer_of
from lehr.learner import Batches, Snapshot
from lehr.policy import Policy
from lehr.schedule.errors import fail

_EVALUATION_BATCH = 1000


class Learner(interface.Learner):
    """A training run of a compiled Keras model on arrays; a block of updates is one dispatch.

    The model's optimizer is replaced by an equivalent one with writable hyperparameters, so that
    all policies use one compiled graph. A driven optimizer is not replaced; ``fit`` applies its
    policy as before.

    Args:
        model: a compiled model whose optimizer has not trained yet.
        train: training data ``(x, y)``: two arrays with the same number of rows.
        validation: data for ``evaluate()`` in the same form, or None.
        test: data for ``evaluate("test")`` in the same form, or None.
        batch_size: number of rows per update.
        seed: seed of the order of the data.

    Attributes:
        steps_per_epoch: number of updates per epoch.

    Raises:
        TypeError: if ``batch_size`` or ``seed`` is not an integer.
        ValueError: if the model is not compiled, has trained, has a schedule or accumulates
            gradients (`lehr.keras.range_test` accepts all but the first); if x and y of ``train``
            differ in rows, or the training data is smaller than one batch; in the first update, if
            ``train_step`` does not train with the compiled optimizer.

    >>> import keras, lehr, numpy as np
    >>> model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1)])
    >>> model.compile(keras.optimizers.SGD(), loss="mse")
    >>> x = np.linspace(0, 1, 8)[:, None]
    >>> learner = lehr.keras.Learner(model, (x, 2 * x), test=(x, 2 * x), batch_size=4)
    >>> trace = learner.train(lehr.Policy(lr=lehr.linear(0.5, 0.0, 40)), 40)
    >>> trace.rates["lr"][20], learner.evaluate("test")["loss"] < trace.losses[0]
    (0.25, True)
    """

    block = BLOCK

    def __init__(
        self,
        model: keras.Model,
        train: tuple[Any, Any],
        *,
        validation: tuple[Any, Any] | None = None,
        test: tuple[Any, Any] | None = None,
        batch_size: int = 32,
        seed: int = 0,
    ) -> None:
        optimizer = optimizer_of(model)
        check_fresh(optimizer, driven=True)
        if steps := optimizer.gradient_accumulation_steps:
            fix = "compile without it and use a larger batch_size"
            fail("gradient_accumulation_steps", "None for a Learner", steps, fix)
        if len(train[0]) != len(train[1]):
            # JAX clips out-of-range indices: it would repeat the last target
            fail("train", "x and y with the same number of rows", [len(part) for part in train])
        self.model = model
        self._splits = {"train": train, "validation": validation, "test": test}
        self._batches = Batches(len(train[0]), batch_size, seed)
        self.steps_per_epoch = self._batches.per_epoch
        self.step = 0
        replaced = optimizer
        if not isinstance(optimizer, WritableHyperparameters):
            with scope_of(model):
                model.optimizer = optimizer = with_writable_hyperparameters(optimizer)
        model.train_function = None
        # build metrics with the shapes of evaluate(), to compile only once
        rows = min(len(train[0]), _EVALUATION_BATCH)
        model.test_on_batch(train[0][:rows], train[1][:rows])
        optimizer.build(model.trainable_variables)
        self._data = tuple(keras.ops.convert_to_tensor(array) for array in train)
        moved = [optimizer.variable_of(name) for name in optimizer.writable]
        self._compiled = BLOCKS[keras.backend.backend()](model, moved)
        self._generators = generators()
        self._state = ModelState(model, unused=replaced)
        self._counted = False  # whether the first update was made with the compiled optimizer

    @contextlib.contextmanager
    def training(self, policy: Policy) -> Iterator[None]:
        check_groups(policy)
        optimizer = self.model.optimizer
        for name in policy.targets:
            if name not in optimizer.writable:
                fix = f"construct the optimizer with {name} > 0, or remove {name} from the policy"
                fail(name, "one of " + ", ".join(optimizer.writable), policy.targets[name], fix)
        yield

    def make_updates(
        self, policy: Policy, values: list[dict[str, Any]]
    ) -> tuple[list[float], dict[str, list[float]]]:
        optimizer, size = self.model.optimizer, len(values)
        rows = np.stack([self.rows(self.step + i) for i in range(size)]).astype("int32")
        columns = np.empty((size, len(optimizer.writable)), "float32")
        for column, name in enumerate(optimizer.writable):
            current = float(keras.ops.convert_to_numpy(optimizer.variable_of(name)))
            columns[:, column] = [wanted.get(name, current) for wanted in values]
        if self._counted:
            losses, used = self._updates(rows, columns)
        else:
            with self._restored_after_error():
                losses, used = self._updates(rows[:1], columns[:1])
            self._counted = True
            if size > 1:
                more = self._updates(rows[1:], columns[1:])
                losses, used = np.r_[losses, more[0]], np.r_[used, more[1]]
        self.step += size
        applied = {name: used[:, i].tolist() for i, name in enumerate(optimizer.writable)}
        return losses.tolist(), {name: applied[name] for name in policy.targets}

    def _updates(self, rows: Any, columns: Any) -> tuple[Any, Any]:
        """Make one update for each row; return the losses and the applied values."""
        optimizer = self.model.optimizer
        before = counters(optimizer)
        with self._random_stream(), optimizer.pause():
            losses, used = self._compiled(self._data, rows, columns)
        check_counted(optimizer, before, len(rows))
        return losses, used

    @contextlib.contextmanager
    def _restored_after_error(self) -> Iterator[None]:
        before = self.snapshot()
        try:
            yield
        except BaseException:
            self.restore(before)
            raise

    def evaluate(self, split: str = "validation") -> dict[str, float]:
        """Compute the compiled loss and metrics on a split; the state of the run does not change.

        Args:
            split: "train", "validation" or "test".

        Raises:
            ValueError: if the learner was constructed without this split.
        """
        data = self._splits.get(split)
        if data is None:
            known = ", ".join(name for name, part in self._splits.items() if part is not None)
            fail("split", f"one of {known}", split, f"construct the Learner with {split}=")
        before = self._generators
        with self._random_stream():
            metrics = self.model.evaluate(
                *data, batch_size=_EVALUATION_BATCH, verbose=0, return_dict=True
            )
        self._generators = before
        return {name: float(value) for name, value in metrics.items()}

    def snapshot(self) -> Snapshot:
        """Return copies of all variables, buffers and torch's generator states."""
        return Snapshot(self._state.copied() | self._generators, {"step": self.step})

    def restore(self, snapshot: Snapshot) -> None:
        """Restore a snapshot of this learner, or of another with the same model and optimizer.

        Raises:
            ValueError: if variables of the model or the optimizer are missing.
        """
        missing = set(self._state.variables()) - set(snapshot.arrays)
        if missing:
            fail("snapshot", "one of the same model and optimizer", sorted(missing)[:3])
        self._state.restore(snapshot.arrays)
        self._generators = {name: snapshot.arrays[name] for name in self._generators}
        self.step = snapshot.metadata["step"]

    @contextlib.contextmanager
    def _random_stream(self) -> Iterator[None]:
        """Use the learner's random generators in this context, not those of the process."""
        others = generators()
        set_generators(self._generators)
        try:
            yield
        finally:
            self._generators = generators()
            set_generators(others)
