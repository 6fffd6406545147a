"""Schedulers, and bases of schedulers, that use private names of PyTorch's schedulers."""

from __future__ import annotations

import math
import warnings
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer, lr_scheduler
from torch.optim.lr_scheduler import (
    LRScheduler,
    _LRScheduler,
    _warn_get_lr_called_within_step,
)

from lehr.schedule import scalar
from lehr.schedule.base import Schedule
from lehr.schedule.combine import Power

Rate = float | Tensor

__all__ = [
    "ChainedScheduler",
    "Phase",
    "Rate",
    "ReduceLROnPlateau",
    "SequentialLR",
    "Shaped",
    "_LRScheduler",
    "anneal_curve",
    "custom_scale",
    "is_resumed",
    "milestones",
    "one_cycle_phases",
    "parts",
    "swa_position",
    "warn_outside_step",
]


class Shaped(LRScheduler, ABC):
    """Base of the chainable schedulers: the rates follow a shape ``f`` of lehr's algebra.

    The closed form is ``low + (base - low) * f(t)``. If a group holds the value of the closed form,
    the next one is its value at the next step. Otherwise the rate was set by hand or by another
    scheduler, and its distance from ``low`` is multiplied by ``f(t) / f(t - 1)``.
    """

    @abstractmethod
    def shape(self) -> Schedule:
        """Return the shape: a schedule with the value 1 where the rate is the base rate."""

    def lowest(self) -> Any:
        """Return ``low``, the rate where the shape is 0."""
        return 0.0

    def get_lr(self) -> list[Rate]:
        """Return the rate of each group at the current step."""
        t = self.last_epoch
        if is_resumed(self) or not self._get_lr_called_within_step:
            return super().get_lr()  # each class of torch has its own convention for these calls
        f, low = self.shape(), self.lowest()
        now, before = (f.at(k, scalar) if k >= 0 else 1.0 for k in (t, t - 1))
        groups = self.optimizer.param_groups
        # groups that were added later have no base rate yet
        later = [
            group.setdefault("initial_lr", copied(group["lr"]))
            for group in groups[len(self.base_lrs) :]
        ]
        rates: list[Rate] = []
        for group, base in zip(groups, [*self.base_lrs, *later], strict=True):
            rate, height = group["lr"], base - low
            tensors = isinstance(rate, Tensor) or isinstance(base, Tensor)
            if not tensors and rate == low + height * before:  # of tensors it would synchronize
                rates.append(low + height * now)
                continue
            ratio = growth(f, t) if t > 0 else now
            rates.append(rate + height * now if ratio is None else low + (rate - low) * ratio)
        return rates

    def _get_closed_form_lr(self) -> list[Rate]:
        """Return the closed form; used by ``step(epoch)`` and at milestones of SequentialLR."""
        low, left = self.lowest(), self.shape().at(self.last_epoch, scalar)
        return [low + (base - low) * left for base in self.base_lrs]


def copied(rate: Rate) -> Rate:
    """Return the rate, or a copy of a tensor."""
    return rate.clone() if isinstance(rate, Tensor) else rate


def growth(f: Schedule, t: int) -> float | None:
    """Return ``f(t) / f(t - 1)``, or None after a value of 0."""
    if isinstance(f, Power):  # also where the powers of a small base are 0
        base, exponent = f.parts
        return float(base.at(t, scalar) ** (exponent.at(t, scalar) - exponent.at(t - 1, scalar)))
    before = f.at(t - 1, scalar)
    return f.at(t, scalar) / before if before else None


def is_resumed(scheduler: LRScheduler) -> bool:
    """Return whether the scheduler is in its constructor, called with ``last_epoch >= 0``."""
    first = getattr(scheduler, "_is_initial", scheduler._step_count == 1)  # old versions lack it
    return first and scheduler.last_epoch > 0


def warn_outside_step(scheduler: LRScheduler) -> None:
    """Emit torch's warning if ``get_lr`` is not called by ``step``."""
    _warn_get_lr_called_within_step(scheduler)


def anneal_curve(scheduler: Any) -> str:
    """Return the curve of a OneCycleLR or SWALR: "cosine" or "linear"."""
    swa = hasattr(scheduler, "_anneal_strategy")
    name = scheduler._anneal_strategy if swa else scheduler._anneal_func_type
    return "cosine" if name == "cos" else "linear"


def swa_position(scheduler: LRScheduler) -> int:
    """Return the number of steps of a SWALR, which does not count in epochs."""
    return scheduler._step_count - 1


Phase = tuple[float, float, dict[str, Any]]
"""Start and end of a phase of OneCycleLR in steps, and the group's keys at both."""


def one_cycle_phases(scheduler: lr_scheduler.OneCycleLR) -> list[Phase]:
    """Return the phases of a OneCycleLR."""
    phases: list[Any] = scheduler._schedule_phases
    starts = [0.0, *(phase["end_step"] for phase in phases)]
    return [(start, p["end_step"], p) for start, p in zip(starts, phases, strict=False)]


def parts(scheduler: Any) -> list[Any]:
    """Return the parts of a SequentialLR or ChainedScheduler."""
    return list(scheduler._schedulers)


def milestones(scheduler: lr_scheduler.SequentialLR) -> list[int]:
    """Return the milestones of a SequentialLR."""
    return list(scheduler._milestones)


def custom_scale(scheduler: lr_scheduler.CyclicLR) -> Any:
    """Return the user's ``scale_fn`` of a CyclicLR, or None."""
    return scheduler._scale_fn_custom


class ReduceLROnPlateau(lr_scheduler.ReduceLROnPlateau):
    """Reduce the rates when a metric has stopped improving.

    It is torch's scheduler, which has no shape. Only the relative threshold differs: it is a share
    of the absolute value of the best metric, so that negative metrics can also stop improving.

    Args:
        optimizer: the optimizer.
        mode: "min" if a smaller metric is better, or "max".
        factor: factor of a reduction, below 1.
        patience: number of metrics without improvement after which the next one reduces the rates.
        threshold: smallest improvement that counts.
        threshold_mode: "rel" (to the best metric) or "abs".
        cooldown: number of metrics ignored after a reduction.
        min_lr: lower bound of the rates, a number or one for each group.
        eps: smallest change of a rate.

    Raises:
        ValueError: if an argument is out of range.
        RuntimeError: in `step`, if a list of bounds does not match the groups.

    >>> import torch
    >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    >>> scheduler = ReduceLROnPlateau(optimizer, patience=1, factor=0.5)
    >>> for loss in (-1.0, -1.0, -1.0):
    ...     scheduler.step(loss)
    >>> scheduler.get_last_lr()
    [0.5]
    """

    def _is_better(self, a: float, best: float) -> bool:
        if self.threshold_mode == "rel" and -math.inf < best < 0.0:
            sign = 1.0 if self.mode == "min" else -1.0
            return bool(sign * a < sign * (best * (1.0 + sign * self.threshold)))
        return super()._is_better(a, best)  # type: ignore[no-any-return, no-untyped-call]


class Composite(LRScheduler):
    """Base of schedulers of schedulers; they can be nested in each other at any position."""

    _schedulers: Any

    def _update_lr(self, epoch: int | None = None) -> None:
        """Restart at step 0; called by an outer SequentialLR at its milestone."""
        reset_rates(self)
        for member in members(self):
            if hasattr(member, "last_epoch"):
                member.last_epoch = -1
        self._initial_step()


class SequentialLR(Composite, lr_scheduler.SequentialLR):
    """Apply schedulers one after the other; each starts at its milestone.

    It is torch's scheduler, with three corrections: schedulers of schedulers may be parts at any
    position, a part that replaces the initial rates does not change the parts before it, and
    ``last_epoch`` continues the sequence.

    Args:
        optimizer: the optimizer.
        schedulers: the parts, all of this optimizer.
        milestones: the steps at which the second and later parts start.
        last_epoch: -1, or the index of the last epoch of the run that continues.

    Raises:
        TypeError: if a part is not a scheduler.
        ValueError: if parts and milestones do not match, or a part is a ReduceLROnPlateau.

    >>> import torch
    >>> from lehr.compat.torch import ConstantLR, ExponentialLR
    >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    >>> parts = [ConstantLR(optimizer, 0.5, total_iters=2), ExponentialLR(optimizer, 0.1)]
    >>> scheduler = SequentialLR(optimizer, parts, milestones=[2])
    >>> for _ in range(4):
    ...     print(round(scheduler.get_last_lr()[0], 6), end=" ")
    ...     optimizer.step()
    ...     scheduler.step()
    0.5 0.5 1.0 0.1
    """

    def __init__(
        self,
        optimizer: Optimizer,
        schedulers: list[LRScheduler],
        milestones: list[int],
        last_epoch: int = -1,
    ) -> None:
        if last_epoch >= 0:  # the first part starts at 0, whatever its own last_epoch
            for member in (m for scheduler in schedulers for m in members(scheduler)):
                if hasattr(member, "last_epoch"):
                    member.last_epoch = 0
        super().__init__(optimizer, schedulers, milestones)
        with warnings.catch_warnings():  # the optimizer makes no steps here
            warnings.simplefilter("ignore")
            for _ in range(last_epoch + 1):
                self.step()

    def recursive_undo(self, sched: Any = None) -> None:
        """Undo the first step of the parts, which their constructors made."""
        super().recursive_undo(sched)
        if sched is None:
            reset_rates(self)
        elif isinstance(sched, lr_scheduler.SequentialLR):
            sched.last_epoch -= 1

    def _initial_step(self) -> None:
        part = self._schedulers[bisect_right(self._milestones, 0)]
        part._initial_step()
        self.last_epoch, self._last_lr = 0, part.get_last_lr()


class ChainedScheduler(Composite, lr_scheduler.ChainedScheduler):
    """Apply several schedulers in each step, one after the other.

    It is torch's scheduler, with one correction: it may be a part of a SequentialLR at any
    position. The rates are the product of the shapes if every scheduler is chainable; LambdaLR,
    CosineAnnealingWarmRestarts, CyclicLR and OneCycleLR replace the rates of those before them.

    Args:
        schedulers: the schedulers, all of one optimizer.
        optimizer: the optimizer; None: the one of the schedulers.

    Raises:
        TypeError: if an element is not a scheduler.
        ValueError: if the optimizers differ, or a scheduler is a ReduceLROnPlateau.

    >>> import torch
    >>> from lehr.compat.torch import ConstantLR, ExponentialLR
    >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    >>> parts = [ConstantLR(optimizer, 0.5, total_iters=2), ExponentialLR(optimizer, 0.1)]
    >>> scheduler = ChainedScheduler(parts, optimizer)
    >>> for _ in range(3):
    ...     print(round(scheduler.get_last_lr()[0], 6), end=" ")
    ...     optimizer.step()
    ...     scheduler.step()
    0.5 0.05 0.01
    """

    def _initial_step(self) -> None:
        for scheduler in self._schedulers:
            scheduler._initial_step()
        self._last_lr = self._schedulers[-1].get_last_lr()


def members(scheduler: Any) -> Iterator[Any]:
    """Yield a scheduler and the schedulers in it."""
    yield scheduler
    for part in getattr(scheduler, "_schedulers", ()):
        yield from members(part)


def reset_rates(scheduler: Any) -> None:
    """Set the rates to the base rates of the scheduler that runs first."""
    while hasattr(scheduler, "_schedulers"):
        first = bisect_right(getattr(scheduler, "_milestones", ()), 0)
        scheduler = scheduler._schedulers[first]
    groups = scheduler.optimizer.param_groups
    bases = getattr(scheduler, "base_lrs", None) or [group["initial_lr"] for group in groups]
    for group, base in zip(groups, bases, strict=False):
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(torch.as_tensor(base))
        else:
            group["lr"] = base
