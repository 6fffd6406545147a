"""The triangular wave of cyclical learning rates, and the built-in scales of its height.

Source: Smith, arXiv 1506.01186.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache
from typing import Any

from lehr.schedule import scalar
from lehr.schedule.base import Schedule
from lehr.schedule.boundaries import Boundaries
from lehr.schedule.errors import number
from lehr.schedule.presets.basic import exponential

Scale = Callable[[Any], Any]


def wave(t: Any, step_size: float, xp: Any) -> tuple[Any, Any]:
    """Return the number of completed cycles and the height of the wave, from 0 to 1.

    The height rises linearly in ``step_size`` steps, a real number, and falls in as many. Cycle k
    starts at exactly ``2 * k * step_size``, also between two steps.

    >>> [wave(t, 1.25, scalar) for t in range(4)]
    [(0, 0.0), (0, 0.8), (0, 0.4), (1, 0.4)]
    """
    cycle, gone = _starts(step_size).elapsed(t, xp)
    return cycle, xp.where(gone < step_size, gone, 2.0 * step_size - gone) / step_size


@lru_cache(maxsize=256)
def _starts(step_size: float) -> Boundaries:
    period = 2 * Fraction(number("step_size", step_size, above=0))
    return Boundaries(period, 1 - Fraction(1, period.denominator))


def constant_scale(x: Any) -> float:
    """Return 1, the scale of the policy "triangular"."""
    return 1.0


def halved_scale(cycle: Any) -> Any:
    """Return the scale of the policy "triangular2": it is halved after each cycle, from 1."""
    return _at(_power(0.5), cycle - 1)


def exponential_scale(gamma: float) -> Scale:
    """Return the scale of the policy "exp_range": the function ``gamma ** x``.

    Raises:
        ValueError: if ``gamma`` is not above 0.
    """
    power = _power(number("gamma", gamma, above=0))
    return lambda x: _at(power, x)


def _power(base: float) -> Schedule:
    """Return ``base ** t``; lehr's own decays only decrease."""
    return exponential(1.0, base, 1) if base <= 1 else 1.0 / exponential(1.0, 1 / base, 1)


def _at(schedule: Schedule, x: Any) -> Any:
    return schedule.at(x, scalar.namespace(x) or scalar)
