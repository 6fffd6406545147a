"""The schedule: a frozen value that is a function of the step."""

from __future__ import annotations

import dataclasses
import io
import numbers
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from lehr.schedule import scalar
from lehr.schedule.code import PRIMARY, Code
from lehr.schedule.codec import Definition
from lehr.schedule.errors import fail, integer_steps, number, ordered
from lehr.schedule.length import Amount, Extent, Length, nearest
from lehr.schedule.run import Run, make_run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Combinator = TypeVar("Combinator", bound="Schedule")
_FINE = 2**30  # steps of the run in which a schedule of shares is asked for a fraction


class Schedule(Definition, ABC):
    """How a hyperparameter changes during a run: a function of the step.

    Called with a step (0-based count of optimizer updates) it returns a float; called with an
    array or tensor of steps (NumPy, JAX, PyTorch, TensorFlow, traced or not) it returns the same
    kind of array. Schedules are frozen values: they compare, print and are saved as JSON.

    >>> import lehr
    >>> s = lehr.warmup(0.1, 4).then(lehr.cosine(0.1, 8))
    >>> [round(s(t), 3) for t in (0, 2, 4, 8, 12, 100)]
    [0.0, 0.05, 0.1, 0.05, 0.0, 0.0]
    >>> s
    warmup(0.1, 4).then(cosine(0.1, 8))
    """

    __array_ufunc__ = None  # NumPy numbers leave operators to the schedule

    LENGTHS: ClassVar[tuple[str, ...]] = ()
    """Fields that hold lengths."""

    length: Extent
    """Integer steps, `ENDLESS`, `REST` or `UNKNOWN`; derived, not part of equality or JSON."""

    resolved: bool
    """Whether every length in the tree is a number of steps."""

    @abstractmethod
    def at(self, t: Any, xp: Any) -> Any:
        """Return the value at step ``t``; ``xp`` spells where, cos, exp ... for its type."""

    @abstractmethod
    def _resolve(self, run: Run, first: Fraction, last: Fraction | None) -> Schedule:
        """Return the schedule in integer steps, begun at the exact position ``first``.

        ``last`` is the end of its room, which an omitted length fills; None is unknown.
        """

    def _resolved(self, run: Run, first: Fraction, last: Fraction | None) -> Schedule:
        """Return the schedule in integer steps, as it is if it was so before."""
        same = self.resolved and first.denominator == 1
        return self if same else self._resolve(run, first, last)

    def _move(self, run: Run, start: Fraction, *, backward: bool = False) -> Fraction:
        """Return the exact position where a part of known length ends (or begins)."""
        (field,) = self.LENGTHS
        return run.move(field, getattr(self, field), start, backward=backward)

    def _joints(self, last: int) -> Iterable[int]:
        """Return the steps up to ``last`` at which the formula changes."""
        return (0, self.length) if isinstance(self.length, int) else (0,)

    def _parts(self) -> tuple[Schedule, ...]:
        """Return the schedules that this one is made of."""
        return ()

    def _all_lengths(self) -> Iterator[Any]:
        """Return the lengths in the tree."""
        for name in self.LENGTHS:
            value = getattr(self, name)
            yield from value if isinstance(value, tuple) else (value,)
        for part in self._parts():
            yield from part._all_lengths()

    def _continued(self, value: float) -> Schedule:
        """Return the schedule with its open start, if it has one, at a value."""
        return self

    def _code(self) -> Code:
        """Return the text that makes the schedule and how strongly it binds; see `code`."""
        return super().__repr__(), PRIMARY

    def __repr__(self) -> str:
        """Return the Python that makes the schedule, without defaults."""
        return self._code()[0]

    def __reduce__(self) -> tuple[Any, ...]:  # what is derived may hold functions
        fields = dataclasses.fields(self)  # type: ignore[arg-type]
        return type(self), tuple(getattr(self, f.name) for f in fields if f.init)

    def _exact(self, run: Run) -> Schedule:
        """Return the tree with every length in real steps, not rounded."""
        changes: dict[str, Any] = {}
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            value: Any = getattr(self, field.name) if field.init else None
            if field.name in self.LENGTHS:
                if isinstance(value, tuple):
                    changes[field.name] = tuple(_exact_steps(run, field.name, v) for v in value)
                else:
                    changes[field.name] = _exact_steps(run, field.name, value)
            elif isinstance(value, Schedule):
                changes[field.name] = value._exact(run)
            elif field.name == "parts":
                changes[field.name] = tuple(part._exact(run) for part in self._parts())
        return dataclasses.replace(self, **changes) if changes else self  # type: ignore[type-var]

    def __call__(self, step: Any = None) -> Any:
        """Return the value at a step, or the values at an array of steps."""
        if step is None:  # a Keras optimizer calls a function that it does not know like this
            rule = "an integer or an array of them"
            fix = "a Keras optimizer takes lehr.keras.schedule(...), or lehr.keras.attach wraps it"
            fail("step", rule, None, fix, TypeError)
        if not self.resolved:
            fix = "call .resolve(steps=..., steps_per_epoch=...)"
            fail("schedule", "in integer steps before it is used", self, fix)
        if type(step) is int:
            if step < 0:
                fail("step", "at least 0", step)
            return self.at(step, scalar)
        return self._on_array(step)

    def _on_array(self, step: Any) -> Any:
        if type(step).__module__.startswith("keras."):  # a Keras variable holds an array
            step = step.value
        xp = scalar.namespace(step)
        if xp is None:
            if isinstance(step, bool) or not isinstance(step, numbers.Real):
                fail("step", "an integer or an array of them", step, error=TypeError)
            if not float(step).is_integer():
                fail("step", "an integer", step)
            return self(int(float(step)))
        return self.at(integer_steps(step, xp) if xp.__name__ == "numpy" else step, xp)

    def resolve(
        self,
        steps: Length = None,
        *,
        steps_per_epoch: float | None = None,
        samples_per_step: float | Schedule | None = None,
        tokens_per_step: float | Schedule | None = None,
    ) -> Schedule:
        """Return the schedule with every length in integer steps of one run.

        The ends of the parts, not their lengths, are rounded to steps, so the parts add up to the
        run exactly.

        Args:
            steps: length of the run: optimizer updates, "90 epochs" or "2T tokens"; needed for
                shares and the rest of the run.
            steps_per_epoch: optimizer updates in an epoch, a real number; needed for epochs.
            samples_per_step: samples in one update, or a schedule (a batch-size ramp); needed for
                lengths in samples.
            tokens_per_step: tokens in one update, or a schedule; needed for lengths in tokens.

        Raises:
            ValueError: if a length needs what was not given, or the parts do not fit in the run.

        >>> import lehr
        >>> lehr.warmup(0.1, "10%").then(lehr.cosine(0.1)).resolve(1000).length
        1000
        >>> lehr.cosine(0.1).resolve("2T tokens", tokens_per_step=2**22).length
        476837
        """
        run = make_run(steps, steps_per_epoch, samples_per_step, tokens_per_step)
        return self._resolved(run, Fraction(0), run.steps)

    def at_fraction(self, fraction: float) -> float:
        """Return the value at a fraction of the run, for loops that count time or progress.

        A schedule whose lengths are shares or the rest of the run needs no steps. A resolved one
        does not know the run: the fraction is of its length, and the nearest step counts.

        Args:
            fraction: from 0 (start of the run) to 1 (its end).

        Raises:
            ValueError: if the schedule has other lengths and is not resolved, or never ends.

        >>> import lehr
        >>> lehr.linear(0.1, 0.0).at_fraction(0.5), lehr.linear(1.0, 0.0, 80).at_fraction(0.25)
        (0.05, 0.75)
        """
        number("fraction", fraction, at_least=0, at_most=1)
        shares = (length is None or str(length).endswith("%") for length in self._all_lengths())
        if not self.resolved and not all(shares):
            fail("schedule", "in shares of the run, or resolved", self, "call .resolve(...) first")
        schedule = self if self.resolved else self.resolve(_FINE)
        length = schedule.length if self.resolved else _FINE
        if not isinstance(length, int):
            fix = "give it an end with .take(steps)"
            fail("schedule", "one that ends, or in shares of the run", self, fix)
        return schedule(nearest(Fraction(fraction) * length))  # type: ignore[no-any-return]

    def then(self, other: Schedule) -> Schedule:
        """Return this schedule followed by another, whose clock starts where this one ends.

        A part whose length is omitted takes the rest of the run, in any position; so does a
        constant or another endless part that is followed by one.

        >>> import lehr
        >>> s = lehr.warmup(0.1, 100).then(lehr.constant(0.1)).then(lehr.linear(0.1, 0.0, "20%"))
        >>> s.resolve(1000)
        warmup(0.1, 100).then(constant(0.1, 700)).then(linear(0.1, 0.0, 200))
        """
        return self._with(chain.Chain, "other", other)

    def then_to(self, end: float, steps: Length = None, *, curve: str = "linear") -> Schedule:
        """Return this schedule, then a curve from its final value to ``end``.

        Args:
            end: final value.
            steps: a length; None takes the rest of the run.
            curve: name of a curve.

        >>> import lehr
        >>> lehr.linear(1.0, 0.0, 100).take(50).then_to(0.2, 10)
        linear(1.0, 0.0, 100).take(50).then(linear(0.5, 0.2, 10))
        """
        return self.then(shapes.segment(None, end, steps, curve))

    def with_end(self) -> Schedule:
        """Return this schedule and its end value for one more step.

        >>> import lehr
        >>> [lehr.linear(1.0, 0.0, 2).with_end().then(lehr.constant(5.0))(t) for t in range(4)]
        [1.0, 0.5, 0.0, 5.0]
        """
        return self.then(clock.Take(shapes.Constant(None), 1))

    def repeat(self, times: int | None = None) -> repeat.Repeat:
        """Return this schedule over and over, or ``times`` times, then its final value."""
        return repeat.Repeat(self, times)

    def take(self, steps: Length) -> clock.Take:
        """Return the first ``steps`` steps of this schedule, whose value there then holds."""
        return clock.Take(self, steps)

    def shift(self, steps: Length) -> clock.Shift:
        """Return this schedule later (its first value holds until then), or, negative, earlier."""
        return clock.Shift(self, steps)

    def every(self, steps: float | str) -> clock.Every:
        """Return this schedule with a clock that ticks once every ``steps``.

        Inside, integer lengths count ticks and an omitted length is the ticks in the run.
        """
        return clock.Every(self, steps)

    def reverse(self) -> Schedule:
        """Return this schedule backwards."""
        return clock.Reverse(self)

    def clip(
        self, floor: float | Schedule | None = None, ceiling: float | Schedule | None = None
    ) -> Schedule:
        """Return this schedule kept between a floor and a ceiling (numbers or schedules)."""
        if isinstance(floor, int | float) and isinstance(ceiling, int | float):
            ordered("floor", float(floor), "ceiling", float(ceiling))
        result: Schedule = self
        if ceiling is not None:
            result = result.minimum(ceiling)
        if floor is not None:
            result = result.maximum(floor)
        return result

    def minimum(self, other: float | Schedule) -> Schedule:
        """Return the smaller of two schedules at each step."""
        return self._with(combine.Min, "other", other)

    def maximum(self, other: float | Schedule) -> Schedule:
        """Return the larger of two schedules at each step."""
        return self._with(combine.Max, "other", other)

    def __mul__(self, other: float | Schedule) -> Schedule:
        """Return the product at each step."""
        return self._with(combine.Product, "factor", other)

    def __add__(self, other: float | Schedule) -> Schedule:
        """Return the sum at each step."""
        return self._with(combine.Sum, "term", other)

    def __sub__(self, other: float | Schedule) -> Schedule:
        """Return the difference at each step."""
        return self + -as_schedule("term", other)

    def __truediv__(self, other: float | Schedule) -> Schedule:
        """Return the quotient at each step."""
        return combine.Quotient((self, as_schedule("divisor", other)))

    def __pow__(self, other: float | Schedule) -> Schedule:
        """Return the power at each step."""
        return combine.Power((self, as_schedule("exponent", other)))

    def __neg__(self) -> Schedule:
        """Return the negative at each step."""
        if isinstance(self, shapes.Constant) and self.value is not None:
            return shapes.Constant(-self.value)
        return shapes.Constant(-1.0) * self

    def __rmul__(self, other: float) -> Schedule:
        """Return the product at each step."""
        return as_schedule("factor", other) * self

    def __radd__(self, other: float) -> Schedule:
        """Return the sum at each step."""
        return as_schedule("term", other) + self

    def __rsub__(self, other: float) -> Schedule:
        """Return the difference at each step."""
        return as_schedule("term", other) - self

    def __rtruediv__(self, other: float) -> Schedule:
        """Return the quotient at each step."""
        return as_schedule("dividend", other) / self

    def __rpow__(self, other: float) -> Schedule:
        """Return the power at each step."""
        return as_schedule("base", other) ** self

    def _with(self, combinator: type[Combinator], field: str, other: Any) -> Combinator:
        """Return a combination with another schedule."""
        return combinator((self, as_schedule(field, other)))  # type: ignore[call-arg]

    def summary(
        self,
        steps: Length = None,
        *,
        steps_per_epoch: float | None = None,
        samples_per_step: float | Schedule | None = None,
        tokens_per_step: float | Schedule | None = None,
    ) -> inspect.Summary:
        """Return the values at the start, the peak and the end; print it for one sentence.

        Args:
            steps: number of steps to evaluate, or the length of the run; None: the schedule's
                length.
            steps_per_epoch: as in `resolve`; so are the others.
            samples_per_step: samples in one update, or a schedule.
            tokens_per_step: tokens in one update, or a schedule.

        >>> import lehr
        >>> print(lehr.warmup(0.1, steps=10).then(lehr.linear(0.1, 0.0, steps=90)).summary())
        100 steps: 0 at the start, peak 0.1 at step 10, lowest 0, 0.00111111 at the last step, 0
        after it
        """
        run = make_run(steps, steps_per_epoch, samples_per_step, tokens_per_step)
        return inspect.summarise(*self._in_run(run))

    def lint(
        self,
        steps: Length,
        *,
        steps_per_epoch: float | None = None,
        samples_per_step: float | Schedule | None = None,
        tokens_per_step: float | Schedule | None = None,
    ) -> list[inspect.Finding]:
        """Return what looks wrong in a run, each with what to do about it.

        >>> import lehr
        >>> [finding.name for finding in lehr.cosine(0.1, steps=2000).lint(steps=1000)]
        ['too long']
        """
        run = make_run(steps, steps_per_epoch, samples_per_step, tokens_per_step)
        length = run.end(run.steps)
        resolved = self._resolved(run, Fraction(0), length)
        return inspect.lint(resolved, self, int(length), steps_per_epoch)

    def draw(
        self,
        steps: Length = None,
        *,
        steps_per_epoch: float | None = None,
        samples_per_step: float | Schedule | None = None,
        tokens_per_step: float | Schedule | None = None,
    ) -> str:
        """Return a text drawing for the terminal; arguments as `summary`."""
        run = make_run(steps, steps_per_epoch, samples_per_step, tokens_per_step)
        schedule, length = self._in_run(run)
        return inspect.text_drawing(schedule, inspect.summarise(schedule, length).steps)

    def plot(
        self,
        steps: Length = None,
        *,
        steps_per_epoch: float | None = None,
        samples_per_step: float | Schedule | None = None,
        tokens_per_step: float | Schedule | None = None,
        **others: Schedule | float,
    ) -> Figure:
        """Return a figure of this schedule and others.

        Args:
            steps: as in `summary`; so are the next three.
            steps_per_epoch: updates in an epoch.
            samples_per_step: samples in one update, or a schedule.
            tokens_per_step: tokens in one update, or a schedule.
            **others: schedules to draw too, by name.
        """
        from lehr import figures

        run = make_run(steps, steps_per_epoch, samples_per_step, tokens_per_step)
        schedule, length = self._in_run(run)
        drawn = {"schedule" if others else "": schedule}
        for name, other in others.items():
            drawn[name] = as_schedule(name, other)._in_run(run)[0]
        return figures.draw_schedules(drawn, length)

    def _in_run(self, run: Run) -> tuple[Schedule, int | None]:
        """Return the schedule resolved, and the steps of the run, if they are given."""
        length = None if run.steps is None else int(run.steps)
        return self._resolved(run, Fraction(0), run.steps), length

    def _repr_html_(self) -> str | None:
        """Return a picture for a notebook; None leaves it to ``repr``."""
        text = io.StringIO()
        try:
            self.plot().savefig(text, format="svg")
        except (ImportError, ValueError):  # no matplotlib, or no known end
            return None
        return text.getvalue()


def as_schedule(field: str, value: Any) -> Schedule:
    """Return a schedule for a schedule or a number, or raise."""
    if isinstance(value, Schedule):
        return value
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        fail(field, "a schedule or a number", value, error=TypeError)
    return shapes.Constant(number(field, value))


def _exact_steps(run: Run, field: str, length: Length) -> Length:
    if length is None:
        return None
    steps = run.distance(field, length)
    return int(steps) if steps.denominator == 1 else str(Amount(steps, "steps"))


# made from the class above, needed by its methods
from lehr.schedule import shapes  # noqa: E402, I001
from lehr.schedule import chain, clock, combine, inspect, repeat  # noqa: E402
