"""Functions of the epoch for ``keras.callbacks.LearningRateScheduler``."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from lehr.schedule import scalar
from lehr.schedule.base import Schedule
from lehr.schedule.decays import Exponential
from lehr.schedule.piecewise import Piecewise


def exponential_decay(lr0: float, s: float) -> Callable[[Any], Any]:
    """Return the function ``lr0 * 0.1**(epoch / s)`` of the epoch.

    Args:
        lr0: rate of epoch 0.
        s: number of epochs in which the rate falls to a tenth, a real number.

    Raises:
        ValueError: if ``s`` is not above 0.

    >>> rate = exponential_decay(lr0=0.01, s=20)
    >>> [round(rate(epoch), 6) for epoch in (0, 10, 20)]
    [0.01, 0.003162, 0.001]
    """
    return _function(Exponential(lr0, 0.1, s))


def piecewise_constant(boundaries: Sequence[int], values: Sequence[float]) -> Callable[[Any], Any]:
    """Return a function of the epoch with one value between each two boundaries.

    A boundary is the first epoch with the new value.

    Args:
        boundaries: increasing epochs.
        values: the rates, one more than boundaries.

    Raises:
        ValueError: if the boundaries decrease or the number of values is wrong.

    >>> rate = piecewise_constant([5, 15], [0.01, 0.005, 0.001])
    >>> [rate(epoch) for epoch in (4, 5, 14, 15)]
    [0.01, 0.005, 0.005, 0.001]
    """
    firsts = tuple(math.ceil(boundary) for boundary in boundaries)
    return _function(Piecewise(firsts, tuple(map(float, values))))


def _function(schedule: Schedule) -> Callable[[Any], Any]:
    def rate(epoch: Any) -> Any:
        return schedule.at(epoch, scalar.namespace(epoch) or scalar)  # also at a fraction

    return rate


exponential_decay_fn = exponential_decay(lr0=0.01, s=20)
"""The chapter's first function of the epoch, ``0.01 * 0.1**(epoch / 20)``."""
