"""Lengths: ``500``, ``"3 epochs"``, ``"5%"``, ``"2T tokens"``, ``"until 90%"``, or None.

None is the rest of the run. A schedule's ``length`` is an integer number of steps, `ENDLESS`,
`REST` (the rest of the run) or `UNKNOWN` (until the schedule is resolved).
"""

import math
import numbers
import operator
import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

from lehr.schedule.errors import LAST, fail, integer, number

Length = int | float | str | None
Extent = int | float | str | None

ENDLESS = math.inf
REST = "the rest of the run"
UNKNOWN = None

_RULE = (
    "a length: an integer number of steps, '3 epochs', '5%', '2000 samples', '1e9 tokens' (also "
    "with K, M, B, T) or 'until 90%'"
)
_TEXT = re.compile(
    r"\s*(?P<until>until\s+)?(?P<amount>-?(?:\d[\d_]{0,30}(?:\.\d{0,20})?|\.\d{1,20})"
    r"(?:[eE][+-]?\d{1,2})?)(?:/(?P<parts>\d{1,30}))?\s*(?P<scale>[KMBT]?)\s*"
    r"(?P<unit>%|steps?|epochs?|samples?|tokens?)\s*"
)
_SCALES = {"T": 10**12, "B": 10**9, "M": 10**6, "K": 10**3, "": 1}
_SMALLEST, _LARGEST = Fraction(1, 10**18), 10**18


@dataclass(frozen=True)
class Amount:
    """A parsed length: an amount of a unit.

    With ``until``, the position in the run at which the amount is reached.
    """

    amount: Fraction
    unit: str
    until: bool = False

    def __str__(self) -> str:
        """Return the canonical text, which parses to an equal amount."""
        scale = ""
        amount = self.amount
        if self.unit in ("samples", "tokens") and amount.denominator == 1:
            scale = next(s for s, size in _SCALES.items() if not s or amount >= size)
            if len(_decimal(amount / _SCALES[scale])) > 8:  # the text without a scale is shorter
                scale = ""
        shown = _decimal(amount / _SCALES[scale])
        if self.unit == "%":
            text = f"{shown}%"
        else:
            text = f"{shown}{scale} {self.unit[:-1] if amount == 1 else self.unit}"
        return f"until {text}" if self.until else text


def _decimal(amount: Fraction) -> str:
    """Return an exact decimal, or ``p/q`` if the shortest decimal is not exact."""
    if amount.denominator == 1:
        return str(amount.numerator)
    shown = repr(float(amount))
    return shown if Fraction(shown) == amount else f"{amount.numerator}/{amount.denominator}"


@lru_cache(1024)
def _parse(text: str) -> Amount | None:
    match = _TEXT.fullmatch(text)
    if match is None:
        return None
    parts = int(match["parts"] or 1)
    if not parts:
        return None
    amount = Fraction(match["amount"].replace("_", "")) / parts * _SCALES[match["scale"]]
    if amount and not _SMALLEST <= abs(amount) < _LARGEST:
        return None
    unit = match["unit"]
    unit = unit if unit == "%" or unit.endswith("s") else unit + "s"
    return Amount(amount, unit, until=match["until"] is not None)


def parse(field: str, length: Any) -> Amount:
    """Parse a length other than None, or raise."""
    if not isinstance(length, str):
        return Amount(Fraction(length) if isinstance(length, int) else typed(length), "steps")
    amount = _parse(length)
    if amount is None:
        fail(field, _RULE, length)
    return amount


def check_share(field: str, value: str) -> Fraction:
    """Parse a share of the peak, ``"10%"``, as a fraction, or raise."""
    amount = _parse(value)
    if amount is None or amount.unit != "%" or amount.until or not 0 <= amount.amount <= 100:
        fail(field, "a number, or a share of the peak from '0%' to '100%'", value)
    return amount.amount / 100


def check_length(field: str, value: Any, *, signed: bool = False, missing: str = "") -> Length:
    """Return a length in its canonical form (``"1 epoch"``, ``"5%"``, 300), or raise.

    Args:
        field: name in errors.
        value: length to check.
        signed: whether negative lengths are allowed.
        missing: rule in the error for None; "" allows None, the rest of the run.
    """
    if value is None:
        if missing:
            fail(field, missing, None)
        return None
    if isinstance(value, str):
        amount = parse(field, value)
        if amount.amount < 0 and (not signed or amount.until):
            fail(field, "a length of at least 0", value)
        if amount.unit != "steps" or amount.until or amount.amount.denominator != 1:
            return str(amount)
        value = int(amount.amount)
    if isinstance(value, numbers.Real) and not isinstance(value, numbers.Integral | bool):
        if not float(value).is_integer():
            fix = f"round it, or write '{value} steps' where parts add up to the run"
            fail(field, _RULE, value, fix if math.isfinite(value) else "")
        value = int(float(value))
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        fail(field, _RULE, value, error=TypeError)
    try:
        value = operator.index(value)  # also of an integer scalar such as tf.data's cardinality
    except TypeError:
        fail(field, _RULE, value, error=TypeError)
    return integer(field, value, at_least=-LAST if signed else 0, unit="steps")


def check_interval(field: str, value: Any, *, counted: bool = True) -> int | float | str:
    """Return a positive real length, or raise; a ``counted`` one (a period) is below 2**31."""
    if value is None:
        fail(field, "a length such as 1000, 2.5 or '30 epochs'", None)
    if type(value) is not bool and isinstance(value, numbers.Real):
        above = None if isinstance(value, numbers.Integral) else 0
        amount = Amount(typed(number(field, value, above=above)), "steps")
    else:
        amount = parse(field, value if isinstance(value, str) else check_length(field, value))
    if amount.until:
        fail(field, "a length without 'until'", value)
    if amount.amount <= 0:
        fail(field, "a length above 0", value)
    if counted and amount.amount < _SMALLEST:
        fail(field, f"at least {float(_SMALLEST):g} {amount.unit}", value)
    if amount.unit != "steps":
        return str(amount)
    if counted and amount.amount > LAST:
        fail(field, "below 2**31 steps, which frameworks count in int32", value)
    return real(amount.amount)


def real(steps: Fraction) -> int | float | str:
    """Return real steps in canonical form: an int, a float, or ``"10/3 steps"``."""
    if steps.denominator == 1 and steps <= LAST:
        return int(steps)
    return float(steps) if typed(float(steps)) == steps else str(Amount(steps, "steps"))


def in_steps(length: Length) -> bool:
    """Return whether a length is a number of steps, integer or fractional."""
    if length is None or not isinstance(length, str):
        return length is not None
    amount = parse("length", length)
    return amount.unit == "steps" and not amount.until


def scale_length(length: Length, factor: Fraction) -> Length:
    """Multiply a length by ``factor``; None, the rest of the run, becomes a share of the run."""
    if length is None:
        return str(Amount(100 * factor, "%"))
    amount = parse("length", length)
    if amount.until:
        fail("length", "a length without 'until' where it is divided into parts", length)
    return str(Amount(amount.amount * factor, amount.unit))


def typed(value: float) -> Fraction:
    """Return the exact fraction of the shortest decimal of a float: 0.1 is 1/10."""
    return Fraction(repr(float(value)))


def nearest(steps: Fraction) -> int:
    """Round to the nearest integer, halves up."""
    return math.floor(steps + Fraction(1, 2))
