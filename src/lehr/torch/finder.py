"""The range test on a user's own model, optimizer and loader."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel as DDP
from torch.optim import Optimizer

from lehr import finder
from lehr.finder import Sweep
from lehr.finder.rng import preserve_rng
from lehr.learner import TrainingRun, cycled, folder_if
from lehr.policy import Policy
from lehr.schedule.errors import fail, whole
from lehr.torch.learner import mode
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
    """Train with a rising rate, record the loss at each, and leave everything as it was.

    Weights, buffers, the optimizer's state and rates, gradients, modes, the scaler, and the random
    generators of Python, NumPy, torch and those that the loaders, their datasets and samplers hold
    come back bit for bit, also after an error or Ctrl-C. Parameter groups keep the ratios of their
    rates; the rates of the sweep are the largest group's. A loader shorter than the test is begun
    again. Where ``torch.distributed`` runs, the losses are the means over the processes, so all
    stop together: each must call it.

    Args:
        model: any module, also wrapped in DDP or compiled.
        optimizer: over its parameters.
        loss: ``loss(output, y)``, a scalar, for batches ``(x, y)``; where x is a tuple or a dict,
            the model is called with its parts. None if there is a ``step``.
        loader: of training batches; its length need not be known.
        device: batches are moved there; None leaves them where they are.
        val_loader: given, the mean loss over it after each update is recorded instead of the
            training loss.
        step: for any other batch, ``step(model, batch)``: the loss, autocast included.
        accumulation: micro-batches in one update; the loss is their mean.
        scaler: of mixed precision; an update that it skips counts like any other.
        on_disk: keep what is put back in a temporary file instead of memory.
        **options: of `lehr.range_test`: low, high, steps, spacing, divergence.

    Raises:
        ValueError: if an argument is out of its range, the loader is empty, or a batch has a
            layout that needs a ``step``.

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
    objective = "training" if val_loader is None else "validation"
    with preserve_rng(loader, val_loader), folder_if(on_disk) as folder:
        run = _Run(model, optimizer, loader, val_loader)
        run.loss = step or _Pairs(loss)  # type: ignore[arg-type]
        run.device, run.scaler = device, scaler
        run.accumulation = whole("accumulation", accumulation)
        run.folder = folder
        return finder.range_test(run, objective=objective, **options)


class _Pairs:
    """The loss of a batch ``(x, y)``."""

    def __init__(self, loss: Callable[[Any, Any], Tensor]) -> None:
        self.loss = loss

    def __call__(self, model: torch.nn.Module, batch: Any) -> Tensor:
        if not isinstance(batch, tuple | list) or len(batch) != 2:
            way_out = "pass step=lambda model, batch: ... that returns the loss"
            fail("batch", "a pair (x, y)", type(batch).__name__, way_out)
        x, y = batch
        if isinstance(x, Mapping):
            return self.loss(model(**x), y)
        return self.loss(model(*x) if isinstance(x, tuple | list) else model(x), y)


class _Run(TrainingRun):
    """A user's training loop for as long as a range test lasts."""

    loss: Callable[[torch.nn.Module, Any], Tensor]
    device: str | torch.device | None
    scaler: torch.amp.GradScaler | None
    accumulation: int
    folder: Path | None

    def __init__(
        self,
        model: torch.nn.Module,
        optimizer: Optimizer,
        loader: Iterable[Any],
        val_loader: Iterable[Any] | None,
    ) -> None:
        self.model, self.optimizer = model, optimizer
        self.loader, self.val_loader = loader, val_loader
        self._batches = cycled("loader", loader)
        rates = [float(group["lr"]) for group in optimizer.param_groups]
        largest = max(rates)
        self._shares = [rate / largest if largest > 0 else 1.0 for rate in rates]

    def training(self, policy: Policy) -> contextlib.AbstractContextManager[None]:
        return mode(self.model, training=True)

    def make_updates(
        self, policy: Policy, values: list[dict[str, Any]]
    ) -> tuple[list[float], dict[str, list[float]]]:
        losses, rates = [], []
        for wanted in values:
            self._write(wanted["lr"])
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
        modes = [(module, module.training) for module in self.model.modules()]
        state = {
            "model": self.model.state_dict(),
            "groups": [_without_params(group) for group in optimizer.param_groups],
            "slots": [optimizer.state.get(p) for p in _parameters(optimizer)],
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
            for module, training in modes:
                module.training = training
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
        parameters = _parameters(self.optimizer)
        for parameter, slots in zip(parameters, state["slots"], strict=True):
            if slots is not None:
                self.optimizer.state[parameter] = slots
        if self.scaler is not None:
            self.scaler.load_state_dict(state["scaler"])

    def _write(self, rate: float) -> None:
        for group, share in zip(self.optimizer.param_groups, self._shares, strict=True):
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate * share)
            else:
                group["lr"] = rate * share

    def _update(self) -> Tensor:
        """Make one update; return the mean loss of its micro-batches."""
        for parameter, _ in self._grads:
            parameter.grad = None
        losses = []
        for _ in range(self.accumulation):
            loss = self.loss(self.model, _moved(next(self._batches), self.device))
            if loss.ndim != 0:
                way_out = "return its mean over the rows"
                fail("loss", "a scalar", f"shape {tuple(loss.shape)}", way_out)
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


def _parameters(optimizer: Optimizer) -> list[Tensor]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _without_params(group: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in group.items() if name != "params"}
