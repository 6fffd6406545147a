"""Boundaries at multiples of a real interval, rounded to steps with exact integer arithmetic."""

import math
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from lehr.schedule import scalar
from lehr.schedule.errors import LAST
from lehr.schedule.length import nearest

HALF = Fraction(1, 2)
# largest interval, in parts of a step, for Python, 64-bit and 32-bit integers
_LARGEST = (math.inf, 2**31, 2**28)
_FINEST = (1, 2**17, 1)  # parts of a step that fit these integers for any interval


@dataclass(frozen=True)
class Boundaries:
    """Periodic boundaries: boundary ``k`` is step ``floor(phase + k * interval)``.

    Args:
        interval: real steps, at least 1.
        phase: at least 0 and below 1. A phase of 1/2 rounds boundaries to the nearest step,
            halves up; if the clock starts at a fractional position, the fraction is added.
    """

    interval: Fraction
    phase: Fraction = HALF
    _integers: tuple[tuple[int, int, int], ...] = field(init=False, compare=False, repr=False)
    _beyond: bool = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        # precomputed because torch.compile does not trace fractions
        integers = tuple(map(self._in_parts, _LARGEST, _FINEST))
        object.__setattr__(self, "_integers", integers)
        object.__setattr__(self, "_beyond", self.interval > LAST)

    def at(self, k: int) -> int:
        """Return the step of boundary ``k``."""
        return math.floor(self.phase + k * self.interval)

    def last_before(self, t: Any, xp: Any) -> Any:
        """Return the number of boundaries after step 0 that are at or before ``t``."""
        if self._beyond and scalar.narrow(t):
            return 0 * t
        interval, parts, phase = self._integers[integers_of(t, xp)]
        return mul_div(t, parts, interval, parts - 1 - phase, xp)[0]

    def position(self, k: Any, xp: Any) -> tuple[Any, Any]:
        """Return the step of boundary ``k``, and its rounded-off fraction in parts of a step."""
        interval, parts, phase = self._integers[integers_of(k, xp)]
        return mul_div(k, interval, parts, phase, xp)

    def elapsed(self, t: Any, xp: Any) -> tuple[Any, Any]:
        """Return the boundaries at or before ``t``, and the real steps since the last one.

        The phase is not rounded off: boundary ``k`` is at exactly ``k * interval``. It requires
        boundaries at the first step at or after this position, as the stairs of `Decay` have.
        """
        if self._beyond and scalar.narrow(t):
            return 0 * t, t / 1
        k = self.last_before(t, xp)
        first, rest = self.position(k, xp)
        _, parts, phase = self._integers[integers_of(t, xp)]
        return k, (t - first) / 1 + (phase - rest) / parts

    def in_parts(self, fraction: Fraction) -> tuple[int, ...]:
        """Return a fraction of a step in parts, rounded up, for each of the three integer types."""
        return tuple(math.ceil(fraction * parts) for _, parts, _ in self._integers)

    def _in_parts(self, largest: float, finest: int) -> tuple[int, int, int]:
        """Return the interval in parts of a step, the number of parts per step, and the phase."""
        interval, phase = self.interval, self.phase
        parts = math.lcm(interval.denominator, phase.denominator)
        if interval * parts > largest and parts > finest:
            # the nearest interval that these integers can represent
            most = max(finest, int(largest / (interval + 1)))
            interval = interval.limit_denominator(most)
            parts = interval.denominator * (most // interval.denominator)
        return int(interval * parts), parts, math.floor(phase * parts)


def integers_of(t: Any, xp: Any) -> int:
    """Return the index of the integer type of ``t``: 0 Python, 1 64-bit, 2 32-bit."""
    return 0 if xp is scalar else 2 if scalar.narrow(t) else 1


def phase_of(first: Fraction) -> Fraction:
    """Return the phase of a clock that starts at an exact position in the run."""
    return first - nearest(first) + HALF


def mul_div(t: Any, a: int, b: int, c: int, xp: Any) -> tuple[Any, Any]:
    """Return quotient and remainder of ``(t * a + c) / b`` without overflow, for ``0 <= c < b``.

    32-bit integers are multiplied bit by bit; ``2 * b`` and the quotient must fit in 32 bits.
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
