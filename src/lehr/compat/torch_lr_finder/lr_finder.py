"""The range test of pytorch-lr-finder."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader

from lehr.compat.torch_lr_finder import _private
from lehr.compat.torch_lr_finder.data_loaders import (
    DataLoaderIter,
    TrainDataLoaderIter,
    ValDataLoaderIter,
)
from lehr.compat.torch_lr_finder.schedulers import ExponentialLR, LinearLR
from lehr.compat.torch_lr_finder.state_cacher import StateCacher, checked_folder
from lehr.schedule.errors import fail
from lehr.torch.finder import moved
from lehr.torch.state import TrainingState

__all__ = [
    "AVAILABLE_AMP_BACKENDS",
    "DataLoaderIter",
    "ExponentialLR",
    "LRFinder",
    "LinearLR",
    "StateCacher",
    "TrainDataLoaderIter",
    "ValDataLoaderIter",
]

AVAILABLE_AMP_BACKENDS = ["torch"]
try:
    import apex.amp  # type: ignore[import-not-found]  # noqa: F401

    AVAILABLE_AMP_BACKENDS.append("apex")
except ImportError:
    pass
_SCHEDULERS = {"exp": ExponentialLR, "linear": LinearLR}


class LRFinder:
    """Range test: train with an increasing rate and record the smoothed loss.

    The model and the optimizer remain changed until `reset`.

    Args:
        model: a module whose ``forward`` takes the inputs of a batch as one argument.
        optimizer: an optimizer without a scheduler.
        criterion: ``criterion(outputs, labels)``, which returns the loss.
        device: device of the model during the test and of the batches; None: that of the model.
        memory_cache: store the state to restore in memory instead of in files.
        cache_dir: folder of these files; None: the system's folder for temporary files.
        amp_backend: "torch" or "apex" for mixed precision, or None.
        amp_config: arguments of ``torch.amp.autocast``, for the backend "torch".
        grad_scaler: gradient scaler, for the backend "torch".

    Attributes:
        history: ``{"lr": [...], "loss": [...]}``, the rate of the first parameter group and the
            smoothed loss of each iteration.
        best_loss: the lowest smoothed loss; None before the test.

    Raises:
        RuntimeError: if the optimizer has a scheduler.
        ValueError: if ``cache_dir`` is not a folder, or mixed precision is not available or
            lacks an argument.

    >>> model = torch.nn.Linear(1, 1)
    >>> sgd = torch.optim.SGD(model.parameters(), lr=0.01)
    >>> data = torch.utils.data.TensorDataset(torch.ones(8, 1), torch.ones(8, 1))
    >>> lr_finder = LRFinder(model, sgd, torch.nn.MSELoss())
    >>> lr_finder.range_test(DataLoader(data, batch_size=4), end_lr=0.16, num_iter=5)
    Learning rate search finished. See the graph with {finder_name}.plot()
    >>> [round(lr, 6) for lr in lr_finder.history["lr"]]
    [0.01, 0.02, 0.04, 0.08, 0.16]
    >>> lr_finder.reset()
    >>> sgd.param_groups[0]["lr"]
    0.01
    """

    def __init__(
        self,
        model: Any,
        optimizer: Any,
        criterion: Any,
        device: Any = None,
        memory_cache: bool = True,
        cache_dir: str | None = None,
        amp_backend: str | None = None,
        amp_config: dict[str, Any] | None = None,
        grad_scaler: Any = None,
    ) -> None:
        self.optimizer = optimizer
        self._check_for_scheduler()
        if amp_backend and amp_backend not in AVAILABLE_AMP_BACKENDS:
            raise ValueError(f"Unknown amp backend: {amp_backend}")
        if amp_backend == "torch":
            if grad_scaler is None:
                raise ValueError("`grad_scaler` is required when using `torch.amp`")
            if amp_config is None:
                raise ValueError("`amp_config` is required when using `torch.amp`")
        self.model, self.criterion = model, criterion
        self.history: dict[str, list[Any]] = {"lr": [], "loss": []}
        self.best_loss: Any = None
        self.memory_cache, self.cache_dir = memory_cache, cache_dir
        self.amp_backend, self.amp_config = amp_backend, amp_config
        self.grad_scaler = grad_scaler
        self.model_device = next(model.parameters()).device
        self.device = self.model_device if device is None else device
        parent, folder = checked_folder(cache_dir), None
        if not memory_cache:
            folder = Path(tempfile.mkdtemp(prefix="lr_finder_", dir=parent))
            weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        roots = {"model": model, "optimizer": optimizer, "grad_scaler": grad_scaler}
        self._state = TrainingState(roots, folder, skip_unknown=True)

    def reset(self) -> None:
        """Restore the model, the optimizer and the gradient scaler to their initial states."""
        self._state.restore()

    def range_test(
        self,
        train_loader: Any,
        val_loader: Any = None,
        start_lr: Any = None,
        end_lr: float = 10,
        num_iter: int = 100,
        step_mode: str = "exp",
        smooth_f: float = 0.05,
        diverge_th: float = 5,
        accumulation_steps: int = 1,
        non_blocking_transfer: bool = True,
    ) -> None:
        """Run the range test; the results are in `history` and `best_loss`.

        Args:
            train_loader: a DataLoader or a `TrainDataLoaderIter`.
            val_loader: a DataLoader or a `ValDataLoaderIter`; the mean loss over it is recorded
                after each iteration instead of the training loss.
            start_lr: rate of the first iteration, a number or a list with one per parameter
                group; None: the rates of the optimizer.
            end_lr: rate of the last iteration, for every parameter group.
            num_iter: number of iterations, at least 2.
            step_mode: "exp" (a constant ratio of the rates) or "linear" (a constant difference).
            smooth_f: weight of the new loss in the smoothed loss, at least 0 and below 1; 0: no
                smoothing.
            diverge_th: the test stops when the smoothed loss exceeds its minimum by
                ``diverge_th - 1`` times the absolute value of the minimum, or is NaN.
            accumulation_steps: number of batches per iteration.
            non_blocking_transfer: move batches to the device asynchronously if possible.

        Raises:
            RuntimeError: if the optimizer has a scheduler, also that of a test without `reset`.
            ValueError: if an argument is out of range or has an unsupported type.
        """
        self._check_for_scheduler()
        scheduler = _SCHEDULERS.get(str(step_mode).lower())
        if scheduler is None:
            raise ValueError(f"expected one of (exp, linear), got {step_mode}")
        if not 0 <= smooth_f < 1:
            raise ValueError(f"smooth_f is outside the range [0, 1[, got {smooth_f!r}")
        train_iter = _iterator("train_loader", train_loader, TrainDataLoaderIter)
        val_iter = None
        if val_loader is not None:
            val_iter = _iterator("val_loader", val_loader, ValDataLoaderIter)
        rates = [group["lr"] for group in self.optimizer.param_groups]
        if start_lr:
            self._set_learning_rate(start_lr)
        try:
            lr_schedule = scheduler(self.optimizer, end_lr, num_iter)
        except (TypeError, ValueError):  # nothing else has been changed
            self._set_learning_rate(rates)
            raise
        self.model.to(self.device)
        self.history, self.best_loss = {"lr": [], "loss": []}, None
        transfer = {"non_blocking_transfer": non_blocking_transfer}
        for _ in range(num_iter):
            loss = self._train_batch(train_iter, accumulation_steps, **transfer)
            if val_iter is not None:
                loss = self._validate(val_iter, **transfer)
            self.history["lr"].append(lr_schedule.get_lr()[0])
            lr_schedule.step()
            if self.best_loss is None:
                self.best_loss = loss
            elif smooth_f > 0:
                loss = smooth_f * loss + (1 - smooth_f) * self.history["loss"][-1]
            self.best_loss = min(self.best_loss, loss)
            self.history["loss"].append(loss)
            if not loss <= self.best_loss + (diverge_th - 1) * abs(self.best_loss):
                print("Stopping early, the loss has diverged")
                break
        print("Learning rate search finished. See the graph with {finder_name}.plot()")

    def _set_learning_rate(self, new_lrs: Any) -> None:
        groups = self.optimizer.param_groups
        if not isinstance(new_lrs, list):
            new_lrs = [new_lrs] * len(groups)
        if len(new_lrs) != len(groups):
            raise ValueError(
                "Length of `new_lrs` is not equal to the number of parameter groups "
                f"in the given optimizer: {len(new_lrs)} and {len(groups)}"
            )
        for group, rate in zip(groups, new_lrs, strict=True):
            group["lr"] = rate

    def _check_for_scheduler(self) -> None:
        if any("initial_lr" in group for group in self.optimizer.param_groups):
            raise RuntimeError("Optimizer already has a scheduler attached to it")

    # Subclasses in use override the following methods, so their names and signatures are public.

    def _train_batch(
        self, train_iter: Any, accumulation_steps: int, non_blocking_transfer: bool = True
    ) -> float:
        """Make one update and return the mean loss of its batches, before the update."""
        scaler = self.grad_scaler if self.amp_backend == "torch" else None
        self.model.train()
        self.optimizer.zero_grad()
        total: Any = 0
        for _ in range(accumulation_steps):
            inputs, labels = next(train_iter)
            inputs, labels = self._move_to_device(
                inputs, labels, non_blocking=non_blocking_transfer
            )
            with self._autocast():
                loss = self.criterion(self.model(inputs), labels)
            loss = loss / accumulation_steps
            if scaler is not None:
                scaler.scale(loss).backward()
            elif self.amp_backend == "apex" and _private.is_scaled_by_apex(self.optimizer):
                import apex.amp

                with apex.amp.scale_loss(loss, self.optimizer) as scaled_loss:
                    scaled_loss.backward()
            else:
                loss.backward()
            total = total + loss.detach()
        if scaler is not None:
            scaler.step(self.optimizer)
            scaler.update()
        else:
            self.optimizer.step()
        return float(total)

    def _autocast(self) -> contextlib.AbstractContextManager[Any]:
        if self.amp_backend != "torch":
            return contextlib.nullcontext()
        autocast: Any = torch.amp.autocast
        return autocast(**self.amp_config or {})  # type: ignore[no-any-return]

    def _move_to_device(
        self, inputs: Any, labels: Any, non_blocking: bool = True
    ) -> tuple[Any, Any]:
        options = {"non_blocking": non_blocking}
        return moved(inputs, self.device, **options), moved(labels, self.device, **options)

    def _validate(self, val_iter: Any, non_blocking_transfer: bool = True) -> float:
        """Return the mean loss over the samples of the validation data."""
        total, samples = 0.0, 0
        self.model.eval()
        with torch.no_grad():
            for inputs, labels in val_iter:
                inputs, labels = self._move_to_device(
                    inputs, labels, non_blocking=non_blocking_transfer
                )
                loss = self.criterion(self.model(inputs), labels)
                total += loss.item() * len(labels)
                samples += len(labels)
        if samples == 0:
            fail("val_loader", "a data loader with at least one sample", val_iter)
        return total / samples

    def plot(
        self,
        skip_start: int = 10,
        skip_end: int = 5,
        log_lr: bool = True,
        show_lr: float | None = None,
        ax: Any = None,
        suggest_lr: bool = True,
    ) -> Any:
        """Plot the smoothed loss over the rates, and suggest the rate of the steepest decrease.

        Args:
            skip_start: number of iterations to omit at the start.
            skip_end: number of iterations to omit at the end.
            log_lr: use a logarithmic axis for the rates.
            show_lr: a rate that is marked with a vertical line.
            ax: axes of matplotlib to draw on; None: a new figure, which is shown.
            suggest_lr: mark and return the rate with the smallest ``numpy.gradient`` of the losses.

        Returns:
            The axes, or ``(axes, rate)`` with ``suggest_lr``.

        Raises:
            ValueError: if a number of iterations is negative, or ``show_lr`` is not a float.
            RuntimeError: if fewer than two points remain for a suggestion.
        """
        import matplotlib.pyplot as plt

        if skip_start < 0:
            raise ValueError("skip_start cannot be negative")
        if skip_end < 0:
            raise ValueError("skip_end cannot be negative")
        if show_lr is not None and not isinstance(show_lr, float):
            raise ValueError("show_lr must be float")
        count, needed = len(self.history["lr"]), skip_start + skip_end + 2
        if suggest_lr and count < needed:
            raise RuntimeError(
                f"Need at least {needed} iterations to suggest a learning rate. Got {count}"
            )
        shown = slice(skip_start, -skip_end or None)
        lrs, losses = self.history["lr"][shown], self.history["loss"][shown]
        create = ax is None
        if create:
            _, ax = plt.subplots()
        ax.plot(lrs, losses)
        suggested = None
        if suggest_lr:
            at = int(np.nanargmin(np.gradient(np.array(losses, dtype=float))))
            suggested = lrs[at]
            print("LR suggestion: steepest gradient")
            print(f"Suggested LR: {suggested:.2E}")
            style: dict[str, Any] = {"s": 75, "marker": "o", "color": "red", "zorder": 3}
            ax.scatter(suggested, losses[at], **style, label="steepest gradient")
            ax.legend()
        if log_lr:
            ax.set_xscale("log")
        ax.set_xlabel("Learning rate")
        ax.set_ylabel("Loss")
        if show_lr is not None:
            ax.axvline(x=show_lr, color="red")
        if create:
            plt.show()
        return (ax, suggested) if suggest_lr else ax


def _iterator(name: str, loader: Any, kind: type[Any]) -> Any:
    """Return an iterator over a data loader, or the given iterator."""
    if isinstance(loader, DataLoader):
        return kind(loader)
    if not isinstance(loader, kind):
        raise ValueError(
            f"`{name}` has unsupported type: {type(loader)}. Expected types are "
            f"`torch.utils.data.DataLoader` or child of `{kind.__name__}`."
        )
    return loader
