"""Base class of schedules: frozen values that are functions of the training step."""

from __future__ import annotations

import dataclasses
import io
import math
import numbers
from abc import ABC, abstractmethod
from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from lehr.schedule import scalar
from lehr.schedule.code import PRIMARY, Code
from lehr.schedule.codec import Definition
from lehr.schedule.errors import fail, number, ordered
from lehr.schedule.length import Amount, Extent, Length, nearest
from lehr.schedule.run import Run, make_run
from lehr.schedule.steps import END, array_of_steps

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Combinator = TypeVar("Combinator", bound="Schedule")
MOST_LEVELS = 64  # repr, == and deepcopy of deeper trees would reach Python's recursion limit
_MOST_NODES = 100_000  # a tree whose parts are shared may have any number of nodes
_FINE = 2**30  # run length for which `at_fraction` resolves a schedule of shares


class Schedule(Definition, ABC):
    """A hyperparameter as a function of the training step.

    Called with a step (0-based count of optimizer updates), a schedule returns a float; called
    with an array or tensor of steps (NumPy, JAX, PyTorch, TensorFlow, traced or not), it returns
    an array of the same type. Schedules are frozen values: they can be compared, printed and
    saved as JSON.

    >>> import lehr
    >>> s = lehr.warmup(0.1, 4).then(lehr.cosine(0.1, 8))
    >>> [round(s(t), 3) for t in (0, 2, 4, 8, 12, 100)]
    [0.0, 0.05, 0.1, 0.05, 0.0, 0.0]
    >>> s
    warmup(0.1, 4).then(cosine(0.1, 8))
    """

    __array_ufunc__ = None  # NumPy scalars defer operators to the schedule

    LENGTHS: ClassVar[tuple[str, ...]] = ()
    """Names of the fields that are lengths."""

    length: Extent
    """Integer steps, `ENDLESS`, `REST` or `UNKNOWN`; derived, not part of equality or JSON."""

    resolved: bool
    """Whether every length in the tree is a number of steps."""

    _levels: int
    _nodes: int

    @abstractmethod
    def at(self, t: Any, xp: Any) -> Any:
        """Return the value at step ``t``; ``xp`` is the module with ``where, exp ...`` for it."""

    @abstractmethod
    def _resolve(self, run: Run, first: Fraction, last: Fraction | None) -> Schedule:
        """Return the schedule in integer steps, starting at the exact position ``first``.

        An omitted length extends to the position ``last``; None if it is unknown.
        """

    def _resolved(self, run: Run, first: Fraction, last: Fraction | None) -> Schedule:
        """Resolve the schedule; at an integer position a resolved one is returned unchanged."""
        same = self.resolved and first.denominator == 1
        return self if same else self._resolve(run, first, last)

    def _move(self, run: Run, start: Fraction, *, backward: bool = False) -> Fraction:
        """Return the exact end of a part of known length (its start if ``backward``)."""
        (field,) = self.LENGTHS
        return run.move(field, getattr(self, field), start, backward=backward)

    def _derive(self, **constants: Any) -> None:
        """Set checked or derived fields, and measure the tree once its parts are known."""
        super()._derive(**constants)
        if "resolved" in constants:
            parts = self._parts()
            super()._derive(
                _levels=1 + max((part._levels for part in parts), default=0),
                _nodes=1 + sum(part._nodes for part in parts),
            )
            if self._levels > MOST_LEVELS:
                fail("schedule", f"nested at most {MOST_LEVELS} levels deep", self._levels)
            if self._nodes > _MOST_NODES:
                fail("schedule", f"composed of at most {_MOST_NODES} schedules", self._nodes)

    def _next_joint(self, t: int) -> int | None:
        """Return the first step after ``t`` at which the formula changes, or None.

        Step 0 and the length are joints.
        """
        if t < 0:
            return 0
        return self.length if isinstance(self.length, int) and t < self.length else None

    def _previous_joint(self, t: int) -> int | None:
        """Return the last step before ``t`` at which the formula changes, or None."""
        if isinstance(self.length, int) and t > self.length:
            return self.length
        return 0 if t > 0 else None

    def _joints(self, last: int) -> Iterator[int]:
        """Yield the steps up to ``last`` at which the formula changes; there may be billions."""
        joint = self._next_joint(-1)
        while joint is not None and joint <= last:
            yield joint
            joint = self._next_joint(joint)

    def _bounds(self, first: int, last: int) -> tuple[float, float]:
        """Return bounds on the values at steps ``first`` to ``last``; exact for a single step.

        The number of operations does not depend on the number of steps. This method is for
        monotone formulas.
        """
        return ordered_pair(self.at(first, scalar), self.at(last, scalar))

    def _parts(self) -> tuple[Schedule, ...]:
        """Return the child schedules."""
        return ()

    def _all_lengths(self) -> Iterator[Any]:
        """Yield every length in the tree."""
        for name in self.LENGTHS:
            value = getattr(self, name)
            yield from value if isinstance(value, tuple) else (value,)
        for part in self._parts():
            yield from part._all_lengths()

    def _continued(self, value: float) -> Schedule:
        """Return the schedule with ``value`` as its start, if the start is None."""
        return self

    def _code(self) -> Code:
        """Return the code of the schedule and its operator precedence; see `code`."""
        return super().__repr__(), PRIMARY

    def __repr__(self) -> str:
        """Return the Python code that constructs the schedule, without defaults."""
        return self._code()[0]

    def __reduce__(self) -> tuple[Any, ...]:  # derived fields may contain functions
        fields = dataclasses.fields(self)  # type: ignore[arg-type]
        return type(self), tuple(getattr(self, f.name) for f in fields if f.init)

    def _exact(self, run: Run) -> Schedule:
        """Return the tree with every length in real steps, before rounding."""
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
        """Return the value at a step, or the values at an array of steps.

        Narrow integer types are widened. In frameworks, values are checked where they are known at
        no cost: outside traced functions, on a CPU.

        Raises:
            ValueError: if a step is negative or not an integer, or the schedule is not resolved.
            TypeError: if the step is not a number or an array, or its type cannot represent steps
                (float16, bfloat16, bool).
        """
        if step is None:  # a Keras optimizer calls an unknown callable without arguments
            rule = "an integer or an array of them"
            fix = "for a Keras optimizer use lehr.keras.schedule(...) or lehr.keras.attach(...)"
            fail("step", rule, None, fix, TypeError)
        if not self.resolved:
            fix = "call .resolve(steps=..., steps_per_epoch=...)"
            fail("schedule", "in integer steps before it is used", self, fix)
        if type(step) is int:
            if 0 <= step < END:
                return self.at(step, scalar)
            fail("step", "at least 0" if step < 0 else "below 2**63", step)
        return self._on_array(step)

    def _on_array(self, step: Any) -> Any:
        if type(step).__module__.startswith("keras."):  # a Keras variable wraps an array
            step = step.value
        xp = scalar.namespace(step)
        if xp is None:
            if isinstance(step, bool) or not isinstance(step, numbers.Real):
                fail("step", "an integer or an array of them", step, error=TypeError)
            if not math.isfinite(step) or not float(step).is_integer():
                fail("step", "an integer", step)
            return self(int(float(step)))
        return self.at(array_of_steps(step, xp), xp)

    def resolve(
        self,
        steps: Length = None,
        *,
        steps_per_epoch: float | None = None,
        samples_per_step: float | Schedule | None = None,
        tokens_per_step: float | Schedule | None = None,
    ) -> Schedule:
        """Return the schedule with every length in integer steps of one run.

        The end positions of the parts are rounded to steps, so the rounded lengths add up to the
        run exactly.

        Args:
            steps: length of the run: optimizer updates, "90 epochs" or "2T tokens"; required for
                shares and the rest of the run.
            steps_per_epoch: optimizer updates in an epoch, a real number; required for epochs.
            samples_per_step: samples in one update, or a schedule (a batch-size ramp); required
                for lengths in samples.
            tokens_per_step: tokens in one update, or a schedule; required for lengths in tokens.

        Raises:
            ValueError: if a required size is missing, or the parts do not fit in the run.

        >>> import lehr
        >>> lehr.warmup(0.1, "10%").then(lehr.cosine(0.1)).resolve(1000).length
        1000
        >>> lehr.cosine(0.1).resolve("2T tokens", tokens_per_step=2**22).length
        476837
        """
        run = make_run(steps, steps_per_epoch, samples_per_step, tokens_per_step)
        return self._resolved(run, Fraction(0), run.steps)

    def at_fraction(self, fraction: float) -> float:
        """Return the value at a fraction of the run, for loops that measure time or progress.

        A schedule whose lengths are shares or the rest of the run need not be resolved. For a
        resolved schedule, the fraction refers to its length and is rounded to the nearest step.

        Args:
            fraction: from 0 (start of the run) to 1 (its end).

        Raises:
            ValueError: if the schedule has other lengths and is not resolved, or is endless.

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
            fail("schedule", "finite, or in shares of the run", self, fix)
        return schedule(nearest(Fraction(fraction) * length))  # type: ignore[no-any-return]

    def then(self, other: Schedule) -> Schedule:
        """Chain this schedule with another, whose step 0 is the end of this one.

        A part with an omitted length takes the rest of the run, in any position; so does a
        constant or another endless part that is followed by a part.

        Args:
            other: next part, a schedule or a number.

        Raises:
            ValueError: if two parts of the chain have an open length.

        >>> import lehr
        >>> s = lehr.warmup(0.1, 100).then(lehr.constant(0.1)).then(lehr.linear(0.1, 0.0, "20%"))
        >>> s.resolve(1000)
        warmup(0.1, 100).then(constant(0.1, 700)).then(linear(0.1, 0.0, 200))
        """
        return self._with(chain.Chain, "other", other)

    def then_to(self, end: float, steps: Length = None, *, curve: str = "linear") -> Schedule:
        """Chain this schedule with a curve from its final value to ``end``.

        Args:
            end: value at the end of the curve.
            steps: length of the curve; None takes the rest of the run.
            curve: "linear", "cosine", "geometric" or the name of another curve.

        >>> import lehr
        >>> lehr.linear(1.0, 0.0, 100).take(50).then_to(0.2, 10)
        linear(1.0, 0.0, 100).take(50).then(linear(0.5, 0.2, 10))
        """
        return self.then(shapes.segment(None, end, steps, curve))

    def with_end(self) -> Schedule:
        """Append one step with the end value of this schedule.

        >>> import lehr
        >>> [lehr.linear(1.0, 0.0, 2).with_end().then(lehr.constant(5.0))(t) for t in range(4)]
        [1.0, 0.5, 0.0, 5.0]
        """
        return self.then(clock.Take(shapes.Constant(None), 1))

    def repeat(self, times: int | None = None) -> repeat.Repeat:
        """Repeat this schedule ``times`` times, then hold its final value.

        Args:
            times: number of cycles, at least 1; None repeats without end.

        >>> import lehr
        >>> [lehr.linear(1.0, 0.0, 2).repeat(2)(t) for t in range(6)]
        [1.0, 0.5, 1.0, 0.5, 0.0, 0.0]
        """
        return repeat.Repeat(self, times)

    def take(self, steps: Length) -> clock.Take:
        """Cut this schedule after ``steps`` steps and hold the value of that step.

        Args:
            steps: a length; None takes the rest of the run.

        >>> import lehr
        >>> [lehr.linear(1.0, 0.0, 4).take(2)(t) for t in range(4)]
        [1.0, 0.75, 0.5, 0.5]
        """
        return clock.Take(self, steps)

    def shift(self, steps: Length) -> clock.Shift:
        """Delay this schedule by ``steps``, holding its first value until then.

        Args:
            steps: a length; a negative length moves the schedule earlier and drops its beginning.

        >>> import lehr
        >>> [lehr.linear(1.0, 0.0, 2).shift(1)(t) for t in range(4)]
        [1.0, 1.0, 0.5, 0.0]
        """
        return clock.Shift(self, steps)

    def every(self, steps: float | str) -> clock.Every:
        """Advance this schedule by one tick every ``steps`` steps, and hold its value in between.

        In this schedule, integer lengths count ticks and an omitted length is the number of ticks
        in the run.

        Args:
            steps: a length or a real number of steps, at least 1.

        >>> import lehr
        >>> [lehr.linear(1.0, 0.0, 2).every(2)(t) for t in range(5)]
        [1.0, 1.0, 0.5, 0.5, 0.0]
        """
        return clock.Every(self, steps)

    def reverse(self) -> Schedule:
        """Reverse this schedule in time: from its end value to its value at step 0.

        Raises:
            ValueError: if the schedule is endless.

        >>> import lehr
        >>> [lehr.linear(1.0, 0.0, 2).reverse()(t) for t in range(4)]
        [0.0, 0.5, 1.0, 1.0]
        """
        return clock.Reverse(self)

    def clip(
        self, floor: float | Schedule | None = None, ceiling: float | Schedule | None = None
    ) -> Schedule:
        """Clip this schedule to ``[floor, ceiling]``.

        Args:
            floor: lower bound, a number or a schedule; None for no bound.
            ceiling: upper bound, a number or a schedule; None for no bound.

        Raises:
            ValueError: if both bounds are numbers and the floor is above the ceiling.

        >>> import lehr
        >>> [lehr.linear(1.0, 0.0, 4).clip(0.25, 0.75)(t) for t in range(5)]
        [0.75, 0.75, 0.5, 0.25, 0.25]
        """
        if isinstance(floor, int | float) and isinstance(ceiling, int | float):
            ordered("floor", number("floor", floor), "ceiling", number("ceiling", ceiling))
        result: Schedule = self
        if ceiling is not None:
            result = result._with(combine.Min, "ceiling", ceiling)
        if floor is not None:
            result = result._with(combine.Max, "floor", floor)
        return result

    def minimum(self, other: float | Schedule) -> Schedule:
        """Return the minimum of this schedule and another (or a number) at each step.

        >>> import lehr
        >>> [lehr.linear(1.0, 0.0, 4).minimum(0.5)(t) for t in range(4)]
        [0.5, 0.5, 0.5, 0.25]
        """
        return self._with(combine.Min, "other", other)

    def maximum(self, other: float | Schedule) -> Schedule:
        """Return the maximum of this schedule and another (or a number) at each step.

        >>> import lehr
        >>> [lehr.linear(1.0, 0.0, 4).maximum(0.5)(t) for t in range(4)]
        [1.0, 0.75, 0.5, 0.5]
        """
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
        """Combine this schedule with another one."""
        return combinator((self, as_schedule(field, other)))  # type: ignore[call-arg]

    def summary(
        self,
        steps: Length = None,
        *,
        steps_per_epoch: float | None = None,
        samples_per_step: float | Schedule | None = None,
        tokens_per_step: float | Schedule | None = None,
    ) -> inspect.Summary:
        """Summarise the values at the start, the peak and the end; ``str`` returns one sentence.

        Args:
            steps: number of steps to evaluate, or the length of the run; None: the length of the
                schedule.
            steps_per_epoch: updates in an epoch; see `resolve`.
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
        """Check the schedule for common mistakes in a run; each finding has a suggested fix.

        Args:
            steps: length of the run.
            steps_per_epoch: updates in an epoch; see `resolve`.
            samples_per_step: samples in one update, or a schedule.
            tokens_per_step: tokens in one update, or a schedule.

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
        """Draw the schedule with block characters for the terminal; arguments as in `summary`.

        >>> import lehr
        >>> print(lehr.linear(1.0, 0.0, 100).draw().splitlines()[-1])
          └0────────────────────────────────────────────────────────────100
        """
        run = make_run(steps, steps_per_epoch, samples_per_step, tokens_per_step)
        schedule, length = self._in_run(run)
        return inspect.text_drawing(schedule, inspect.steps_of(schedule, length))

    def plot(
        self,
        steps: Length = None,
        *,
        steps_per_epoch: float | None = None,
        samples_per_step: float | Schedule | None = None,
        tokens_per_step: float | Schedule | None = None,
        **others: Schedule | float,
    ) -> Figure:
        """Plot this schedule, and others for comparison, as a matplotlib figure.

        Args:
            steps: number of steps to draw, or the length of the run; None: the length of the
                schedule.
            steps_per_epoch: updates in an epoch; see `resolve`.
            samples_per_step: samples in one update, or a schedule.
            tokens_per_step: tokens in one update, or a schedule.
            **others: further schedules or numbers to draw, by name.

        >>> import lehr
        >>> figure = lehr.linear(1.0, 0.0, 100).plot(half=0.5)
        """
        from lehr import figures

        run = make_run(steps, steps_per_epoch, samples_per_step, tokens_per_step)
        schedule, length = self._in_run(run)
        drawn = {"schedule" if others else "": schedule}
        for name, other in others.items():
            drawn[name] = as_schedule(name, other)._in_run(run)[0]
        return figures.draw_schedules(drawn, length)

    def _in_run(self, run: Run) -> tuple[Schedule, int | None]:
        """Return the resolved schedule, and the steps of the run or None."""
        length = None if run.steps is None else int(run.steps)
        return self._resolved(run, Fraction(0), run.steps), length

    def _repr_html_(self) -> str | None:
        """Return an SVG image for a notebook; None makes the notebook use ``repr``."""
        text = io.StringIO()
        try:
            self.plot().savefig(text, format="svg")
        except (ImportError, ValueError):  # matplotlib is not installed, or the length is unknown
            return None
        return text.getvalue()


def ordered_pair(*values: float) -> tuple[float, float]:
    """Return the smallest and the largest value; any NaN makes both NaN."""
    if any(value != value for value in values):
        return math.nan, math.nan
    return min(values), max(values)


def as_schedule(field: str, value: Any) -> Schedule:
    """Return a schedule; a number becomes a constant schedule. Raise for other types."""
    if isinstance(value, Schedule):
        return value
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        fix = "pass the policy's .lr" if getattr(value, "kind", None) == "policy" else ""
        fail(field, "a schedule or a number", value, fix, TypeError)
    return shapes.Constant(number(field, value))


def _exact_steps(run: Run, field: str, length: Length) -> Length:
    if length is None:
        return None
    steps = run.distance(field, length)
    return int(steps) if steps.denominator == 1 else str(Amount(steps, "steps"))


# these modules import the class above, and its methods use them
from lehr.schedule import shapes  # noqa: E402, I001
from lehr.schedule import chain, clock, combine, inspect, repeat  # noqa: E402
