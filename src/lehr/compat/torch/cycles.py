"""Schedulers that set the rates to their own values, whatever the rates were."""

from __future__ import annotations

from typing import Any

from torch.optim import lr_scheduler, swa_utils

from lehr.compat.torch._private import (
    Rate,
    anneal_curve,
    is_resumed,
    one_cycle_phases,
    swa_position,
    warn_outside_step,
)
from lehr.compat.torch.shapes import left


class CosineAnnealingWarmRestarts(lr_scheduler.CosineAnnealingWarmRestarts):
    """Decay the rates along a cosine, and restart at the base rates after each cycle (SGDR).

    The rate is ``eta_min + (base - eta_min) * (1 + cos(pi * T_cur / T_i)) / 2``.

    Source: Loshchilov and Hutter, arXiv 1608.03983.

    Args:
        optimizer: the optimizer.
        T_0: number of steps of the first cycle.
        T_mult: factor on the length of each cycle, an integer.
        eta_min: smallest rate.
        last_epoch: -1, or the index of the last epoch of the run that continues.

    Raises:
        ValueError: if an argument is out of range.
        KeyError: if ``last_epoch`` is not -1 and a group has no "initial_lr".

    >>> import torch
    >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    >>> scheduler = CosineAnnealingWarmRestarts(optimizer, T_0=2, T_mult=2)
    >>> for _ in range(7):
    ...     print(round(scheduler.get_last_lr()[0], 4), end=" ")
    ...     optimizer.step()
    ...     scheduler.step()
    1.0 0.5 1.0 0.8536 0.5 0.1464 1.0
    """

    def get_lr(self) -> list[Rate]:
        """Return the rate of each group."""
        warn_outside_step(self)
        if self.T_mult > 1:
            if is_resumed(self):
                self.T_cur, self.T_i = self.last_epoch, self.T_0
            while self.T_cur >= self.T_i:  # torch finds the cycle with a rounded logarithm
                self.T_cur, self.T_i = self.T_cur - self.T_i, self.T_i * self.T_mult
            if self.T_cur < 0:
                self.T_i //= self.T_mult
                self.T_cur += self.T_i
        fraction = left("cosine", self.T_cur, self.T_i)
        return [self.eta_min + (base - self.eta_min) * fraction for base in self.base_lrs]


class CyclicLR(lr_scheduler.CyclicLR):
    """Cycle the rates between ``base_lr`` and ``max_lr``, and the momentum inversely.

    The rate is ``base_lr + (max_lr - base_lr) * height * scale``; the height rises linearly from 0
    to 1 and falls back.

    Source: Smith, arXiv 1506.01186.

    Args:
        optimizer: the optimizer.
        base_lr: lower bound, a number or one for each group.
        max_lr: upper bound, a number or one for each group.
        step_size_up: number of steps of the rise.
        step_size_down: number of steps of the fall; None: as ``step_size_up``.
        mode: "triangular", "triangular2" (the height is halved after each cycle) or "exp_range"
            (the height is multiplied by ``gamma ** t``).
        gamma: the factor of "exp_range".
        scale_fn: a function that replaces ``mode``.
        scale_mode: argument of ``scale_fn``: "cycle" (starting from 1) or "iterations" (from 0).
        cycle_momentum: whether to set the momentum, or beta1.
        base_momentum: momentum at the highest rate, a number or one for each group.
        max_momentum: momentum at the lowest rate, a number or one for each group.
        last_epoch: -1, or the index of the last step of the run that continues.

    Raises:
        ValueError: if ``mode`` is unknown, or the optimizer has no momentum.

    >>> import torch
    >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0, momentum=0.9)
    >>> scheduler = CyclicLR(optimizer, 0.0, 1.0, step_size_up=2, mode="triangular2")
    >>> for _ in range(7):
    ...     print(scheduler.get_last_lr()[0], end=" ")
    ...     optimizer.step()
    ...     scheduler.step()
    0.0 0.5 1.0 0.5 0.0 0.25 0.5
    """

    def get_lr(self) -> list[Rate]:
        """Return the rate of each group, and set the momentum."""
        warn_outside_step(self)
        cycle, x = divmod(self.last_epoch, self.total_size)
        up = self.step_ratio * self.total_size
        height = (
            left("linear", x - up, self.total_size - up) if x >= up else left("linear", up - x, up)
        )
        scale = self.scale_fn(int(cycle) + 1 if self.scale_mode == "cycle" else self.last_epoch)
        if self.cycle_momentum:
            bounds = zip(self.base_momentums, self.max_momentums, strict=True)
            momentums = [high - (high - low) * height * scale for low, high in bounds]
            for group, momentum in zip(self.optimizer.param_groups, momentums, strict=True):
                set_momentum(self, group, momentum)
        limits = zip(self.base_lrs, self.max_lrs, strict=True)
        return [low + (high - low) * height * scale for low, high in limits]


class OneCycleLR(lr_scheduler.OneCycleLR):
    """Raise the rates to ``max_lr`` and lower them, once, and cycle the momentum inversely.

    The peak is at step ``pct_start * total_steps - 1``, a real number; the last of ``total_steps``
    steps has the lowest rate, which is then held.

    Source: Smith and Topin, arXiv 1708.07120.

    Args:
        optimizer: the optimizer.
        max_lr: highest rate, a number or one for each group.
        total_steps: number of steps; None: ``epochs * steps_per_epoch``.
        epochs: number of epochs.
        steps_per_epoch: number of steps per epoch.
        pct_start: share of the steps before the peak, a float from 0 to 1.
        anneal_strategy: "cos" or "linear".
        cycle_momentum: whether to set the momentum, or beta1.
        base_momentum: momentum at the peak, a number or one for each group.
        max_momentum: momentum at both ends, a number or one for each group.
        div_factor: the first rate is ``max_lr / div_factor``.
        final_div_factor: the last rate is the first one divided by it.
        three_phase: whether the rate returns to the first rate in ``pct_start * total_steps``
            steps, and only then falls to the last one.
        last_epoch: -1, or the index of the last step of the run that continues.

    Raises:
        ValueError: if an argument is out of range, the length is missing or the optimizer has no
            momentum; in `step`, after more than ``total_steps`` steps.

    >>> import torch
    >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0, momentum=0.9)
    >>> scheduler = OneCycleLR(optimizer, 1.0, total_steps=5, pct_start=0.6, div_factor=4.0)
    >>> for _ in range(6):
    ...     print(round(scheduler.get_last_lr()[0], 6), end=" ")
    ...     if scheduler.last_epoch < 5:
    ...         optimizer.step()
    ...         scheduler.step()
    0.25 0.625 1.0 0.500012 2.5e-05 2.5e-05
    """

    def get_lr(self) -> list[Rate]:
        """Return the rate of each group, and set the momentum."""
        warn_outside_step(self)
        t, phases = self.last_epoch, one_cycle_phases(self)
        if t > self.total_steps:
            raise ValueError(
                f"Tried to step {t} times. The specified number of total steps is "
                f"{self.total_steps}"
            )
        done = phases[-1][1]  # the last of three phases has no steps if pct_start is above 0.5
        running = [] if t >= done and len(phases) == 3 else phases
        start, end, keys = next((phase for phase in running if t <= phase[1]), phases[-1])
        fraction = left(anneal_curve(self), t - start, end - start)

        def value(group: dict[str, Any], name: str) -> Any:
            first, last = group[keys[f"start_{name}"]], group[keys[f"end_{name}"]]
            return first * fraction + last * (1.0 - fraction)

        rates = [value(group, "lr") for group in self.optimizer.param_groups]
        if self.cycle_momentum:
            for group in self.optimizer.param_groups:
                set_momentum(self, group, value(group, "momentum"))
        return rates


def set_momentum(scheduler: CyclicLR | OneCycleLR, group: dict[str, Any], value: Any) -> None:
    """Set the momentum of a group, or its beta1."""
    if scheduler.use_beta1:
        group["betas"] = (value, *group["betas"][1:])
    else:
        group["momentum"] = value


class SWALR(swa_utils.SWALR):
    """Move the rates to ``swa_lr`` in ``anneal_epochs`` steps, and hold it.

    Args:
        optimizer: the optimizer.
        swa_lr: the final rate, a number or one for each group.
        anneal_epochs: number of steps, at least 0.
        anneal_strategy: "cos" or "linear".
        last_epoch: -1, or the index of the last epoch of the run that continues.

    Raises:
        ValueError: if an argument is out of range.

    >>> import torch
    >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    >>> scheduler = SWALR(optimizer, swa_lr=0.5, anneal_epochs=2, anneal_strategy="linear")
    >>> for _ in range(4):
    ...     print(scheduler.get_last_lr()[0], end=" ")
    ...     optimizer.step()
    ...     scheduler.step()
    1.0 0.75 0.5 0.5
    """

    def get_lr(self) -> list[Rate]:
        """Return the rate of each group."""
        warn_outside_step(self)
        curve, total, n = anneal_curve(self), max(1, self.anneal_epochs), swa_position(self)
        n = n if self.anneal_epochs else max(1, n)
        before, now = left(curve, max(0, n - 1), total), left(curve, n, total)
        ratio = now / before if before else 0.0
        return [
            group["lr"] * ratio + group["swa_lr"] * (1.0 - ratio)
            for group in self.optimizer.param_groups
        ]
