"""The schedulers of a range test: rates that increase to the same end in every group."""

from __future__ import annotations

from typing import Any

from torch.optim.lr_scheduler import LRScheduler

from lehr.schedule.base import Schedule
from lehr.schedule.errors import number
from lehr.schedule.shapes import segment


class _Rising(LRScheduler):
    """Base of the schedulers of a range test; see `LinearLR`."""

    curve: str

    def __init__(self, optimizer: Any, end_lr: float, num_iter: int, last_epoch: int = -1) -> None:
        if num_iter <= 1:
            raise ValueError(f"`num_iter` must be larger than 1, got {num_iter!r}")
        self.end_lr, self.num_iter = end_lr, num_iter
        if self.curve == "geometric":  # checked before the optimizer is changed
            number("end_lr", float(end_lr), above=0)
            for group in optimizer.param_groups:
                number("lr of the optimizer", float(group["lr"]), above=0)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        """Return the rate of each group at the current iteration."""
        return [self._rise(base)(self.last_epoch) for base in self.base_lrs]

    def _rise(self, base: Any) -> Schedule:
        return segment(float(base), float(self.end_lr), self.num_iter - 1, self.curve)


class LinearLR(_Rising):
    """Change the rates linearly to ``end_lr`` in ``num_iter`` iterations.

    The rate of iteration n is ``base + (end_lr - base) * n / (num_iter - 1)``, at most ``end_lr``.

    Args:
        optimizer: the optimizer; its rates are the first ones.
        end_lr: rate of the last iteration, for every parameter group.
        num_iter: number of iterations, at least 2.
        last_epoch: -1, or the index of the last iteration of the run that continues.

    Raises:
        ValueError: if ``num_iter`` is 1 or less.

    >>> import torch
    >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    >>> scheduler = LinearLR(optimizer, end_lr=3.0, num_iter=5)
    >>> for _ in range(5):
    ...     print(scheduler.get_lr()[0], end=" ")
    ...     optimizer.step()
    ...     scheduler.step()
    1.0 1.5 2.0 2.5 3.0
    """

    curve = "linear"


class ExponentialLR(_Rising):
    """Multiply the rates by a constant in each iteration, up to ``end_lr``.

    The rate of iteration n is ``base * (end_lr / base) ** (n / (num_iter - 1))``.

    Args:
        optimizer: the optimizer; its rates are the first ones, above 0.
        end_lr: rate of the last iteration, for every parameter group, above 0.
        num_iter: number of iterations, at least 2.
        last_epoch: -1, or the index of the last iteration of the run that continues.

    Raises:
        ValueError: if ``num_iter`` is 1 or less, or a rate is not above 0.

    >>> import torch
    >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    >>> scheduler = ExponentialLR(optimizer, end_lr=16.0, num_iter=5)
    >>> for _ in range(5):
    ...     print(round(scheduler.get_lr()[0], 6), end=" ")
    ...     optimizer.step()
    ...     scheduler.step()
    1.0 2.0 4.0 8.0 16.0
    """

    curve = "geometric"
