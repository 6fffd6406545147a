"""The Learner for a compiled Keras model: many updates per dispatch, on each backend."""

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
from lehr.keras.state import copied, optimizer_of, variables_of
from lehr.learner import Batches, Snapshot
from lehr.policy import Policy
from lehr.schedule.errors import fail

_EVALUATION_BATCH = 1000


class Learner(interface.Learner):
    """A training run of a compiled Keras model on arrays.

    The model's optimizer is replaced by an equivalent one with writable hyperparameters, so that
    any policy runs through one compiled graph. A driven optimizer stays, and ``fit`` follows its
    policy again.

    Args:
        model: compiled, its optimizer not trained yet.
        train: (inputs, targets), arrays.
        validation: the same for ``evaluate()``, or None.
        test: the same for ``evaluate("test")``, or None.
        batch_size: rows in one update.
        seed: of the order of the data.

    Raises:
        ValueError: if the model is not compiled, has trained, has a schedule or accumulates
            gradients; `lehr.keras.range_test` accepts all but the first.
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
            # JAX would read the last target again and again
            fail("train", "inputs and targets of one length", [len(part) for part in train])
        self.model = model
        self._splits = {"train": train, "validation": validation, "test": test}
        self._batches = Batches(len(train[0]), batch_size, seed)
        self.steps_per_epoch = self._batches.per_epoch
        self.step = 0
        if not isinstance(optimizer, WritableHyperparameters):
            model.optimizer = optimizer = with_writable_hyperparameters(optimizer)
        model.train_function = None
        # builds metrics with the shapes that evaluate() will use, so nothing compiles twice
        rows = min(len(train[0]), _EVALUATION_BATCH)
        model.test_on_batch(train[0][:rows], train[1][:rows])
        optimizer.build(model.trainable_variables)
        self._data = tuple(keras.ops.convert_to_tensor(array) for array in train)
        moved = [optimizer.variable_of(name) for name in optimizer.moves]
        self._compiled = BLOCKS[keras.backend.backend()](model, moved)
        self._generators = generators()

    @contextlib.contextmanager
    def training(self, policy: Policy) -> Iterator[None]:
        check_groups(policy)
        optimizer = self.model.optimizer
        for name in policy.targets:
            if name not in optimizer.moves:
                fix = f"build the optimizer with {name} > 0, or leave it out of the policy"
                fail(name, "one of " + ", ".join(optimizer.moves), policy.targets[name], fix)
        yield

    def make_updates(
        self, policy: Policy, values: list[dict[str, Any]]
    ) -> tuple[list[float], dict[str, list[float]]]:
        optimizer, size = self.model.optimizer, len(values)
        rows = np.stack([self.rows(self.step + i) for i in range(size)]).astype("int32")
        columns = np.empty((size, len(optimizer.moves)), "float32")
        for column, name in enumerate(optimizer.moves):
            current = float(keras.ops.convert_to_numpy(optimizer.variable_of(name)))
            columns[:, column] = [wanted.get(name, current) for wanted in values]
        with self._own_generators(), optimizer.hold():
            losses, used = self._compiled(self._data, rows, columns)
        self.step += size
        applied = {name: used[:, i].tolist() for i, name in enumerate(optimizer.moves)}
        return losses.tolist(), {name: applied[name] for name in policy.targets}

    def evaluate(self, split: str = "validation") -> dict[str, float]:
        """Return the compiled loss and metrics on "train", "validation" or "test"."""
        data = self._splits.get(split)
        if data is None:
            known = ", ".join(name for name, given in self._splits.items() if given is not None)
            fail("split", f"one of {known}", split, f"build the Learner with {split}=")
        own = self._generators
        with self._own_generators():
            metrics = self.model.evaluate(
                *data, batch_size=_EVALUATION_BATCH, verbose=0, return_dict=True
            )
        self._generators = own
        return {name: float(value) for name, value in metrics.items()}

    def snapshot(self) -> Snapshot:
        """Return copies of all variables of model and optimizer, and of torch's generators."""
        return Snapshot(copied(variables_of(self.model)) | self._generators, {"step": self.step})

    def restore(self, snapshot: Snapshot) -> None:
        """Put a snapshot of this learner, or of one built alike, back."""
        variables = variables_of(self.model)
        missing = set(variables) - set(snapshot.arrays)
        if missing:
            fail("snapshot", "one of a model and optimizer built alike", sorted(missing)[:3])
        for name, variable in variables.items():
            variable.assign(snapshot.arrays[name])
        self._generators = {name: snapshot.arrays[name] for name in self._generators}
        self.step = snapshot.metadata["step"]

    @contextlib.contextmanager
    def _own_generators(self) -> Iterator[None]:
        """Draw from the learner's own random stream, whatever else the process draws."""
        others = generators()
        set_generators(self._generators)
        try:
            yield
        finally:
            self._generators = generators()
            set_generators(others)
