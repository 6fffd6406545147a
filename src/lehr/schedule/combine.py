"""Pointwise combinations of schedules: product, sum, minimum, maximum, quotient, power."""

import math
from abc import abstractmethod
from dataclasses import dataclass
from fractions import Fraction
from functools import partial, reduce
from typing import Any, Self

from lehr.schedule import scalar
from lehr.schedule.base import Schedule, as_schedule, ordered_pair
from lehr.schedule.chain import flatten
from lehr.schedule.code import (
    NEGATIVE,
    POWER,
    PRIMARY,
    PRODUCT,
    SUM,
    Code,
    operand,
    within,
)
from lehr.schedule.errors import fail
from lehr.schedule.length import ENDLESS, REST, UNKNOWN, Extent
from lehr.schedule.run import Run
from lehr.schedule.shapes import Constant


class Pointwise(Schedule):
    """Base class of pointwise combinations; its length is that of the longest non-constant part."""

    parts: tuple[Schedule, ...]

    def __post_init__(self) -> None:
        parts = self._checked()
        lengths = [part.length for part in parts if not isinstance(part, Constant)] or [ENDLESS]
        self._derive(
            parts=parts, length=_longest(lengths), resolved=all(part.resolved for part in parts)
        )

    def _checked(self) -> tuple[Schedule, ...]:
        return flatten(type(self), self.parts)

    @staticmethod
    @abstractmethod
    def fold(a: Any, b: Any, xp: Any) -> Any:
        """Combine two values."""

    def at(self, t: Any, xp: Any) -> Any:
        return reduce(partial(self.fold, xp=xp), [part.at(t, xp) for part in self.parts])

    def _resolve(self, run: Run, first: Fraction, last: Fraction | None) -> Self:
        parts = tuple(part._resolved(run, first, last) for part in self.parts)
        return type(self)(parts)  # type: ignore[call-arg]

    def _move(self, run: Run, start: Fraction, *, backward: bool = False) -> Fraction:
        varying = [part for part in self.parts if not isinstance(part, Constant)]
        ends = [part._move(run, start, backward=backward) for part in varying]
        return min(ends) if backward else max(ends)

    def _next_joint(self, t: int) -> int | None:
        joints = (part._next_joint(t) for part in self.parts)
        return min((joint for joint in joints if joint is not None), default=None)

    def _previous_joint(self, t: int) -> int | None:
        joints = (part._previous_joint(t) for part in self.parts)
        return max((joint for joint in joints if joint is not None), default=None)

    def _bounds(self, first: int, last: int) -> tuple[float, float]:
        bounds = [part._bounds(first, last) for part in self.parts]
        if first == last:
            return ordered_pair(self.at(first, scalar))
        try:
            return reduce(self._fold_bounds, bounds)
        except (ArithmeticError, ValueError):
            return -math.inf, math.inf

    def _fold_bounds(self, a: tuple[float, float], b: tuple[float, float]) -> tuple[float, float]:
        """Combine bounds; every fold is monotone in each operand between their ends."""
        return ordered_pair(*(self.fold(x, y, scalar) for x in a for y in b))

    def _parts(self) -> tuple[Schedule, ...]:
        return self.parts


@dataclass(frozen=True, repr=False)
class Product(Pointwise, kind="product"):
    """The product of schedules at each step; ``a * b`` constructs it.

    >>> import lehr
    >>> [(lehr.linear(1.0, 0.0, 4) * 0.5)(t) for t in (0, 2, 4)]
    [0.5, 0.25, 0.0]
    """

    parts: tuple[Schedule, ...]

    @staticmethod
    def fold(a: Any, b: Any, xp: Any) -> Any:
        return a * b

    def _code(self) -> Code:
        positive = self._without_sign()
        if positive is not None:
            return f"-{within(positive, NEGATIVE)}", NEGATIVE
        return _operators(self.parts, "*", PRODUCT)

    def _without_sign(self) -> Schedule | None:
        """Return the operand if this product is the result of unary ``-``, otherwise None."""
        first, *rest = self.parts
        if first != Constant(-1.0) or (len(rest) == 1 and isinstance(rest[0], Constant)):
            return None
        return Product(tuple(rest)) if len(rest) > 1 else rest[0]


@dataclass(frozen=True, repr=False)
class Sum(Pointwise, kind="sum"):
    """The sum of schedules at each step; ``a + b`` constructs it.

    >>> import lehr
    >>> [(lehr.linear(1.0, 0.0, 4) + 0.5)(t) for t in (0, 2, 4)]
    [1.5, 1.0, 0.5]
    """

    parts: tuple[Schedule, ...]

    @staticmethod
    def fold(a: Any, b: Any, xp: Any) -> Any:
        return a + b

    def _code(self) -> Code:
        first, second, *_ = self.parts
        text = operand(first, PRODUCT, number=not isinstance(second, Constant))
        for part in self.parts[1:]:
            positive = part._without_sign() if isinstance(part, Product) else None
            if isinstance(part, Constant) and part.value is not None and part.value < 0.0:
                text += f" - {-part.value!r}"
            elif positive is not None:
                text += f" - {within(positive, PRODUCT)}"
            else:
                text += f" + {operand(part, PRODUCT, number=True)}"
        return text, SUM


@dataclass(frozen=True, repr=False)
class Min(Pointwise, kind="min"):
    """The minimum of schedules at each step; ``a.minimum(b)`` constructs it.

    >>> import lehr
    >>> [lehr.linear(1.0, 0.0, 4).minimum(0.5)(t) for t in (0, 2, 4)]
    [0.5, 0.5, 0.0]
    """

    parts: tuple[Schedule, ...]

    @staticmethod
    def fold(a: Any, b: Any, xp: Any) -> Any:
        return xp.where(a < b, a, b)

    def _code(self) -> Code:
        return _methods(self.parts, "minimum")


@dataclass(frozen=True, repr=False)
class Max(Pointwise, kind="max"):
    """The maximum of schedules at each step; ``a.maximum(b)`` constructs it.

    >>> import lehr
    >>> [lehr.linear(1.0, 0.0, 4).maximum(0.5)(t) for t in (0, 2, 4)]
    [1.0, 0.5, 0.5]
    """

    parts: tuple[Schedule, ...]

    @staticmethod
    def fold(a: Any, b: Any, xp: Any) -> Any:
        return xp.where(a > b, a, b)

    def _code(self) -> Code:
        return _methods(self.parts, "maximum")


@dataclass(frozen=True, repr=False)
class Quotient(Pointwise, kind="quotient"):
    """The quotient of two schedules at each step; ``a / b`` constructs it.

    Raises:
        ValueError: if the divisor is the constant 0.

    >>> import lehr
    >>> [(lehr.linear(1.0, 0.0, 4) / 2)(t) for t in (0, 2, 4)]
    [0.5, 0.25, 0.0]
    """

    parts: tuple[Schedule, ...]

    def _checked(self) -> tuple[Schedule, ...]:
        parts = _pair(self.parts)
        if parts[1] == Constant(0.0):
            fail("divisor", "a number other than 0", 0.0)
        return parts

    @staticmethod
    def fold(a: Any, b: Any, xp: Any) -> Any:
        if xp is scalar and b == 0.0:
            fail("divisor", "other than 0 at every step", b)
        return a / b

    def _fold_bounds(self, a: tuple[float, float], b: tuple[float, float]) -> tuple[float, float]:
        if b[0] <= 0.0 <= b[1]:
            return -math.inf, math.inf
        return super()._fold_bounds(a, b)

    def _code(self) -> Code:
        return _operators(self.parts, "/", PRODUCT)


@dataclass(frozen=True, repr=False)
class Power(Pointwise, kind="power"):
    """A schedule to the power of another at each step; ``a ** b`` constructs it.

    Raises:
        ValueError: if the base is negative at a step where the exponent is not an integer.

    >>> import lehr
    >>> [(lehr.linear(1.0, 0.0, 4) ** 2)(t) for t in (0, 2, 4)]
    [1.0, 0.25, 0.0]
    """

    parts: tuple[Schedule, ...]

    def _checked(self) -> tuple[Schedule, ...]:
        return _pair(self.parts)

    @staticmethod
    def fold(a: Any, b: Any, xp: Any) -> Any:
        try:
            power = a**b
        except ZeroDivisionError:
            fail("base of a power", "other than 0 for a negative exponent", a)
        except OverflowError:
            fail("power", "below the largest float", f"{a!r} ** {b!r}")
        if isinstance(power, complex):
            fail("base of a power", "at least 0 for an exponent that is not an integer", a)
        return power

    def _fold_bounds(self, a: tuple[float, float], b: tuple[float, float]) -> tuple[float, float]:
        if a[0] < 0.0:
            return -math.inf, math.inf
        return super()._fold_bounds(a, b)

    def _code(self) -> Code:
        base, exponent = self.parts
        left = operand(base, PRIMARY, number=not isinstance(exponent, Constant))
        return f"{left} ** {operand(exponent, NEGATIVE, number=True)}", POWER


def _operators(parts: tuple[Schedule, ...], sign: str, binding: int) -> Code:
    first, second, *_ = parts
    texts = [operand(first, binding, number=not isinstance(second, Constant))]
    texts += [operand(part, binding + 1, number=True) for part in parts[1:]]
    return f" {sign} ".join(texts), binding


def _methods(parts: tuple[Schedule, ...], name: str) -> Code:
    text = within(parts[0], PRIMARY)
    for part in parts[1:]:
        text += f".{name}({operand(part, SUM, number=True)})"
    return text, PRIMARY


def _pair(parts: Any) -> tuple[Schedule, ...]:
    if not isinstance(parts, list | tuple) or len(parts) != 2:
        fail("parts", "two schedules", parts)
    return tuple(as_schedule(f"part {i}", part) for i, part in enumerate(parts, 1))


def _longest(lengths: list[Extent]) -> Extent:
    for extent in (ENDLESS, REST, UNKNOWN):
        if extent in lengths:
            return extent
    return max(lengths)  # type: ignore[type-var]
