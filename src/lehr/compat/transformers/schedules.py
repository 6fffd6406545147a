"""The schedules: functions that return torch's ``LambdaLR``."""

from __future__ import annotations

import warnings
from functools import partial
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from lehr.compat.torch import ReduceLROnPlateau
from lehr.compat.transformers import shapes
from lehr.compat.transformers.greedy import GreedyLR
from lehr.schedule import scalar
from lehr.schedule.base import Schedule


def factor(shape: Schedule, step: float) -> float:
    """Return the factor of a shape on the base rate, at a step or between two."""
    return float(shape.at(step, scalar))


def scheduler(optimizer: Optimizer, shape: Schedule, last_epoch: int) -> LambdaLR:
    """Return a scheduler whose function is a ``partial``, as in the library.

    LambdaLR saves the attributes of a callable object; a ``partial`` has none.
    """
    return LambdaLR(optimizer, partial(factor, shape), last_epoch)


def get_constant_schedule_with_warmup(
    optimizer: Optimizer, num_warmup_steps: int, last_epoch: int = -1
) -> LambdaLR:
    """Return a scheduler of a linear warm-up and a constant.

    The factor on the base rate is ``t / num_warmup_steps``, then 1.

    Args:
        optimizer: the optimizer.
        num_warmup_steps: length of the linear warm-up from 0 in steps, a real number.
        last_epoch: -1, or the index of the last epoch of the run that continues.

    Raises:
        KeyError: if ``last_epoch`` is not -1 and a group has no "initial_lr".

    >>> import torch
    >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    >>> scheduler = get_constant_schedule_with_warmup(optimizer, 4)
    >>> [scheduler.lr_lambdas[0](t) for t in range(6)]
    [0.0, 0.25, 0.5, 0.75, 1.0, 1.0]
    """
    return scheduler(optimizer, shapes.constant_with_warmup(num_warmup_steps), last_epoch)


def get_linear_schedule_with_warmup(
    optimizer: Optimizer, num_warmup_steps: int, num_training_steps: int, last_epoch: int = -1
) -> LambdaLR:
    """Return a scheduler of a linear warm-up and a linear decay to 0.

    The factor on the base rate is ``t / num_warmup_steps``, then
    ``(num_training_steps - t) / (num_training_steps - num_warmup_steps)``.

    Args:
        optimizer: the optimizer.
        num_warmup_steps: length of the linear warm-up from 0 in steps, a real number.
        num_training_steps: length of the run in steps, a real number.
        last_epoch: -1, or the index of the last epoch of the run that continues.

    Raises:
        KeyError: if ``last_epoch`` is not -1 and a group has no "initial_lr".

    >>> import torch
    >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    >>> scheduler = get_linear_schedule_with_warmup(optimizer, 2, 6)
    >>> [scheduler.lr_lambdas[0](t) for t in range(7)]
    [0.0, 0.5, 1.0, 0.75, 0.5, 0.25, 0.0]
    """
    return scheduler(optimizer, shapes.linear(num_warmup_steps, num_training_steps), last_epoch)


def get_cosine_schedule_with_warmup(
    optimizer: Optimizer,
    num_warmup_steps: int,
    num_training_steps: int,
    num_cycles: float = 0.5,
    last_epoch: int = -1,
) -> LambdaLR:
    """Return a scheduler of a linear warm-up and a cosine wave.

    The factor on the base rate is ``t / num_warmup_steps``, then
    ``(1 + cos(2 pi num_cycles u)) / 2``, where ``u`` is the fraction of the steps after the
    warm-up.

    Args:
        optimizer: the optimizer.
        num_warmup_steps: length of the linear warm-up from 0 in steps, a real number.
        num_training_steps: length of the run in steps, a real number.
        num_cycles: number of waves after the warm-up; 0.5 is one decay to 0. The wave continues
            after the run, so the rate rises again.
        last_epoch: -1, or the index of the last epoch of the run that continues.

    Raises:
        KeyError: if ``last_epoch`` is not -1 and a group has no "initial_lr".

    >>> import torch
    >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    >>> scheduler = get_cosine_schedule_with_warmup(optimizer, 2, 6)
    >>> [round(scheduler.lr_lambdas[0](t), 4) for t in range(8)]
    [0.0, 0.5, 1.0, 0.8536, 0.5, 0.1464, 0.0, 0.1464]
    """
    shape = shapes.cosine(num_warmup_steps, num_training_steps, num_cycles)
    return scheduler(optimizer, shape, last_epoch)


def get_cosine_with_hard_restarts_schedule_with_warmup(
    optimizer: Optimizer,
    num_warmup_steps: int,
    num_training_steps: int,
    num_cycles: int = 1,
    last_epoch: int = -1,
) -> LambdaLR:
    """Return a scheduler of a linear warm-up and cosine decays with restarts.

    The factor on the base rate is ``t / num_warmup_steps``, then
    ``(1 + cos(pi (num_cycles u % 1))) / 2``, where ``u`` is the fraction of the steps after the
    warm-up; 0 after the run.

    Args:
        optimizer: the optimizer.
        num_warmup_steps: length of the linear warm-up from 0 in steps, a real number.
        num_training_steps: length of the run in steps, a real number.
        num_cycles: number of decays, a real number; the last one may be cut.
        last_epoch: -1, or the index of the last epoch of the run that continues.

    Raises:
        ValueError: if ``num_cycles`` is negative.
        KeyError: if ``last_epoch`` is not -1 and a group has no "initial_lr".

    >>> import torch
    >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    >>> scheduler = get_cosine_with_hard_restarts_schedule_with_warmup(optimizer, 0, 4, 2)
    >>> [round(scheduler.lr_lambdas[0](t), 4) for t in range(6)]
    [1.0, 0.5, 1.0, 0.5, 0.0, 0.0]
    """
    shape = shapes.cosine_with_hard_restarts(num_warmup_steps, num_training_steps, num_cycles)
    return scheduler(optimizer, shape, last_epoch)


def get_polynomial_decay_schedule_with_warmup(
    optimizer: Optimizer,
    num_warmup_steps: int,
    num_training_steps: int,
    lr_end: float = 1e-7,
    power: float = 1.0,
    last_epoch: int = -1,
) -> LambdaLR:
    """Return a scheduler of a linear warm-up and a polynomial decay.

    The rate is ``base * t / num_warmup_steps``, then
    ``(base - lr_end) * (1 - u) ** power + lr_end``, where ``u`` is the fraction of the steps after
    the warm-up. ``base`` is the default rate of the optimizer; other groups have the same factor.

    Args:
        optimizer: the optimizer.
        num_warmup_steps: length of the linear warm-up from 0 in steps, a real number.
        num_training_steps: length of the run in steps, a real number.
        lr_end: the rate at the end and after.
        power: the exponent, at least 0.
        last_epoch: -1, or the index of the last epoch of the run that continues.

    Raises:
        ValueError: if ``lr_end`` is not below the default rate, or the exponent is negative.
        KeyError: if ``last_epoch`` is not -1 and a group has no "initial_lr".

    >>> import torch
    >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    >>> scheduler = get_polynomial_decay_schedule_with_warmup(optimizer, 1, 3, 0.0, 2.0)
    >>> [scheduler.lr_lambdas[0](t) for t in range(5)]
    [0.0, 1.0, 0.25, 0.0, 0.0]
    """
    lr_init = optimizer.defaults["lr"]
    if not (lr_init > lr_end):
        raise ValueError(f"lr_end ({lr_end}) must be smaller than initial lr ({lr_init})")
    shape = shapes.polynomial(num_warmup_steps, num_training_steps, lr_end, power, lr_init)
    return scheduler(optimizer, shape, last_epoch)


def get_inverse_sqrt_schedule(
    optimizer: Optimizer, num_warmup_steps: int, timescale: int | None = None, last_epoch: int = -1
) -> LambdaLR:
    """Return a scheduler of a linear warm-up and an inverse square root.

    The factor on the base rate is ``t / num_warmup_steps``, then
    ``1 / sqrt((t - num_warmup_steps) / timescale + 1)``.

    Args:
        optimizer: the optimizer.
        num_warmup_steps: length of the linear warm-up from 0 in steps, a real number.
        timescale: time constant in steps; None: the length of the warm-up, or 10,000 without one.
        last_epoch: -1, or the index of the last epoch of the run that continues.

    Raises:
        ValueError: if the time constant is not above 0.
        KeyError: if ``last_epoch`` is not -1 and a group has no "initial_lr".

    >>> import torch
    >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    >>> scheduler = get_inverse_sqrt_schedule(optimizer, 4)
    >>> [scheduler.lr_lambdas[0](t) for t in (0, 2, 4, 16, 64)]
    [0.0, 0.5, 1.0, 0.5, 0.25]
    """
    if timescale is None:
        timescale = num_warmup_steps or 10_000
    return scheduler(optimizer, shapes.inverse_sqrt(num_warmup_steps, timescale), last_epoch)


def get_cosine_with_min_lr_schedule_with_warmup(
    optimizer: Optimizer,
    num_warmup_steps: int,
    num_training_steps: int,
    num_cycles: float = 0.5,
    last_epoch: int = -1,
    min_lr: float | None = None,
    min_lr_rate: float | None = None,
) -> LambdaLR:
    """Return a scheduler of a linear warm-up and a cosine wave above a lowest rate.

    The factor on the base rate is that of `get_cosine_schedule_with_warmup`, with the wave between
    1 and ``min_lr_rate``.

    Args:
        optimizer: the optimizer.
        num_warmup_steps: length of the linear warm-up from 0 in steps, a real number.
        num_training_steps: length of the run in steps, a real number.
        num_cycles: number of waves after the warm-up; the wave continues after the run.
        last_epoch: -1, or the index of the last epoch of the run that continues.
        min_lr: lowest rate for the default rate of the optimizer; other groups have the same
            factor.
        min_lr_rate: lowest factor; one of the two is required.

    Raises:
        ValueError: if not exactly one of ``min_lr`` and ``min_lr_rate`` is given.
        KeyError: if ``last_epoch`` is not -1 and a group has no "initial_lr".

    >>> import torch
    >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    >>> scheduler = get_cosine_with_min_lr_schedule_with_warmup(optimizer, 1, 5, min_lr=0.2)
    >>> [round(scheduler.lr_lambdas[0](t), 6) for t in (0, 1, 3, 5)]
    [0.0, 1.0, 0.6, 0.2]
    """
    low = lowest_factor(optimizer, min_lr, min_lr_rate)
    shape = shapes.cosine(num_warmup_steps, num_training_steps, num_cycles, low)
    return scheduler(optimizer, shape, last_epoch)


def lowest_factor(optimizer: Optimizer, min_lr: float | None, min_lr_rate: float | None) -> float:
    """Return the lowest factor of a schedule from one of two arguments."""
    if min_lr is not None and min_lr_rate is not None:
        raise ValueError("Only one of min_lr or min_lr_rate should be set")
    if min_lr is not None:
        return float(min_lr / optimizer.defaults["lr"])
    if min_lr_rate is None:
        text = "One of min_lr or min_lr_rate should be set through the `lr_scheduler_kwargs`"
        raise ValueError(text)
    return min_lr_rate


def get_cosine_with_min_lr_schedule_with_warmup_lr_rate(
    optimizer: Optimizer,
    num_warmup_steps: int,
    num_training_steps: int,
    num_cycles: float = 0.5,
    last_epoch: int = -1,
    min_lr: float | None = None,
    min_lr_rate: float | None = None,
    warmup_lr_rate: float | None = None,
) -> LambdaLR:
    """Return a scheduler of a warm-up from above 0 and a cosine wave above a lowest rate.

    The factor on the base rate is ``(t + 1) / num_warmup_steps``, or rises linearly from
    ``warmup_lr_rate`` to 1 at step ``num_warmup_steps - 1``. The wave is one step ahead of
    `get_cosine_with_min_lr_schedule_with_warmup`: the last step has the lowest rate.

    Args:
        optimizer: the optimizer.
        num_warmup_steps: length of the warm-up in steps, a real number.
        num_training_steps: length of the run in steps, a real number.
        num_cycles: number of waves after the warm-up; the wave continues after the run.
        last_epoch: -1, or the index of the last epoch of the run that continues.
        min_lr: lowest rate for the default rate of the optimizer; other groups have the same
            factor.
        min_lr_rate: lowest factor; one of the two is required.
        warmup_lr_rate: first factor of the warm-up; None: ``1 / num_warmup_steps``.

    Raises:
        ValueError: if not exactly one of ``min_lr`` and ``min_lr_rate`` is given.
        KeyError: if ``last_epoch`` is not -1 and a group has no "initial_lr".

    >>> import torch
    >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    >>> name = "cosine_warmup_with_min_lr"
    >>> from lehr.compat.transformers import get_scheduler
    >>> scheduler = get_scheduler(name, optimizer, 2, 6, {"min_lr_rate": 0.2})
    >>> [round(scheduler.lr_lambdas[0](t), 6) for t in (0, 1, 3, 5)]
    [0.5, 1.0, 0.6, 0.2]
    """
    low = lowest_factor(optimizer, min_lr, min_lr_rate)
    lengths = (num_warmup_steps, num_training_steps)
    shape = shapes.cosine_from_first_step(*lengths, num_cycles, low, warmup_lr_rate)
    return scheduler(optimizer, shape, last_epoch)


def get_wsd_schedule(
    optimizer: Optimizer,
    num_warmup_steps: int,
    num_decay_steps: int,
    num_training_steps: int | None = None,
    num_stable_steps: int | None = None,
    warmup_type: str = "linear",
    decay_type: str = "cosine",
    min_lr_ratio: float = 0,
    num_cycles: float = 0.5,
    last_epoch: int = -1,
) -> LambdaLR:
    """Return a scheduler of a warm-up, a constant and a decay.

    The factor on the base rate rises from ``min_lr_ratio`` to 1, is 1, and falls to
    ``min_lr_ratio``.

    Args:
        optimizer: the optimizer.
        num_warmup_steps: length of the warm-up in steps, a real number.
        num_decay_steps: length of the decay in steps, a real number.
        num_training_steps: length of the run; gives the length of the constant part.
        num_stable_steps: length of the constant part; one of the two is required.
        warmup_type: "linear", "cosine" or "1-sqrt".
        decay_type: "linear", "cosine" or "1-sqrt".
        min_lr_ratio: first and last factor.
        num_cycles: number of waves of a cosine decay; 0.5 is one decay.
        last_epoch: -1, or the index of the last epoch of the run that continues.

    Raises:
        ValueError: if a type is unknown, or neither the run nor the constant part has a length.
        KeyError: if ``last_epoch`` is not -1 and a group has no "initial_lr".

    >>> import torch
    >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    >>> scheduler = get_wsd_schedule(optimizer, 2, 4, num_stable_steps=3, min_lr_ratio=0.5)
    >>> [round(scheduler.lr_lambdas[0](t), 6) for t in (0, 1, 2, 5, 7, 9)]
    [0.5, 0.75, 1.0, 1.0, 0.75, 0.5]
    """
    if num_training_steps is None and num_stable_steps is None:
        raise ValueError("Either num_training_steps or num_stable_steps must be specified.")
    if num_training_steps is not None and num_stable_steps is not None:
        text = "Both num_training_steps and num_stable_steps are specified. num_stable_steps "
        warnings.warn(text + "will be used.", stacklevel=2)
    for kind, given in (("warmup", warmup_type), ("decay", decay_type)):
        if given not in ("linear", "cosine", "1-sqrt"):
            expected = "expected 'linear', 'cosine' or '1-sqrt'"
            raise ValueError(f"Unknown {kind} type: {given}, {expected}")
    if num_stable_steps is None:
        num_stable_steps = num_training_steps - num_warmup_steps - num_decay_steps  # type: ignore[operator]
    lengths = (num_warmup_steps, num_stable_steps, num_decay_steps)
    shape = shapes.wsd(*lengths, warmup_type, decay_type, min_lr_ratio, num_cycles)
    return scheduler(optimizer, shape, last_epoch)


def get_reduce_on_plateau_schedule(optimizer: Optimizer, **kwargs: Any) -> ReduceLROnPlateau:
    """Return a `ReduceLROnPlateau` of ``lehr.compat.torch``.

    It reduces the rates when a metric has stopped improving.

    Args:
        optimizer: the optimizer.
        **kwargs: its other arguments.

    Raises:
        ValueError: if an argument is out of range.

    >>> import torch
    >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    >>> scheduler = get_reduce_on_plateau_schedule(optimizer, factor=0.5, patience=0)
    >>> for loss in (1.0, 1.0):
    ...     scheduler.step(loss)
    >>> scheduler.get_last_lr()
    [0.5]
    """
    return ReduceLROnPlateau(optimizer, **kwargs)


def get_greedy_schedule(optimizer: Optimizer, **kwargs: Any) -> GreedyLR:
    """Return a `GreedyLR`.

    It raises the rates while a metric improves, and lowers them while it does not.

    Args:
        optimizer: the optimizer.
        **kwargs: its other arguments.

    Raises:
        ValueError: if an argument is out of range.

    >>> import torch
    >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    >>> scheduler = get_greedy_schedule(optimizer, factor=0.5, patience=0, max_lr=4.0)
    >>> for loss in (2.0, 1.0, 1.0):
    ...     scheduler.step(loss)
    >>> scheduler.get_last_lr()
    [2.0]
    """
    return GreedyLR(optimizer, **kwargs)
