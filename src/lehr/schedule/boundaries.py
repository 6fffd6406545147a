"""Repeated boundaries at the nearest steps to multiples of a real interval, in exact integers."""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from lehr.schedule import scalar
from lehr.schedule.length import nearest

HALF = Fraction(1, 2)
_LARGEST_32, _LARGEST_64 = 2**28, 2**31  # intervals in parts of a step that integers can hold


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

    def at(self, k: int) -> int:
        """Return the step of boundary ``k``."""
        return math.floor(self.phase + k * self.interval)

    def last_before(self, t: Any, xp: Any) -> Any:
        """Return how many boundaries after step 0 are passed at ``t``."""
        step, parts, phase = self._integers(t, xp)
        return mul_div(t, parts, step, parts - 1 - phase, xp)[0]

    def position(self, k: Any, xp: Any) -> tuple[Any, Any]:
        """Return the step of boundary ``k``, and its remaining fraction in parts of `parts`."""
        step, parts, phase = self._integers(k, xp)
        return mul_div(k, step, parts, phase, xp)

    def parts(self, t: Any, xp: Any) -> int:
        """Return the denominator of the fractions of `position`."""
        return self._integers(t, xp)[1]

    def _integers(self, t: Any, xp: Any) -> tuple[int, int, int]:
        """Return the interval in parts of a step, their number in a step, and the phase."""
        interval, phase = self.interval, self.phase
        parts = math.lcm(interval.denominator, phase.denominator)
        largest = _LARGEST_32 if scalar.narrow(t) else _LARGEST_64
        if xp is not scalar and interval * parts > largest:
            # the nearest interval that such integers can hold
            interval = interval.limit_denominator(int(largest / (interval + 1)))
            parts = interval.denominator * int(largest / (interval + 1) / interval.denominator)
        return int(interval * parts), parts, math.floor(phase * parts)


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
