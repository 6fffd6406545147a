"""The schedule: a frozen value that is a function of the step."""

from __future__ import annotations

import io
import numbers
from abc import ABC, abstractmethod
from fractions import Fraction
from typing import TYPE_CHECKING, Any, TypeVar

from lehr.schedule import scalar
from lehr.schedule.codec import Definition
from lehr.schedule.errors import fail, number, ordered, whole, whole_steps
from lehr.schedule.length import Extent, Length, Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Combinator = TypeVar("Combinator", bound="Schedule")


class Schedule(Definition, ABC):
    """How a hyperparameter moves over a run: a function of the step.

    Called with a step (0-based count of optimizer updates) it returns a float; called with an
    array or tensor of steps (NumPy, JAX, PyTorch, TensorFlow, traced or not) it returns the same
    kind of array. Schedules are frozen values: they compare, print and are saved as JSON.

    >>> import lehr
    >>> s = lehr.warmup(0.1, steps=4).then(lehr.cosine(0.1, steps=8))
    >>> [round(s(t), 3) for t in (0, 2, 4, 8, 12, 100)]
    [0.0, 0.05, 0.1, 0.05, 0.0, 0.0]
    """

    __array_ufunc__ = None  # numpy numbers leave `*` and `+` to the schedule

    length: Extent
    """Whole steps, `ENDLESS`, `REST` or `UNKNOWN`; derived, no part of equality or JSON."""

    resolved: bool
    """Whether every length in the tree is whole steps."""

    @abstractmethod
    def at(self, t: Any, xp: Any) -> Any:
        """Return the value at step ``t``; ``xp`` spells where, cos, exp ... for its type."""

    @abstractmethod
    def _resolve(self, run: Run, first: Fraction) -> tuple[Schedule, Fraction | float]:
        """Return the schedule in whole steps, begun at ``first``, and its exact end."""

    def __call__(self, step: Any) -> Any:
        """Return the value at a step, or the values at an array of steps."""
        if not self.resolved:
            way_out = "call .resolve(steps=..., steps_per_epoch=...)"
            fail("schedule", "in whole steps before it is used", self, way_out)
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
                fail("step", "a whole number or an array of them", step, error=TypeError)
            if not float(step).is_integer():
                fail("step", "a whole number", step)
            return self(int(float(step)))
        return self.at(whole_steps(step, xp) if xp.__name__ == "numpy" else step, xp)

    def resolve(
        self,
        steps: int | None = None,
        *,
        steps_per_epoch: int | None = None,
        samples_per_step: int | None = None,
        tokens_per_step: int | None = None,
    ) -> Schedule:
        """Return the schedule with every length in whole steps of one run.

        The ends of the parts, not their lengths, are rounded to whole steps, so the parts add up
        to the run exactly.

        Args:
            steps: optimizer updates in the whole run; needed for shares and the rest of the run.
            steps_per_epoch: optimizer updates in an epoch; needed for lengths in epochs.
            samples_per_step: samples in one update; needed for lengths in samples.
            tokens_per_step: tokens in one update; needed for lengths in tokens.

        Raises:
            ValueError: if a length needs what was not given, or a part has no step in this run.

        >>> import lehr
        >>> lehr.warmup(0.1, "10%").then(lehr.cosine(0.1)).resolve(steps=1000).length
        1000
        """
        run = Run(steps, steps_per_epoch, samples_per_step, tokens_per_step)
        return self if self.resolved else self._resolve(run, Fraction(0))[0]

    def then(self, other: Schedule) -> combine.Chain:
        """Return this schedule followed by another, whose clock starts where this one ends."""
        return self._with(combine.Chain, "other", other)

    def repeat(self, times: int | None = None) -> combine.Repeat:
        """Return this schedule over and over (or ``times`` times, then its last value)."""
        return combine.Repeat(self, times)

    def take(self, steps: Length) -> clock.Take:
        """Return the first ``steps`` steps of this schedule, whose value there then holds."""
        return clock.Take(self, steps)

    def shift(self, steps: int) -> clock.Shift:
        """Return this schedule ``steps`` later (its first value holds until then), or earlier."""
        return clock.Shift(self, steps)

    def every(self, steps: Length, ticks: int = 1) -> clock.Every:
        """Return this schedule with a clock that ticks once (``ticks`` times) every ``steps``."""
        return clock.Every(self, steps, ticks)

    def reverse(self) -> Schedule:
        """Return this schedule backwards."""
        return clock.Reverse(self)

    def stretch(self, steps: int) -> Schedule:
        """Return this schedule with its time scaled so that it takes ``steps`` steps.

        The ends of the parts are rounded to whole steps.

        >>> import lehr
        >>> s = lehr.warmup(1.0, steps=2).then(lehr.linear(1.0, 0.0, steps=8)).stretch(1000)
        >>> s.length, s(200), s(600)
        (1000, 1.0, 0.5)
        """
        whole("steps", steps, unit="steps")
        if not self.resolved or not isinstance(self.length, int):
            fail("schedule", "one of known length to be stretched", self)
        factor = Fraction(steps, self.length)
        stretched, _ = self._resolve(Run(stretch=factor), Fraction(0))
        return stretched if stretched.length == steps else stretched.take(steps)

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

    def minimum(self, other: float | Schedule) -> combine.Min:
        """Return the smaller of two schedules at each step."""
        return self._with(combine.Min, "other", other)

    def maximum(self, other: float | Schedule) -> combine.Max:
        """Return the larger of two schedules at each step."""
        return self._with(combine.Max, "other", other)

    def __mul__(self, other: float | Schedule) -> combine.Product:
        """Return the product at each step."""
        return self._with(combine.Product, "factor", other)

    def __add__(self, other: float | Schedule) -> combine.Sum:
        """Return the sum at each step."""
        return self._with(combine.Sum, "term", other)

    __rmul__ = __mul__
    __radd__ = __add__

    def _with(self, combinator: type[Combinator], field: str, other: Any) -> Combinator:
        """Return a combination with another schedule; parts of the same kind need no brackets."""
        parts: list[Schedule] = []
        for schedule in (self, as_schedule(field, other)):
            parts += schedule.parts if type(schedule) is combinator else [schedule]  # type: ignore[attr-defined]
        return combinator(parts)  # type: ignore[call-arg]

    def summary(self, steps: int | None = None) -> inspect.Summary:
        """Return the values at the start, the peak and the end; print it.

        >>> import lehr
        >>> print(lehr.warmup(0.1, steps=10).then(lehr.linear(0.1, 0.0, steps=90)).summary())
        100 steps: 0 at the start, peak 0.1 at step 10, lowest 0, 0.00111111 at the last step, 0
        after it
        """
        return inspect.summarise(self, steps)

    def lint(self, steps: int, *, steps_per_epoch: int | None = None) -> list[inspect.Finding]:
        """Return what looks wrong in a run of ``steps`` steps, each with what to do about it.

        >>> import lehr
        >>> [finding.name for finding in lehr.cosine(0.1, steps=2000).lint(steps=1000)]
        ['too long']
        """
        resolved = self.resolve(steps, steps_per_epoch=steps_per_epoch)
        return inspect.lint(resolved, steps, steps_per_epoch)

    def draw(self, steps: int | None = None) -> str:
        """Return a drawing for the terminal, over the length or over ``steps`` steps."""
        return inspect.text_drawing(self, inspect.summarise(self, steps).steps)

    def plot(self, steps: int | None = None, **others: Schedule) -> Figure:
        """Return a figure over the length or ``steps`` steps, with other schedules by name."""
        from lehr import figures

        return figures.draw_schedules({"schedule" if others else "": self} | others, steps)

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


# made from the class above, needed by its methods
from lehr.schedule import clock, combine, inspect, shapes  # noqa: E402
