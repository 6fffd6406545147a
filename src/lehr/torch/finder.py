"""The range test on a user's own model, optimizer and loader."""

from __future__ import annotations

import contextlib
import copy
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel as DDP
from torch.optim import Optimizer

from lehr import finder
from lehr.finder import Sweep
from lehr.finder.rng import preserve_rng
from lehr.finder.sweep import Objective
from lehr.learner import TrainingRun, cycled, folder_if
from lehr.policy import Policy
from lehr.schedule.errors import fail, whole
from lehr.torch.groups import parameters, write_value
from lehr.torch.learner import checked_loss, mode
from lehr.torch.processes import all_reduce_mean


def range_test(
    model: torch.nn.Module,
    optimizer: Optimizer,
    loss: Callable[[Any, Any], Tensor] | None,
    loader: Iterable[Any],
    *,
    device: str | torch.device | None = None,
    val_loader: Iterable[Any] | None = None,
    step: Callable[[torch.nn.Module, Any], Tensor] | None = None,
    accumulation: int = 1,
    scaler: torch.amp.GradScaler | None = None,
    on_disk: bool = False,
    **options: Any,
) -> Sweep:
    """Train with a rising rate, record the loss of each update, and restore everything.

    Restored bit for bit, also after an error or Ctrl-C: weights, buffers, gradients, modes, the
    optimizer, the scaler, and the random generators of Python, NumPy, torch, the loaders and their
    datasets and samplers. Parameter groups keep the ratios of their rates; the sweep has the
    largest. A short loader is restarted. Under ``torch.distributed`` every process must call it:
    losses are averaged over them.

    Args:
        model: any module, also wrapped in DDP or compiled.
        optimizer: over its parameters.
        loss: ``loss(output, y)``, a scalar, for batches ``(x, y)``; a tuple or dict x is unpacked
            into the model's arguments. None with ``step``.
        loader: training batches, of any number.
        device: where batches are moved; None for nowhere.
        val_loader: record the mean loss over it after each update, not the training loss.
        step: for other batches: ``step(model, batch)`` returns the loss, autocast included.
        accumulation: micro-batches in one update; the loss is their mean.
        scaler: for mixed precision; updates that it skips count too.
        on_disk: store the state to restore in a temporary file, not in memory.
        **options: low, high, steps, spacing, divergence of `lehr.range_test`.

    Raises:
        ValueError: if an argument is out of range, the loader is empty, or a batch needs ``step``.

    >>> import lehr, torch
    >>> model = torch.nn.Linear(1, 1)
    >>> sgd = torch.optim.SGD(model.parameters(), lr=0.1)
    >>> loader = [(torch.ones(4, 1), torch.ones(4, 1))]
    >>> sweep = lehr.torch.range_test(model, sgd, torch.nn.functional.mse_loss, loader)
    >>> sweep.steps, sgd.param_groups[0]["lr"]
    (100, 0.1)
    """
    if not isinstance(optimizer, Optimizer):
        fail(
            "optimizer",
            "one torch.optim.Optimizer",
            type(optimizer).__name__,
            "test the others one by one",
            TypeError,
        )
    if (loss is None) == (step is None):
        fail("loss", "given, or else a step", loss, "pass loss=loss(output, y) or step=")
    objective: Objective = "training" if val_loader is None else "validation"
    step = step or functools.partial(_pair_loss, loss)
    with preserve_rng(loader, val_loader), folder_if(on_disk) as folder:
        run = _Run(model, optimizer, step, loader, val_loader, device, accumulation, scaler, folder)
        return finder.range_test(run, objective=objective, **options)


def _pair_loss(loss: Any, model: torch.nn.Module, batch: Any) -> Any:
    """Return the loss of a batch ``(x, y)``."""
    if not isinstance(batch, tuple | list) or len(batch) != 2:
        way_out = "pass step=lambda model, batch: ... that returns the loss"
        fail("batch", "a pair (x, y)", type(batch).__name__, way_out)
    x, y = batch
    if isinstance(x, Mapping):
        return loss(model(**x), y)
    return loss(model(*x) if isinstance(x, tuple | list) else model(x), y)


@dataclass
class _Run(TrainingRun):
    """The user's training loop during a range test."""

    model: torch.nn.Module
    optimizer: Optimizer
    loss: Callable[[torch.nn.Module, Any], Tensor]
    loader: Iterable[Any]
    val_loader: Iterable[Any] | None
    device: str | torch.device | None
    accumulation: int
    scaler: torch.amp.GradScaler | None
    folder: Path | None

    def __post_init__(self) -> None:
        self.accumulation = whole("accumulation", self.accumulation)
        self._batches = cycled("loader", self.loader)
        rates = [float(group["lr"]) for group in self.optimizer.param_groups]
        largest = max(rates)
        self._shares = [rate / largest if largest > 0 else 1.0 for rate in rates]

    def training(self, policy: Policy) -> contextlib.AbstractContextManager[None]:
        return mode(self.model, training=True)

    def make_updates(
        self, policy: Policy, values: list[dict[str, Any]]
    ) -> tuple[list[float], dict[str, list[float]]]:
        losses, rates = [], []
        for wanted in values:
            for group, share in zip(self.optimizer.param_groups, self._shares, strict=True):
                write_value(group, "lr", wanted["lr"] * share)
            losses.append(self._update())
            rates.append(max(float(group["lr"]) for group in self.optimizer.param_groups))
        return all_reduce_mean(torch.stack(losses)).tolist(), {"lr": rates}

    def evaluate(self) -> dict[str, float]:
        losses = []
        draws = torch.random.fork_rng(range(torch.cuda.device_count()))
        # without DDP, whose calls wait for the other processes: they may have fewer batches
        model = self.model.module if isinstance(self.model, DDP) else self.model
        with mode(self.model, training=False), torch.no_grad(), draws:
            for batch in self.val_loader or ():
                losses.append(self.loss(model, _moved(batch, self.device)).float())
        if not losses:
            fail("val_loader", "one with at least one batch", self.val_loader)
        return {"loss": float(all_reduce_mean(torch.stack(losses).mean()))}

    @contextlib.contextmanager
    def preserved(self) -> Iterator[None]:
        optimizer = self.optimizer
        self._grads = [(p, p.grad) for p in self.model.parameters()]
        for parameter, _ in self._grads:  # set aside, not copied
            parameter.grad = None
        state = {
            "model": self.model.state_dict(),
            "groups": [
                {name: value for name, value in group.items() if name != "params"}
                for group in optimizer.param_groups
            ],
            "slots": [optimizer.state.get(p) for p in parameters(optimizer)],
            "scaler": None if self.scaler is None else self.scaler.state_dict(),
        }
        if self.folder is None:
            copied = copy.deepcopy(state)
        else:
            torch.save(state, self.folder / "state.pt")
        try:
            yield
        finally:
            if self.folder is not None:
                copied = torch.load(self.folder / "state.pt", weights_only=True)
            self._restore(copied)
            for parameter, grad in self._grads:
                parameter.grad = grad
            self._batches.close()  # this ends the loader's iterator too

    def _restore(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        for group, before in zip(self.optimizer.param_groups, state["groups"], strict=True):
            for name, value in before.items():
                if isinstance(group[name], Tensor):
                    group[name].copy_(value)  # the tensor that a user may hold
                else:
                    group[name] = value
        self.optimizer.state.clear()
        slots_of = zip(parameters(self.optimizer), state["slots"], strict=True)
        for parameter, slots in slots_of:
            if slots is not None:
                self.optimizer.state[parameter] = slots
        if self.scaler is not None:
            self.scaler.load_state_dict(state["scaler"])

    def _update(self) -> Tensor:
        """Make one update; return the mean loss of its micro-batches."""
        for parameter, _ in self._grads:
            parameter.grad = None
        losses = []
        for _ in range(self.accumulation):
            loss = checked_loss(self.loss(self.model, _moved(next(self._batches), self.device)))
            part = loss / self.accumulation
            (part if self.scaler is None else self.scaler.scale(part)).backward()  # type: ignore[no-untyped-call]
            losses.append(loss.detach())
        if self.scaler is None:
            self.optimizer.step()
        else:
            self.scaler.step(self.optimizer)
            self.scaler.update()
        return torch.stack(losses).float().mean()


def _moved(batch: Any, device: str | torch.device | None) -> Any:
    """Return a batch with its tensors on a device, whatever holds them."""
    if device is None:
        return batch
    if hasattr(batch, "to"):
        return batch.to(device)
    if isinstance(batch, Mapping):
        return {key: _moved(value, device) for key, value in batch.items()}
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*(_moved(part, device) for part in batch))
    if isinstance(batch, list | tuple):
        return type(batch)(_moved(part, device) for part in batch)
    return batch
