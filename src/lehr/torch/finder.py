"""The learning-rate range test for PyTorch models."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel as DDP
from torch.optim import Optimizer

from lehr.finder import Sweep
from lehr.finder.rng import preserve_rng
from lehr.finder.run import RangeTest
from lehr.finder.sweep import Spacing
from lehr.learner import TrainingRun, cycled, folder_if
from lehr.policy import Policy
from lehr.schedule.errors import fail, integer
from lehr.torch.groups import (
    all_groups,
    check_distinct,
    check_scale,
    check_used,
    clear_gradients,
    is_sam,
    needs_closure,
    optimizer_list,
    write_value,
)
from lehr.torch.learner import checked_loss, mode
from lehr.torch.processes import all_reduce_mean
from lehr.torch.state import TrainingState

_LOSS = "a function loss(output, y)"


def range_test(
    model: torch.nn.Module,
    optimizer: Optimizer | Sequence[Optimizer],
    loss: Callable[[Any, Any], Tensor] | None,
    data: Iterable[Any],
    *,
    low: float = 1e-5,
    high: float = 10.0,
    steps: int = 100,
    spacing: Spacing = "geometric",
    divergence: float = 4.0,
    train_step: Callable[[torch.nn.Module, Any], Tensor] | None = None,
    validation_data: Iterable[Any] | None = None,
    device: str | torch.device | None = None,
    accumulation: int = 1,
    scaler: torch.amp.GradScaler | None = None,
    closure: bool = False,
    on_disk: bool = False,
) -> Sweep:
    """Train with an increasing rate, record the loss of each update, and restore all state.

    Update n of N uses the rate ``low * (high / low) ** (n / (N - 1))``, or with linear spacing
    ``low + (high - low) * n / (N - 1)``.

    The weights, buffers, gradients, modes, optimizers, scaler and random generators (of Python,
    NumPy, torch, the data loaders and their datasets and samplers) are restored bit for bit, also
    after an error or Ctrl-C. The ratios between the rates of the parameter groups do not change;
    the sweep records the largest rate.

    Under ``torch.distributed`` every process must call it; losses are averaged over all processes.

    Source: Smith, arXiv 1506.01186.

    Args:
        model: any module, including compiled modules and DDP.
        optimizer: a torch optimizer, or a list of them, such as Muon and AdamW; every update steps
            each optimizer.
        loss: ``loss(output, y)``, which returns a scalar, for batches ``(x, y)``; a tuple, list or
            dict x is unpacked into the model's arguments. None with ``train_step``.
        data: training batches; the iterable is restarted at its end.
        low: learning rate of the first update, above 0.
        high: learning rate of the last update, above ``low``.
        steps: number of updates, at least 20.
        spacing: spacing of the rates: "geometric" (a constant ratio) or "linear" (a constant
            difference).
        divergence: early-stopping threshold, above 1. The test ends when a loss is not finite, or
            when the running mean of the loss has increased from its minimum by ``divergence - 1``
            times the larger of the minimum and the decrease before it.
        train_step: ``train_step(model, batch)``, which returns the loss, for batches of another
            form or for autocast; replaces ``loss``.
        validation_data: batches; the mean loss over them is recorded after each update instead of
            the training loss.
        device: device that batches are moved to; None: batches are not moved.
        accumulation: number of micro-batches per update; the loss is their mean.
        scaler: gradient scaler for mixed precision; updates that it skips are counted.
        closure: call ``optimizer.step(closure)``, as LBFGS requires. The closure computes the loss
            and gradients of the update's batches; the loss of its first call is recorded.
        on_disk: store the state to restore in a temporary file instead of in memory.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if an argument is out of range, there are too few batches, a batch is not a
            pair and ``train_step`` is None, the loss is not a scalar, or an optimizer requires
            ``closure=True``.

    >>> import lehr, torch
    >>> model = torch.nn.Linear(1, 1)
    >>> sgd = torch.optim.SGD(model.parameters(), lr=0.1)
    >>> data = [(torch.ones(4, 1), torch.ones(4, 1))]
    >>> sweep = lehr.torch.range_test(model, sgd, torch.nn.functional.mse_loss, data)
    >>> sweep.steps, sgd.param_groups[0]["lr"]
    (100, 0.1)
    """
    test = RangeTest(
        low=low,
        high=high,
        steps=steps,
        spacing=spacing,
        divergence=divergence,
        objective="training" if validation_data is None else "validation",
    )
    optimizers = optimizer_list(optimizer)
    check_distinct(optimizers)
    _check_closure(closure, optimizers, scaler)
    if train_step is None and loss is None:
        fail("loss", _LOSS, loss, "pass loss= or train_step=")
    if train_step is not None and loss is not None:
        fail("loss", "None with train_step", loss)
    _check_function("loss", _LOSS, loss)
    _check_function("train_step", "a function train_step(model, batch)", train_step)
    _check_device(device)
    if validation_data is not None:
        cycled("validation_data", validation_data)  # raises unless it is iterable
    loss_of = train_step or functools.partial(_pair_loss, loss)
    accumulation = integer("accumulation", accumulation)
    with preserve_rng(data, validation_data), folder_if(on_disk) as folder:
        return test(
            _Run(
                model,
                optimizers,
                loss_of,
                cycled("data", data),
                validation_data,
                device,
                accumulation,
                scaler,
                closure,
                folder,
            )
        )


def _check_function(field: str, rule: str, function: Any) -> None:
    if isinstance(function, type):
        fail(field, rule, function, f"pass an instance, {function.__name__}()", TypeError)
    if function is not None and not callable(function):
        fail(field, rule, function, error=TypeError)


def _check_device(device: Any) -> None:
    if device is None:
        return
    try:
        torch.device(device)
    except (RuntimeError, TypeError):
        error = ValueError if isinstance(device, str) else TypeError
        fail("device", "a device of PyTorch, such as 'cuda' or 'cpu'", device, error=error)


def _check_closure(closure: Any, optimizers: list[Optimizer], scaler: Any) -> None:
    if not isinstance(closure, bool):
        fix = "the range test creates the closure from the loss and the data"
        fail("closure", "True or False", closure, fix, TypeError)
    if scaler is not None and not hasattr(scaler, "scale"):
        fail("scaler", "a torch.amp.GradScaler or None", scaler, error=TypeError)
    if closure and scaler is not None:
        fix = "torch's GradScaler does not support closures"
        fail("scaler", "None with closure=True", type(scaler).__name__, fix)
    if not closure:
        for optimizer in filter(needs_closure, optimizers):
            rule = f"True for {type(optimizer).__name__}, whose step requires a closure"
            fail("closure", rule, closure)


def _pair_loss(loss: Any, model: torch.nn.Module, batch: Any) -> Any:
    """Compute the loss of a batch ``(x, y)``."""
    if not isinstance(batch, tuple | list) or len(batch) != 2:
        fix = "pass train_step=lambda model, batch: ..., which returns the loss"
        fail("batch", "a pair (x, y)", type(batch).__name__, fix)
    x, y = batch
    if isinstance(x, Mapping):
        return loss(model(**x), y)
    return loss(model(*x) if isinstance(x, tuple | list) else model(x), y)


def _rate(group: dict[str, Any]) -> float:
    """Return the learning rate of a parameter group."""
    rate = group.get("lr")
    if not isinstance(rate, float | int | Tensor):
        fix = "construct the optimizer with lr=, any number above 0"
        fail("lr of the optimizer", "a number", rate, fix, TypeError)
    return float(rate)


@dataclass
class _Run(TrainingRun):
    """Training run of a range test on the user's model and optimizers."""

    model: torch.nn.Module
    optimizers: list[Optimizer]
    loss: Callable[[torch.nn.Module, Any], Tensor]
    batches: Generator[Any, None, None]
    validation_data: Iterable[Any] | None
    device: str | torch.device | None
    accumulation: int
    scaler: torch.amp.GradScaler | None
    closure: bool
    folder: Path | None
    checked: bool = False  # whether the optimizers train the model

    def __post_init__(self) -> None:
        groups = all_groups(self.optimizers)
        rates = [_rate(group) for group in groups]
        if any(
            "lr_scale" in group for group in groups
        ):  # layer-wise rates of timm, as in Scheduler
            rates = [
                float(group.get("initial_lr", rate)) * check_scale(i, group)
                for i, (group, rate) in enumerate(zip(groups, rates, strict=True))
            ]
        largest = max(rates)
        self._ratios = [rate / largest if largest > 0 else 1.0 for rate in rates]

    def training(self, policy: Policy) -> contextlib.AbstractContextManager[None]:
        return mode(self.model, training=True)

    def make_updates(
        self, policy: Policy, values: list[dict[str, Any]]
    ) -> tuple[list[float], dict[str, list[float]]]:
        losses, rates = [], []
        for wanted in values:
            groups = all_groups(self.optimizers)
            for group, ratio in zip(groups, self._ratios, strict=True):
                write_value(group, "lr", wanted["lr"] * ratio)
            used = [float(group["lr"]) for group in groups]
            losses.append(self._update())
            if used != [float(group["lr"]) for group in groups]:
                kinds = [type(optimizer).__name__ for optimizer in self.optimizers]
                fail("lr of the optimizer", "a value that its step does not change", kinds)
            rates.append(max(used))
        return all_reduce_mean(torch.stack(losses)).tolist(), {"lr": rates}

    def evaluate(self) -> dict[str, float]:
        losses = []
        draws = torch.random.fork_rng(range(torch.cuda.device_count()))
        # DDP's forward is collective, and the number of batches may differ between processes
        model = self.model.module if isinstance(self.model, DDP) else self.model
        with mode(self.model, training=False), torch.no_grad(), draws:
            for batch in self.validation_data or ():
                losses.append(self.loss(model, moved(batch, self.device)).float())
        if not losses:
            fail("validation_data", "at least one batch", self.validation_data)
        return {"loss": float(all_reduce_mean(torch.stack(losses).mean()))}

    @contextlib.contextmanager
    def preserved(self) -> Iterator[None]:
        roots = {"model": self.model, "optimizer": self.optimizers, "loss": self.loss}
        state = TrainingState(roots | {"scaler": self.scaler}, self.folder)
        clear_gradients(self.model, self.optimizers)  # those of the user are not modified
        try:
            yield
        finally:
            state.restore()
            self.batches.close()  # also closes the iterator of the data

    def _update(self) -> Tensor:
        """Make one update; return the mean loss of its micro-batches, before the update."""
        batches = (moved(next(self.batches), self.device) for _ in range(self.accumulation))
        if self.closure:
            micro_batches, losses = list(batches), []

            @torch.enable_grad()
            def closure() -> Any:
                losses.append(self._backward(micro_batches))
                return losses[-1]

            for optimizer in self.optimizers:
                if is_sam(optimizer):  # needs the gradients before its step
                    closure()
                optimizer.step(closure)
            return losses[0]
        loss = self._backward(batches)
        for optimizer in self.optimizers:
            if self.scaler is None:
                optimizer.step()
            else:
                self.scaler.step(optimizer)
        if self.scaler is not None:
            self.scaler.update()
        return loss

    def _backward(self, batches: Iterable[Any]) -> Tensor:
        """Compute the mean loss of micro-batches and its gradients; return the loss."""
        clear_gradients(self.model, self.optimizers)
        losses = []
        for batch in batches:
            loss = checked_loss(self.loss(self.model, batch))
            part = loss / self.accumulation
            (part if self.scaler is None else self.scaler.scale(part)).backward()  # type: ignore[no-untyped-call]
            losses.append(loss.detach())
        if not self.checked:
            check_used(self.optimizers)
            self.checked = True
        return torch.stack(losses).float().mean()


def moved(batch: Any, device: str | torch.device | None, **options: Any) -> Any:
    """Move a batch to a device: nested tensors, or any object with a method ``to``."""
    if device is None:
        return batch
    if hasattr(batch, "to"):
        return batch.to(device, **options)
    if isinstance(batch, Mapping):
        return {key: moved(value, device, **options) for key, value in batch.items()}
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*(moved(part, device, **options) for part in batch))
    if isinstance(batch, list | tuple):
        return type(batch)(moved(part, device, **options) for part in batch)
    return batch
