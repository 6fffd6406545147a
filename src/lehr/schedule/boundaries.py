"""Repeated boundaries at the nearest steps to multiples of a real interval, in exact integers."""

import math
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from lehr.schedule import scalar
from lehr.schedule.errors import LAST
from lehr.schedule.length import nearest

HALF = Fraction(1, 2)
# intervals in parts of a step that integers can hold: Python's, of 64 bits, of 32 bits
_LARGEST = (math.inf, 2**31, 2**28)
_FINEST = (1, 2**17, 1)  # parts of a step that they can hold with any interval


@dataclass(frozen=True)
class Boundaries:
    """Boundary ``k`` is step ``floor(phase + k * interval)``.

    Args:
        interval: real steps, at least 1.
        phase: at least 0 and below 1. 1/2 puts boundaries at the nearest step, halves up; where
            the clock itself begins at a fractional position, its fraction is added.
    """

    interval: Fraction
    phase: Fraction = HALF
    _integers: tuple[tuple[int, int, int], ...] = field(init=False, compare=False, repr=False)
    _beyond: bool = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        # computed once, as torch.compile does not trace fractions
        integers = tuple(map(self._in_parts, _LARGEST, _FINEST))
        object.__setattr__(self, "_integers", integers)
        object.__setattr__(self, "_beyond", self.interval > LAST)

    def at(self, k: int) -> int:
        """Return the step of boundary ``k``."""
        return math.floor(self.phase + k * self.interval)

    def last_before(self, t: Any, xp: Any) -> Any:
        """Return how many boundaries after step 0 are passed at ``t``."""
        if self._beyond and scalar.narrow(t):
            return 0 * t
        interval, parts, phase = self._integers[integers_of(t, xp)]
        return mul_div(t, parts, interval, parts - 1 - phase, xp)[0]

    def position(self, k: Any, xp: Any) -> tuple[Any, Any]:
        """Return the step of boundary ``k``, and the fraction above it in parts of a step."""
        interval, parts, phase = self._integers[integers_of(k, xp)]
        return mul_div(k, interval, parts, phase, xp)

    def in_parts(self, fraction: Fraction) -> tuple[int, ...]:
        """Return the first number of parts that is a fraction of a step, for all integers."""
        return tuple(math.ceil(fraction * parts) for _, parts, _ in self._integers)

    def _in_parts(self, largest: float, finest: int) -> tuple[int, int, int]:
        """Return the interval in parts of a step, their number in a step, and the phase."""
        interval, phase = self.interval, self.phase
        parts = math.lcm(interval.denominator, phase.denominator)
        if interval * parts > largest and parts > finest:
            # the nearest interval that such integers can hold
            most = max(finest, int(largest / (interval + 1)))
            interval = interval.limit_denominator(most)
            parts = interval.denominator * (most // interval.denominator)
        return int(interval * parts), parts, math.floor(phase * parts)


def integers_of(t: Any, xp: Any) -> int:
    """Return which integers count ``t``: Python's, 64 bits, or 32 bits; an index."""
    return 0 if xp is scalar else 2 if scalar.narrow(t) else 1


def phase_of(first: Fraction) -> Fraction:
    """Return the phase of a clock that begins at an exact position of the run."""
    return first - nearest(first) + HALF


def mul_div(t: Any, a: int, b: int, c: int, xp: Any) -> tuple[Any, Any]:
    """Return quotient and remainder of ``(t * a + c) / b`` without overflow, for ``0 <= c < b``.

    Integers of 32 bits are multiplied bit by bit; ``2 * b`` and the quotient must fit.
    """
    if xp is scalar or not scalar.narrow(t) or a == 1:
        product = t * a + c
        return product // b, product % b
    quotient, rest = t // b * a, t % b
    high, remainder = 0 * t, 0 * t
    for bit in reversed(range(a.bit_length())):
        remainder = 2 * remainder + (rest if a >> bit & 1 else 0)
        high = 2 * high + remainder // b
        remainder = remainder % b
    remainder = remainder + c
    return quotient + high + remainder // b, remainder % b
