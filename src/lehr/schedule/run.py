"""Conversion of lengths to steps for one run, including batch-size ramps."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from lehr.schedule.errors import LAST, fail, number
from lehr.schedule.length import (
    ENDLESS,
    REST,
    Amount,
    Length,
    check_length,
    in_steps,
    nearest,
    parse,
    typed,
)

if TYPE_CHECKING:
    from lehr.schedule.base import Schedule

_SIZE_OF = {
    "%": "steps",
    "epochs": "steps_per_epoch",
    "samples": "samples_per_step",
    "tokens": "tokens_per_step",
}
RUN_SIZES = ("steps_per_epoch", "samples_per_step", "tokens_per_step")
MOST_PIECES = 1000  # largest number of pieces of a part along a batch-size ramp
_LONGEST_RAMP = 5_000_000  # largest number of steps of a ramp; each step is evaluated


@dataclass(frozen=True)
class SizeRamp:
    """A batch-size ramp: samples or tokens per step, and their cumulative sum.

    Args:
        firsts: first step of each range of constant size.
        sizes: samples or tokens per step in each range.
        sums: samples or tokens processed before each range.
    """

    firsts: tuple[int, ...]
    sizes: tuple[Fraction, ...]
    sums: tuple[Fraction, ...]

    def done(self, steps: Fraction) -> Fraction:
        """Return the cumulative sum at a real number of steps, linear within a step."""
        i = max(0, bisect.bisect_right(self.firsts, steps) - 1)
        return self.sums[i] + self.sizes[i] * (steps - self.firsts[i])

    def steps(self, done: Fraction) -> Fraction:
        """Return the real number of steps at which the cumulative sum is ``done``."""
        i = max(0, bisect.bisect_right(self.sums, done) - 1)
        return self.firsts[i] + (done - self.sums[i]) / self.sizes[i]

    def multiples(
        self, field: str, amount: Fraction, first: Fraction, last: Fraction
    ) -> list[Fraction]:
        """Return the positions between ``first`` and ``last`` at multiples of an amount."""
        start = self.done(first)
        found: list[Fraction] = []
        for k in range(1, MOST_PIECES + 2):
            position = self.steps(start + k * amount)
            if position >= last:
                return found
            found.append(position)
        rule = f"a length that fits at most {MOST_PIECES} times in the run under a batch-size ramp"
        fail(field, rule, f"{float(amount):g}")

    def pieces(self, first: int, last: int) -> list[tuple[int, int, Fraction]]:
        """Return the ranges of constant size between two steps: first, last, size."""
        starts = [first, *(f for f in self.firsts if first < f < last)]
        ends = [*starts[1:], last]
        at = [self.sizes[bisect.bisect_right(self.firsts, start) - 1] for start in starts]
        return list(zip(starts, ends, at, strict=True))


Size = Fraction | SizeRamp | None


@dataclass(frozen=True)
class Run:
    """Sizes of a run: its steps, the steps per epoch, and the samples and tokens per step."""

    steps: Fraction | None = None
    steps_per_epoch: Fraction | None = None
    samples_per_step: Size = None
    tokens_per_step: Size = None
    in_ticks: bool = False
    """Whether steps are ticks of an `Every`."""

    def move(
        self, field: str, length: Length, start: Fraction, *, backward: bool = False
    ) -> Fraction:
        """Return the exact position in steps one length after (or before) ``start``."""
        amount = parse(field, length)
        if amount.until and (backward or self.in_ticks):
            where = "after the part that takes the rest" if backward else "inside .every(...)"
            fail(field, f"a length without 'until' {where}", length)
        size = self._size(length, amount)
        if isinstance(size, SizeRamp) and not self.in_ticks:
            if amount.until:
                return size.steps(amount.amount)
            done = size.done(start) + (-amount.amount if backward else amount.amount)
            return size.steps(done)
        distance = self._distance(field, length, amount, size)
        if amount.until:
            return distance
        return start - distance if backward else start + distance

    def distance(self, field: str, length: Length) -> Fraction:
        """Return a length in real steps, if it does not depend on the position."""
        amount = parse(field, length)
        if amount.until:
            fail(field, "a length without 'until' in a repeated part", length)
        return self._distance(field, length, amount, self._size(length, amount))

    def ramp_of(self, length: Length) -> SizeRamp | None:
        """Return the batch-size ramp that applies to the unit of a length, or None."""
        if length is None or in_steps(length):
            return None
        size = getattr(self, _SIZE_OF.get(parse("length", length).unit, ""), None)
        return size if isinstance(size, SizeRamp) else None

    def place(self, field: str, length: Length, first: Fraction, last: Fraction | None) -> int:
        """Return the length in integer steps of a part that starts at ``first``.

        The two end positions are rounded, so that the lengths of the parts add up to the run.
        """
        end = self.end(last) if length is None else self.move(field, length, first)
        steps = nearest(end) - nearest(first)
        if steps < 0:
            fix = "shorten the preceding parts or lengthen the run"
            given = REST if length is None else length
            fail(field, f"a length that ends after step {nearest(first)}", given, fix)
        return steps

    def end(self, last: Fraction | None) -> Fraction:
        """Return the end position of a part that takes the rest, or raise if it is unknown."""
        if last is None:
            fail("steps", f"given to resolve {REST}", None, "pass steps=")
        return last

    def ticks(self, interval: Fraction) -> Run:
        """Return the run in ticks of ``interval`` steps."""

        def scaled(size: Any, factor: Fraction) -> Any:
            return size * factor if isinstance(size, Fraction) else size

        return replace(
            self,
            steps=scaled(self.steps, 1 / interval),
            steps_per_epoch=scaled(self.steps_per_epoch, 1 / interval),
            samples_per_step=scaled(self.samples_per_step, interval),
            tokens_per_step=scaled(self.tokens_per_step, interval),
            in_ticks=True,
        )

    def _size(self, length: Length, amount: Amount) -> Size:
        if amount.unit == "steps":
            return Fraction(1)
        name = _SIZE_OF[amount.unit]
        size: Size = getattr(self, name)
        if size is None:
            fail(name, f"given to resolve the length {length!r}", None, f"pass {name}=")
        return size

    @staticmethod
    def _distance(field: str, length: Length, amount: Amount, size: Any) -> Fraction:
        if isinstance(size, SizeRamp):
            rule = f"in steps, epochs or shares where a ramp of {_SIZE_OF[amount.unit]} is given"
            fail(field, rule, length)
        if amount.unit == "%":
            return amount.amount / 100 * size  # type: ignore[no-any-return]
        in_size = amount.unit in ("samples", "tokens")
        return amount.amount / size if in_size else amount.amount * size  # type: ignore[no-any-return]


def make_run(
    steps: Length = None,
    steps_per_epoch: float | None = None,
    samples_per_step: float | Schedule | None = None,
    tokens_per_step: float | Schedule | None = None,
) -> Run:
    """Check the sizes of a run and return them; see `Schedule.resolve`."""
    length = check_length("steps", steps)
    if length == 0:
        fail("steps", "at least 1 step", steps)
    per_epoch = _positive("steps_per_epoch", steps_per_epoch)
    known = Run(Fraction(length) if isinstance(length, int) else None, per_epoch)
    run = replace(
        known,
        samples_per_step=_size("samples_per_step", samples_per_step, known),
        tokens_per_step=_size("tokens_per_step", tokens_per_step, known),
    )
    if length is None or isinstance(length, int):
        return run
    if isinstance(length, str) and (length.endswith("%") or parse("steps", length).until):
        fail("steps", "the length of the run in steps, epochs, samples or tokens", steps)
    count = nearest(run.move("steps", length, Fraction(0)))
    if not 1 <= count <= LAST:
        fail("steps", f"from 1 to 2**31 - 1 steps, not {count}", steps)
    return replace(run, steps=Fraction(count))


def sizes_for(lengths: Iterable[Length]) -> list[str]:
    """Return the arguments of ``resolve`` that lengths require, such as ``steps_per_epoch=``."""
    needed = [
        "steps=" if x is None else f"{_SIZE_OF[unit]}="
        for x in lengths
        if x is None or (unit := parse("length", x).unit) in _SIZE_OF
    ]
    return sorted(set(needed) or {"steps="}, key=["steps=", *(f"{n}=" for n in RUN_SIZES)].index)


def _positive(name: str, value: Any) -> Fraction | None:
    if value is None:
        return None
    if isinstance(value, int):
        return Fraction(int(number(name, value, above=0)))
    return typed(number(name, value, above=0))


def _size(name: str, value: Any, run: Run) -> Size:
    from lehr.schedule.base import Schedule
    from lehr.schedule.shapes import Constant

    if not isinstance(value, Schedule):
        return _positive(name, value)
    if not value.resolved:
        last = run.steps
        value = value._resolve(run, Fraction(0), last)
    if isinstance(value, Constant):
        return _positive(name, value.value)
    end: Any = value._previous_joint(LAST + 1) if value.length == ENDLESS else value.length
    if end > _LONGEST_RAMP:
        fail(name, f"a schedule that is constant after {_LONGEST_RAMP} steps", value)
    firsts: list[int] = []
    sizes: list[float] = []
    for step in range(end + 1):
        size = value(step)
        if not sizes or size != sizes[-1]:
            firsts.append(step)
            sizes.append(size)
    if value(end) != value(end + 1) or value(end) != value(2 * end + 1000):
        fail(name, "a schedule that becomes constant", value, "limit it with .take(steps)")
    exact = [
        Fraction(number(f"{name} at step {f}", s, above=0))
        for f, s in zip(firsts, sizes, strict=True)
    ]
    lengths = [b - a for a, b in itertools.pairwise(firsts)]
    done = (size * n for size, n in zip(exact, lengths, strict=False))
    sums = tuple(itertools.accumulate(done, initial=Fraction(0)))
    return exact[0] if len(exact) == 1 else SizeRamp(tuple(firsts), tuple(exact), sums)
