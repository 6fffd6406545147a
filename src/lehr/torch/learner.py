"""The Learner for PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim import Optimizer

from lehr import learner as interface
from lehr.finder.rng import preserve_rng
from lehr.learner import Batches, Snapshot
from lehr.policy import Policy
from lehr.schedule.errors import fail
from lehr.torch.groups import (
    check_used,
    check_values,
    clear_gradients,
    needs_closure,
    parameters,
    read_values,
    write_values,
)
from lehr.torch.saved import SavedState
from lehr.torch.state import GlobalGenerators


class Learner(interface.Learner):
    """A training run of a PyTorch model on data in memory.

    Args:
        model: any module.
        optimizer: an optimizer of the model's parameters.
        loss: ``loss(output, y)``, which returns a scalar averaged over the rows; None with
            ``step``.
        train: training data ``(x, y)``: two tensors or arrays with the same number of rows.
        validation: data for ``evaluate()`` in the same form, or None.
        test: data for ``evaluate("test")`` in the same form, or None.
        batch_size: number of rows per update.
        seed: seed of the order of the data.
        metrics: additional metrics by name: ``f(output, y)``, averaged over the rows.
        device: device of the model and the batches; None for the current device of the model.
        step: ``step(model, (x, y))``, which returns the loss, in training and in ``evaluate()``;
            replaces ``loss``.

    Attributes:
        steps_per_epoch: number of updates per epoch.

    Raises:
        TypeError: if a split is not a pair.
        ValueError: if x and y of a split differ in rows or have none, the training data is smaller
            than one batch, not exactly one of ``loss`` and ``step`` is passed, or the optimizer
            requires a closure.

    >>> import lehr, torch
    >>> x = torch.arange(8.0)[:, None]
    >>> model = torch.nn.Linear(1, 1)
    >>> sgd = torch.optim.SGD(model.parameters(), lr=0.0)
    >>> mse = torch.nn.functional.mse_loss
    >>> learner = lehr.torch.Learner(model, sgd, mse, (x, 2 * x), test=(x, 2 * x), batch_size=4)
    >>> trace = learner.train(lehr.Policy(lr=lehr.linear(0.02, 0.0, 100)), 100)
    >>> trace.rates["lr"][50], learner.evaluate("test")["loss"] < trace.losses[0]
    (0.01, True)
    """

    def __init__(
        self,
        model: torch.nn.Module,
        optimizer: Optimizer,
        loss: Callable[[Any, Any], Tensor] | None,
        train: tuple[Any, Any],
        *,
        validation: tuple[Any, Any] | None = None,
        test: tuple[Any, Any] | None = None,
        batch_size: int = 32,
        seed: int = 0,
        metrics: dict[str, Callable[[Any, Any], Any]] | None = None,
        device: str | torch.device | None = None,
        step: Callable[[torch.nn.Module, tuple[Tensor, Tensor]], Tensor] | None = None,
    ) -> None:
        if loss is None and step is None:
            fail("loss", "a function loss(output, y)", loss, "pass loss= or step=")
        if loss is not None and step is not None:
            fail("loss", "None with step", loss)
        if needs_closure(optimizer):
            fix = "use lehr.torch.range_test(..., closure=True) or a training loop"
            rule = "one whose step does not require a closure"
            fail("optimizer", rule, type(optimizer).__name__, fix)
        if any("lr_scale" in group for group in optimizer.param_groups):
            fix = "give the groups names, and the policy a schedule for each: {name: s * lr_scale}"
            fail("lr_scale of the groups", "absent in a Learner", type(optimizer).__name__, fix)
        self.model, self.optimizer = model, optimizer
        self.loss, self.step = loss, step
        self.metrics = dict(metrics or {})
        self.device = device_of(model) if device is None else torch.device(device)
        model.to(self.device)
        splits = {"train": train, "validation": validation, "test": test}
        self._splits = {name: _pair(name, xy) for name, xy in splits.items() if xy is not None}
        self._batches = Batches(len(self._splits["train"][1]), batch_size, seed)
        self.steps_per_epoch = self._batches.per_epoch
        self._step = 0
        self._checked = False  # whether the optimizer trains the model
        self._generators = GlobalGenerators()
        self._saved = SavedState(self._roots(), self.device)

    @contextmanager
    def training(self, policy: Policy) -> Iterator[None]:
        check_values([self.optimizer], policy.targets)
        if hasattr(self.optimizer, "train"):  # schedule-free optimizers
            self.optimizer.train()
        with mode(self.model, training=True):
            yield
        clear_gradients(self.model, [self.optimizer])

    def make_updates(
        self, policy: Policy, values: list[dict[str, Any]]
    ) -> tuple[list[float], dict[str, list[float]]]:
        groups = self.optimizer.param_groups
        losses, used = [], []
        for wanted in values:
            write_values(groups, wanted)
            losses.append(self._update())
            used.append(read_values(groups, policy.targets))
        columns = {name: [float(read[name]) for read in used] for name in used[0]}
        return torch.stack(losses).tolist(), columns

    def evaluate(self, split: str = "validation") -> dict[str, float]:
        if split not in self._splits:
            fail("split", f"one of {list(self._splits)}", split, f"pass {split}=(x, y)")
        rows, size = len(self._splits[split][1]), self._batches.size
        totals = dict.fromkeys(["loss", *self.metrics], 0.0)
        with self._evaluating(), torch.no_grad(), preserve_rng():  # the loss may draw numbers
            for begin in range(0, rows, size):
                x, y = self._rows(split, slice(begin, begin + size))
                output = self.model(x) if self.metrics or self.loss else None
                loss = self.loss(output, y) if self.loss else self._loss(x, y)
                values = {name: metric(output, y) for name, metric in self.metrics.items()}
                for name, value in ({"loss": loss} | values).items():
                    totals[name] += float(value) * len(y)
        return {name: total / rows for name, total in totals.items()}

    def snapshot(self) -> Snapshot:
        saved = self._saved.snapshot(self._roots())
        return Snapshot(saved.arrays, {"step": self._step} | saved.metadata)

    def restore(self, snapshot: Snapshot) -> None:
        self._saved.restore(self._roots(), snapshot)
        self._step = snapshot.metadata["step"]

    def _roots(self) -> dict[str, Any]:
        """Return the objects that everything is reachable from on which an update depends."""
        names = {"model": self.model, "optimizer": self.optimizer, "loss": self.loss}
        return names | {"step": self.step, "generators": self._generators}

    def _update(self) -> Tensor:
        x, y = self._rows("train", torch.from_numpy(self._batches[self._step]))
        clear_gradients(self.model, [self.optimizer])
        loss = checked_loss(self._loss(x, y))
        loss.backward()  # type: ignore[no-untyped-call]
        if not self._checked:
            check_used([self.optimizer])
            self._checked = True
        self.optimizer.step()
        self._step += 1
        return loss.detach()

    def _loss(self, x: Tensor, y: Tensor) -> Tensor:
        if self.step is not None:
            return self.step(self.model, (x, y))
        assert self.loss is not None
        return self.loss(self.model(x), y)

    @contextmanager
    def _evaluating(self) -> Iterator[None]:
        """Set evaluation mode; a schedule-free optimizer switches to its averaged weights."""
        with mode(self.model, training=False):
            if not hasattr(self.optimizer, "eval"):
                yield
                return
            params = parameters(self.optimizer)
            trained = [p.detach().clone() for p in params]
            self.optimizer.eval()
            try:
                yield
            finally:
                self.optimizer.train()  # type: ignore[attr-defined]
                with torch.no_grad():  # train() restores them with rounding errors
                    for param, before in zip(params, trained, strict=True):
                        param.copy_(before)

    def _rows(self, split: str, rows: Any) -> tuple[Tensor, Tensor]:
        x, y = self._splits[split]
        return x[rows].to(self.device), y[rows].to(self.device)


def _pair(name: str, split: Any) -> tuple[Tensor, Tensor]:
    if not isinstance(split, tuple | list) or len(split) != 2:
        fail(name, "a pair (x, y) of tensors or arrays", split, error=TypeError)
    x, y = (
        # torch requires writable arrays: np.require copies read-only ones
        part if isinstance(part, Tensor) else torch.from_numpy(np.require(part, None, ["C", "W"]))
        for part in split
    )
    if len(x) != len(y) or len(x) == 0:
        fail(name, "x and y with the same number of rows, above 0", (len(x), len(y)))
    return x, y


def device_of(model: torch.nn.Module) -> torch.device:
    """Return the device of a model's first parameter, or the CPU without parameters."""
    return next((p.device for p in model.parameters()), torch.device("cpu"))


def checked_loss(loss: Tensor) -> Tensor:
    """Return the loss; raise ValueError unless it is a scalar."""
    if loss.ndim != 0:
        fail("loss", "a scalar", f"shape {tuple(loss.shape)}", "return its mean over the rows")
    return loss


@contextmanager
def mode(model: torch.nn.Module, training: bool) -> Iterator[None]:
    """Set training or evaluation mode; the mode of each submodule is restored on exit."""
    before = [(module, module.training) for module in model.modules()]
    model.train(training)
    try:
        yield
    finally:
        for module, flag in before:
            module.training = flag
