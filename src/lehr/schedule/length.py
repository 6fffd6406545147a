"""Lengths: whole steps, ``"3 epochs"``, ``"5%"`` of the run, or None: the rest of the run.

A schedule's ``length`` is a number of whole steps, `ENDLESS`, `REST` (it takes what is left of
the run) or `UNKNOWN` (known once the run is).
"""

import math
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from lehr.schedule.errors import fail, number, whole

Length = int | str | None
Extent = int | float | str | None

ENDLESS = math.inf
LAST = 2**31 - 1  # the last step that an int32 can count
REST = "the rest of the run"
UNKNOWN = None

_RULE = (
    "a whole number of steps >= 1, or a length such as '3 epochs', '5%', '1e9 tokens', "
    "'2000 samples'"
)
_TEXT = re.compile(
    r"\s*(\d{1,18}(?:\.\d{1,20})?(?:e[+-]?\d{1,2})?)\s*(%|steps?|epochs?|samples?|tokens?)\s*"
)
_UNIT_SIZE = {
    "epochs": "steps_per_epoch",
    "samples": "samples_per_step",
    "tokens": "tokens_per_step",
}


def parse(field: str, text: str) -> tuple[Fraction, str]:
    """Return the amount and the unit of a spelled length, or raise."""
    match = _TEXT.fullmatch(text)
    if match is None:
        fail(field, _RULE, text)
    amount = Fraction(match[1])
    if not Fraction(1, 10**18) <= amount < 10**18:  # beyond, `spell` could not be read back
        fail(field, _RULE, text)
    unit = match[2]
    return amount, unit if unit == "%" or unit.endswith("s") else unit + "s"


def spell(amount: Fraction, unit: str) -> Length:
    """Return the one spelling of an amount in a unit."""
    if unit == "steps" and amount.denominator == 1:
        return int(amount)
    if amount.denominator != 1:
        amount = Fraction(repr(float(amount)))  # the decimal that is shown, so it reads back equal
    shown = str(int(amount)) if amount.denominator == 1 else repr(float(amount))
    if unit == "%":
        return f"{shown}%"
    return f"{shown} {unit[:-1] if amount == 1 else unit}"


def check_length(field: str, value: Any) -> Length:
    """Return a length in its one spelling (``"1 epoch"``, ``"5%"``, 300), or raise."""
    if value is None:
        return None
    if isinstance(value, str):
        amount, unit = parse(field, value)
        if unit == "steps" and amount.denominator != 1:
            fail(field, _RULE, value)
        value = spell(amount, unit)
    return value if isinstance(value, str) else whole(field, value, unit="steps")


def check_time_constant(field: str, value: Any) -> float | str:
    """Return a length that need not be whole steps, or raise: decays are measured by it."""
    if value is None:
        fail(field, "a length", None)
    if isinstance(value, float):
        return number(field, value, above=0)
    return check_length(field, value)  # type: ignore[return-value]


def scale_length(field: str, length: Length, factor: Fraction) -> Length:
    """Return ``factor`` times a length; None, the rest of the run, becomes a share of the run."""
    if length is None:
        return spell(100 * factor, "%")
    amount, unit = (Fraction(length), "steps") if isinstance(length, int) else parse(field, length)
    if unit == "steps":
        return max(1, nearest(amount * factor))
    return spell(amount * factor, unit)


def typed(value: float) -> Fraction:
    """Return the number that was typed: 0.1 is a tenth, not the double next to it."""
    return Fraction(repr(value))


def nearest(steps: Fraction) -> int:
    """Round to the nearest whole step, halves up."""
    return math.floor(steps + Fraction(1, 2))


@dataclass(frozen=True)
class Run:
    """What a run must tell before lengths can be whole steps."""

    steps: int | None = None
    steps_per_epoch: int | None = None
    samples_per_step: int | None = None
    tokens_per_step: int | None = None
    stretch: Fraction = Fraction(1)
    """Factor on lengths that are known in steps."""

    def __post_init__(self) -> None:
        for name in ("steps", *_UNIT_SIZE.values()):
            if getattr(self, name) is not None:
                whole(name, getattr(self, name))

    def exact(self, field: str, length: Length | float, first: Fraction) -> Fraction:
        """Return how many steps, not yet rounded, a part that begins at ``first`` takes."""
        if isinstance(length, int | float):
            return Fraction(length) * self.stretch
        if length is None:
            return self._known("steps", REST) - first
        amount, unit = parse(field, length)
        if unit == "%":
            return amount / 100 * self._known("steps", length)
        size = self._known(_UNIT_SIZE[unit], length)
        return amount * size if unit == "epochs" else amount / size

    def place(self, field: str, length: Length, first: Fraction) -> tuple[int, Fraction]:
        """Return a part's whole steps and its exact end.

        Ends are rounded, not lengths, so that the parts of a run add up to it exactly.
        """
        end = first + self.exact(field, length, first)
        steps = nearest(end) - nearest(first)
        if steps < 1:
            what = REST if length is None else length
            fail(
                field,
                f"at least one step of this run of {self.steps} steps from step {nearest(first)}",
                what,
                "shorten the parts before it or lengthen the run",
            )
        return steps, end

    def _known(self, name: str, length: str) -> int:
        value: int | None = getattr(self, name)
        if value is None:
            fail(name, f"given to resolve the length {length!r}", None, f"pass {name}=")
        return value
