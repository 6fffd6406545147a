"""Schedulers whose rates are multiplied in each step; they can be combined."""

from __future__ import annotations

from torch.optim import lr_scheduler

from lehr.compat.torch import shapes
from lehr.compat.torch._private import Shaped
from lehr.schedule.base import Schedule
from lehr.schedule.shapes import Constant


class StepLR(Shaped, lr_scheduler.StepLR):
    """Multiply the rates by ``gamma`` every ``step_size`` steps.

    The rate is ``base * gamma ** floor(t / step_size)``.

    Args:
        optimizer: the optimizer.
        step_size: number of steps between two changes.
        gamma: the factor.
        last_epoch: -1, or the index of the last epoch of the run that continues.

    Raises:
        ValueError: if ``step_size`` is not above 0.
        KeyError: if ``last_epoch`` is not -1 and a group has no "initial_lr".

    >>> import torch
    >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    >>> scheduler = StepLR(optimizer, step_size=2, gamma=0.5)
    >>> for _ in range(5):
    ...     print(scheduler.get_last_lr()[0], end=" ")
    ...     optimizer.step()
    ...     scheduler.step()
    1.0 1.0 0.5 0.5 0.25
    """

    def shape(self) -> Schedule:
        """Return ``gamma ** floor(t / step_size)``."""
        return shapes.powers(float(self.gamma), self.step_size)


class MultiStepLR(Shaped, lr_scheduler.MultiStepLR):
    """Multiply the rates by ``gamma`` at each milestone.

    A milestone is the first step with the new rate. One that is given twice counts twice.

    Args:
        optimizer: the optimizer.
        milestones: the steps.
        gamma: the factor.
        last_epoch: -1, or the index of the last epoch of the run that continues.

    Raises:
        KeyError: if ``last_epoch`` is not -1 and a group has no "initial_lr".

    >>> import torch
    >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    >>> scheduler = MultiStepLR(optimizer, milestones=[1, 3], gamma=0.5)
    >>> for _ in range(5):
    ...     print(scheduler.get_last_lr()[0], end=" ")
    ...     optimizer.step()
    ...     scheduler.step()
    1.0 0.5 0.5 0.25 0.25
    """

    def shape(self) -> Schedule:
        """Return the product of the factors of the milestones so far."""
        return shapes.powers_at(float(self.gamma), tuple(sorted(self.milestones.elements())))


class ConstantLR(Shaped, lr_scheduler.ConstantLR):
    """Multiply the rates by ``factor`` until step ``total_iters``.

    Args:
        optimizer: the optimizer.
        factor: the factor, from 0 to 1.
        total_iters: the first step with the base rate.
        last_epoch: -1, or the index of the last epoch of the run that continues.

    Raises:
        ValueError: if ``factor`` is out of range.
        KeyError: if ``last_epoch`` is not -1 and a group has no "initial_lr".

    >>> import torch
    >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    >>> scheduler = ConstantLR(optimizer, factor=0.5, total_iters=2)
    >>> for _ in range(4):
    ...     print(scheduler.get_last_lr()[0], end=" ")
    ...     optimizer.step()
    ...     scheduler.step()
    0.5 0.5 1.0 1.0
    """

    def shape(self) -> Schedule:
        """Return ``factor``, then 1."""
        return shapes.two_values(float(self.factor), 1.0, self.total_iters)


class LinearLR(Shaped, lr_scheduler.LinearLR):
    """Change the factor on the rates linearly, from ``start_factor`` to ``end_factor``.

    Args:
        optimizer: the optimizer.
        start_factor: factor at step 0, above 0 and at most 1.
        end_factor: factor from step ``total_iters`` on, from 0 to 1.
        total_iters: length of the change in steps.
        last_epoch: -1, or the index of the last epoch of the run that continues.

    Raises:
        ValueError: if a factor is out of range.
        KeyError: if ``last_epoch`` is not -1 and a group has no "initial_lr".

    >>> import torch
    >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    >>> scheduler = LinearLR(optimizer, start_factor=0.5, total_iters=4)
    >>> for _ in range(5):
    ...     print(scheduler.get_last_lr()[0], end=" ")
    ...     optimizer.step()
    ...     scheduler.step()
    0.5 0.625 0.75 0.875 1.0
    """

    def shape(self) -> Schedule:
        """Return a ramp from ``start_factor`` to ``end_factor``."""
        return shapes.ramp(float(self.start_factor), float(self.end_factor), self.total_iters)


class ExponentialLR(Shaped, lr_scheduler.ExponentialLR):
    """Multiply the rates by ``gamma`` in each step: ``base * gamma ** t``.

    Args:
        optimizer: the optimizer.
        gamma: the factor.
        last_epoch: -1, or the index of the last epoch of the run that continues.

    Raises:
        KeyError: if ``last_epoch`` is not -1 and a group has no "initial_lr".

    >>> import torch
    >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    >>> scheduler = ExponentialLR(optimizer, gamma=0.5)
    >>> for _ in range(4):
    ...     print(scheduler.get_last_lr()[0], end=" ")
    ...     optimizer.step()
    ...     scheduler.step()
    1.0 0.5 0.25 0.125
    """

    def shape(self) -> Schedule:
        """Return ``gamma ** t``."""
        return shapes.powers(float(self.gamma))


class PolynomialLR(Shaped, lr_scheduler.PolynomialLR):
    """Decay the rates to 0 polynomially: ``base * (1 - t / total_iters) ** power``.

    Args:
        optimizer: the optimizer.
        total_iters: length of the decay in steps.
        power: the exponent, at least 0.
        last_epoch: -1, or the index of the last epoch of the run that continues.

    Raises:
        ValueError: if ``power`` is negative.
        KeyError: if ``last_epoch`` is not -1 and a group has no "initial_lr".

    >>> import torch
    >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    >>> scheduler = PolynomialLR(optimizer, total_iters=2, power=2.0)
    >>> for _ in range(4):
    ...     print(scheduler.get_last_lr()[0], end=" ")
    ...     optimizer.step()
    ...     scheduler.step()
    1.0 0.25 0.0 0.0
    """

    def shape(self) -> Schedule:
        """Return ``(1 - t / total_iters) ** power``."""
        if self.power == 0:
            return Constant(1.0)
        return shapes.ramp(1.0, 0.0, self.total_iters, float(self.power))


class CosineAnnealingLR(Shaped, lr_scheduler.CosineAnnealingLR):
    """Decay the rates along a cosine to ``eta_min`` in ``T_max`` steps; they then rise again.

    The rate is ``eta_min + (base - eta_min) * (1 + cos(pi * t / T_max)) / 2``.

    Args:
        optimizer: the optimizer.
        T_max: number of steps from the base rate to ``eta_min``.
        eta_min: smallest rate.
        last_epoch: -1, or the index of the last epoch of the run that continues.

    Raises:
        ValueError: if ``T_max`` is not above 0.
        KeyError: if ``last_epoch`` is not -1 and a group has no "initial_lr".

    >>> import torch
    >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    >>> scheduler = CosineAnnealingLR(optimizer, T_max=2)
    >>> for _ in range(5):
    ...     print(round(scheduler.get_last_lr()[0], 6), end=" ")
    ...     optimizer.step()
    ...     scheduler.step()
    1.0 0.5 0.0 0.5 1.0
    """

    def lowest(self) -> float:
        """Return ``eta_min``."""
        return self.eta_min

    def shape(self) -> Schedule:
        """Return a cosine wave between 1 and 0."""
        return shapes.cosine_wave(self.T_max)
