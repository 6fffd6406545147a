"""Policies: one schedule per hyperparameter, and at most one controller."""

from __future__ import annotations

import contextlib
import math
import numbers
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any, TypeVar

from lehr.controllers import Controller
from lehr.schedule import Constant, Schedule, inspect
from lehr.schedule.base import as_schedule
from lehr.schedule.chain import Chain
from lehr.schedule.code import SUM, call, operand
from lehr.schedule.codec import Definition
from lehr.schedule.codec import (
    loads as loads,
)  # imported here because this module registers all kinds
from lehr.schedule.errors import fail, number, ordered
from lehr.schedule.frozen import FrozenDict
from lehr.schedule.length import (
    ENDLESS,
    REST,
    UNKNOWN,
    Amount,
    Extent,
    Length,
    check_length,
    nearest,
    parse,
    scale_length,
    typed,
)
from lehr.schedule.run import Run, make_run, sizes_for
from lehr.schedule.shapes import Segment, segment

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Target = Schedule | dict[str, Schedule]
_G = TypeVar("_G", bound=str | int)  # names or indices of parameter groups
_H = TypeVar("_H", bound=str | int)
_K = TypeVar("_K", bound=str | int)
Given = Schedule | float | Mapping[_G, Schedule | float]
HYPERPARAMETERS = ("lr", "momentum", "weight_decay")
_BETA1, _BETA2 = "momentum=, which is beta1 in Adam", "extra={'beta2': ...}"
_PORTABLE = {  # name in a framework: portable argument
    "learning_rate": "lr=",
    **dict.fromkeys(("b1", "beta1", "beta_1"), _BETA1),
    **dict.fromkeys(("b2", "beta_2"), _BETA2),
    "betas": f"{_BETA1}, and {_BETA2}",
    "epsilon": "extra={'eps': ...}",
}
_RATE_FINDINGS = {"too short", "always zero"}  # reported for learning rates only
_OPTIMIZER_FINDINGS = {"negative", "jump at a joint"}  # not reported for the loop's values


@dataclass(frozen=True)
class PolicySummary:
    """Summary of each schedule of a policy; ``str`` returns one line per schedule.

    Attributes:
        steps: number of steps that were evaluated.
        schedules: the summary of each schedule: "lr", "lr/head" for a parameter group.
    """

    steps: int
    schedules: dict[str, inspect.Summary]

    def __str__(self) -> str:
        """Return one line per schedule."""
        return "\n".join(f"{name}: {_line(s)}" for name, s in self.schedules.items())


@dataclass(frozen=True, eq=True, repr=False)
class Policy(Definition, kind="policy"):
    """Schedules for the learning rate and other hyperparameters, and at most one controller.

    Args:
        lr: learning rate: a schedule or a number; or one per parameter group, by name or index:
            ``{"head": s, "body": t}``, ``{0: s, 1: t}``.
        momentum: momentum, or beta1 of Adam, in the same forms; None leaves it unchanged.
        weight_decay: weight decay, in the same forms; None leaves it unchanged.
        extra: further hyperparameters in the same forms, by name. "beta2" and "eps" work in every
            framework; any other name must be the framework's name: ``{"dampening": s}``.
        values: schedules or numbers that the training loop reads, by name:
            ``{"ema_decay": s, "clip_norm": 1.0}``. They are not written to the optimizer; the
            driver's ``.values()`` returns them at each update.
        control: a controller (`Plateau`, `Greedy`) whose factor multiplies the learning rate.

    Attributes:
        targets: the schedules of the optimizer's hyperparameters, by name.

    Raises:
        TypeError: if a value is not a schedule, a number or a dict of them, or ``control`` is not
            a controller.
        ValueError: if a value is negative, a momentum or beta2 is not below 1, or a name in
            ``extra`` has a portable name in lehr.

    >>> import lehr
    >>> p = lehr.Policy(lehr.cosine(0.1, steps=100), momentum=0.9)
    >>> p
    Policy(cosine(0.1, 100), momentum=0.9)
    >>> p(0)
    {'lr': 0.1, 'momentum': 0.9}
    """

    lr: Target
    _: KW_ONLY
    momentum: Target | None = None
    weight_decay: Target | None = None
    extra: dict[str, Target] | None = None
    values: dict[str, Schedule] | None = None
    control: Controller | None = None
    targets: dict[str, Target] = field(init=False, repr=False, compare=False)

    if TYPE_CHECKING:  # numbers are converted to constant schedules

        def __init__(
            self,
            lr: Given[_G],
            *,
            momentum: Given[_H] | None = None,
            weight_decay: Given[_K] | None = None,
            extra: Mapping[str, Given[Any]] | None = None,
            values: Mapping[str, Schedule | float] | None = None,
            control: Controller | None = None,
        ) -> None: ...

    def __post_init__(self) -> None:
        given = {name: getattr(self, name) for name in HYPERPARAMETERS}
        targets = {n: _target(n, v) for n, v in given.items() if v is not None or n == "lr"}
        control: Any = self.control
        if not isinstance(control, Controller | None):
            rule = "a controller, Plateau() or Greedy(), or None"
            fail("control", rule, control, error=TypeError)
        extra = _extra(self.extra)
        values = _values(self.values, targets | (extra or {}))
        fields = given | targets | {"extra": extra, "values": values}
        self._derive(**fields, targets=FrozenDict(targets | (extra or {})))

    def __repr__(self) -> str:
        """Return the Python code that constructs the policy, without defaults."""
        if code := _one_cycle_code(self):
            return code
        names = ("momentum", "weight_decay", "extra", "values", "control")
        given = {name: (_Text(getattr(self, name)), None) for name in names}
        keywords = {n: text for n, text in given.items() if getattr(self, n) is not None}
        return call("Policy", _Text(self.lr), **keywords)[0]

    @property
    def resolved(self) -> bool:
        """Whether every length is an integer number of steps."""
        return all(s.resolved for target in self._all().values() for s in _schedules(target))

    @property
    def length(self) -> Extent:
        """Length of the longest schedule that is not constant; values as in `Schedule.length`.

        >>> import lehr
        >>> lehr.Policy(lr=lehr.cosine(0.1, 100), momentum=0.9).length
        100
        """
        schedules = flat(self._all()).values()
        lengths = {s.length for s in schedules if not isinstance(s, Constant)}
        for unknown in (ENDLESS, UNKNOWN, REST):
            if unknown in lengths:
                return unknown
        return max((n for n in lengths if isinstance(n, int)), default=ENDLESS)

    def resolve(
        self,
        steps: Length = None,
        *,
        steps_per_epoch: float | None = None,
        samples_per_step: float | Schedule | None = None,
        tokens_per_step: float | Schedule | None = None,
    ) -> Policy:
        """Return the policy with every length in integer steps of one run.

        Args:
            steps: length of the run.
            steps_per_epoch: updates in an epoch; see `Schedule.resolve`.
            samples_per_step: samples in one update, or a schedule.
            tokens_per_step: tokens in one update, or a schedule.

        Raises:
            ValueError: if a required size is missing, or the parts do not fit in the run; the
                error names the hyperparameter.

        >>> import lehr
        >>> p = lehr.Policy(lr=lehr.warmup(0.1, "4M tokens"), values={"ema_decay": 0.99})
        >>> p.resolve(tokens_per_step=2e6).lr
        warmup(0.1, 2)
        """
        return self._in(make_run(steps, steps_per_epoch, samples_per_step, tokens_per_step))

    def summary(
        self,
        steps: Length = None,
        *,
        steps_per_epoch: float | None = None,
        samples_per_step: float | Schedule | None = None,
        tokens_per_step: float | Schedule | None = None,
    ) -> PolicySummary:
        """Summarise each schedule in a run; ``str`` returns one line per schedule.

        Args:
            steps: number of steps to evaluate, or the length of the run; None: the policy's length.
            steps_per_epoch: updates in an epoch; see `Schedule.resolve`.
            samples_per_step: samples in one update, or a schedule.
            tokens_per_step: tokens in one update, or a schedule.

        >>> import lehr
        >>> print(lehr.Policy(lehr.linear(0.1, 0.0), momentum=0.9).summary("2 epochs",
        ...     steps_per_epoch=50))
        lr: 100 steps: 0.1 at the start, peak 0.1 at step 0, lowest 0.001, 0.001 at the last step,
        0 after it
        momentum: 0.9 at every step
        """
        run = make_run(steps, steps_per_epoch, samples_per_step, tokens_per_step)
        policy, length = self._in_run(run)
        schedules = flat(policy._all()).items()
        return PolicySummary(length, {n: inspect.summarise(s, length) for n, s in schedules})

    def lint(
        self,
        steps: Length,
        *,
        steps_per_epoch: float | None = None,
        samples_per_step: float | Schedule | None = None,
        tokens_per_step: float | Schedule | None = None,
    ) -> list[inspect.Finding]:
        """Check each schedule for common mistakes in a run.

        Each finding has the name of the schedule, the kind of mistake and a suggested fix.

        Args:
            steps: length of the run.
            steps_per_epoch: updates in an epoch; see `Schedule.resolve`.
            samples_per_step: samples in one update, or a schedule.
            tokens_per_step: tokens in one update, or a schedule.

        >>> import lehr
        >>> found = lehr.Policy(lr=lehr.cosine(0.1, 2000), momentum=0.9).lint(1000)
        >>> [(finding.where, finding.name) for finding in found]
        [('lr', 'too long')]
        """
        run = make_run(steps, steps_per_epoch, samples_per_step, tokens_per_step)
        length, resolved = int(run.end(run.steps)), self._in(run)
        found: list[inspect.Finding] = []
        for name, target in self._all().items():
            schedules, originals = flat({name: resolved._all()[name]}), flat({name: target})
            ignored = set() if name == "lr" else _RATE_FINDINGS
            ignored = ignored | _OPTIMIZER_FINDINGS if name in (self.values or {}) else ignored
            for where, schedule in schedules.items():
                some = inspect.lint(schedule, originals[where], length, steps_per_epoch)
                found += [replace(f, where=where) for f in some if f.name not in ignored]
        return found

    def draw(
        self,
        steps: Length = None,
        *,
        steps_per_epoch: float | None = None,
        samples_per_step: float | Schedule | None = None,
        tokens_per_step: float | Schedule | None = None,
    ) -> str:
        """Draw the schedules that are not constant as text; arguments as in `summary`."""
        run = make_run(steps, steps_per_epoch, samples_per_step, tokens_per_step)
        policy, length = self._in_run(run)
        schedules = flat(policy._all())
        varying = {n: s for n, s in schedules.items() if not isinstance(s, Constant)} or schedules
        drawn = {name: inspect.text_drawing(s, length) for name, s in varying.items()}
        return "\n\n".join(f"{name}\n{drawing}" for name, drawing in drawn.items())

    def plot(
        self,
        steps: Length = None,
        *,
        steps_per_epoch: float | None = None,
        samples_per_step: float | Schedule | None = None,
        tokens_per_step: float | Schedule | None = None,
    ) -> Figure:
        """Plot one panel per hyperparameter as a matplotlib figure; arguments as in `summary`."""
        from lehr import figures

        run = make_run(steps, steps_per_epoch, samples_per_step, tokens_per_step)
        return figures.draw_policy(*self._in_run(run))

    def _in(self, run: Run) -> Policy:
        """Return the policy in integer steps of a run."""
        if self.resolved:
            return self
        return self._map(lambda s: s._resolved(run, Fraction(0), run.steps))

    def _in_run(self, run: Run) -> tuple[Policy, int]:
        """Return the policy in integer steps, and the number of steps to evaluate."""
        policy = self._in(run)
        length = policy.length if run.steps is None else int(run.steps)
        if not isinstance(length, int):
            fail("steps", "given for a policy without an end", None, "pass steps=")
        return policy, length

    def _all(self) -> dict[str, Target]:
        """Return the schedules of the optimizer and of the training loop, by name."""
        return self.targets | (self.values or {})

    def _map(self, change: Callable[[Schedule], Schedule]) -> Policy:
        """Apply ``change`` to every schedule; an error names the hyperparameter."""

        def changed(name: str, target: Target) -> Target:
            try:
                if isinstance(target, dict):
                    return {group: change(s) for group, s in target.items()}
                return change(target)
            except ValueError as error:
                raise ValueError(f"in {name}: {error}") from None

        return self._with({name: changed(name, target) for name, target in self._all().items()})

    def _with(self, targets: dict[str, Any], control: Controller | None = None) -> Policy:
        """Return a policy with other schedules and, if given, another controller."""
        values = {n: targets[n] for n in self.values or {}}
        named = {n: target for n, target in targets.items() if n in HYPERPARAMETERS}
        extra = {n: t for n, t in targets.items() if n not in {*named, *values}}
        return Policy(**named, extra=extra, values=values, control=control or self.control)

    def then(self, other: Policy | Schedule | float) -> Policy:
        """Chain this policy with another.

        The other policy starts at the end of the longest schedule of this policy. Hyperparameters
        that are missing in the other policy hold their final values.

        Args:
            other: a policy; a schedule or a number is a learning rate.

        Raises:
            ValueError: if the other policy has a hyperparameter that this policy does not have, or
                a different controller.

        >>> import lehr
        >>> p = lehr.one_cycle(0.1, 90).then(lehr.constant(1e-4, 10))
        >>> p(95)
        {'lr': 0.0001, 'momentum': 0.95}
        """
        after = as_policy(other, "other")
        new = sorted(after._all().keys() - self._all().keys())
        if new:
            fail("other", f"a policy of {', '.join(self._all())}", new, "give them in both")
        if after.control not in (None, self.control):
            fail("other", "a policy without another controller", after.control)

        length = self.length

        def follow(schedule: Schedule, later: Schedule) -> Schedule:
            if isinstance(length, int) and schedule.length != length:
                schedule = schedule.take(length)
            return schedule.then(later)

        def chained(name: str, target: Target) -> Target:
            later = after._all().get(name)
            if later is None:
                return target
            if not isinstance(target, dict) and not isinstance(later, dict):
                return follow(target, later)
            groups = target if isinstance(target, dict) else dict.fromkeys(later, target)  # type: ignore[arg-type]
            laters = later if isinstance(later, dict) else dict.fromkeys(groups, later)
            if groups.keys() != laters.keys():
                fail(name, f"given for the groups {list(groups)} in both policies", list(laters))
            return {group: follow(s, laters[group]) for group, s in groups.items()}

        return self._with({name: chained(name, target) for name, target in self._all().items()})

    def __mul__(self, factor: Schedule | float) -> Policy:
        """Multiply the learning rate by a number or a schedule.

        >>> import lehr
        >>> (lehr.Policy(0.1, momentum=0.9) * 0.5)(0)
        {'lr': 0.05, 'momentum': 0.9}
        """
        lr = self.lr
        scaled = {g: s * factor for g, s in lr.items()} if isinstance(lr, dict) else lr * factor
        return self._with(self._all() | {"lr": scaled})

    __rmul__ = __mul__

    def decay_from(
        self, step: Length, steps: Length = None, *, curve: str = "1-sqrt", floor: float = 0.0
    ) -> Policy:
        """Replace the learning rate from ``step`` on by a decay to ``floor``.

        Args:
            step: first step of the decay.
            steps: length of the decay; None takes the rest of the run.
            curve: "1-sqrt", "linear", "cosine", ...
            floor: learning rate at the end of the decay, at least 0.

        Raises:
            ValueError: if the floor is above the learning rate at ``step``.

        >>> import lehr
        >>> trunk = lehr.Policy(lr=lehr.warmup(0.1, steps=10).then(lehr.constant(0.1)))
        >>> p = trunk.decay_from(500, steps=100, curve="linear")
        >>> [p.lr(t) for t in (5, 499, 500, 550, 600)]
        [0.05, 0.1, 0.1, 0.05, 0.0]
        """

        def decay(schedule: Schedule) -> Schedule:
            if schedule.resolved and isinstance(step, int):
                rate = schedule(step)
                ordered(
                    "floor", number("floor", floor, at_least=0), f"the rate at step {step}", rate
                )
            return schedule.take(step).then_to(floor, steps, curve=curve)

        check_length("step", step, missing="the first step of the decay")
        lr = self.lr
        decayed = {n: decay(s) for n, s in lr.items()} if isinstance(lr, dict) else decay(lr)
        return self._with(self._all() | {"lr": decayed})

    def __call__(self, step: Any = None, factor: Any = 1.0) -> dict[str, Any]:
        """Return all values at a step, by name; ``factor`` as in `written`."""
        if step is None:  # a Keras optimizer calls an unknown callable without arguments
            rule = "an integer or an array of them"
            fix = "for a Keras optimizer use lehr.keras.attach(optimizer, policy)"
            fail("step", rule, None, fix, TypeError)
        return self.written(step, factor) | self.read(step)

    def written(self, step: Any, factor: Any = 1.0) -> dict[str, Any]:
        """Return the values of the optimizer's hyperparameters at a step.

        Args:
            step: 0-based count of optimizer updates, or an array of them.
            factor: factor on the learning rate, as in a controller's state.

        >>> import lehr
        >>> lehr.Policy(0.1, momentum=0.9, values={"clip_norm": 1.0}).written(0, factor=0.5)
        {'lr': 0.05, 'momentum': 0.9}
        """
        values: dict[str, Any] = {}
        for name, target in self.targets.items():
            if isinstance(target, dict):
                values[name] = {group: s(step) for group, s in target.items()}
            else:
                values[name] = target(step)
        lr = values["lr"]
        if isinstance(lr, dict):
            values["lr"] = {group: self.rate(value, factor) for group, value in lr.items()}
        else:
            values["lr"] = self.rate(lr, factor)
        return values

    def rate(self, scheduled: Any, factor: Any) -> Any:
        """Return the learning rate for a scheduled rate and a factor.

        The controller computes it; see `Plateau`. Without a controller it is the product.
        """
        return scheduled * factor if self.control is None else self.control.rate(scheduled, factor)

    def read(self, step: Any) -> dict[str, Any]:
        """Return the values at a step that the training loop reads (``values``).

        >>> import lehr
        >>> lehr.Policy(0.1, values={"clip_norm": 1.0}).read(0)
        {'clip_norm': 1.0}
        """
        return {name: s(step) for name, s in (self.values or {}).items()}


def flat(named: Mapping[str, Any]) -> dict[str, Any]:
    """Flatten a dict by parameter group: "lr", or "lr/head" for a group.

    >>> flat({"lr": {"head": 0.1, "body": 0.2}, "momentum": 0.9})
    {'lr/head': 0.1, 'lr/body': 0.2, 'momentum': 0.9}
    """
    found: dict[str, Any] = {}
    for name, value in named.items():
        if isinstance(value, dict):
            found |= {f"{name}/{group}": part for group, part in value.items()}
        else:
            found[name] = value
    return found


def as_policy(value: Any, field: str = "policy") -> Policy:
    """Return a policy; a schedule or a number becomes its learning rate. Raise otherwise."""
    if isinstance(value, Policy):
        return value
    if isinstance(value, bool) or not isinstance(value, Schedule | numbers.Real):
        fail(field, "a policy, a schedule or a number", value, error=TypeError)
    return Policy(lr=as_schedule(field, value))


def resolved_policy(
    value: Any,
    steps: Length = None,
    steps_per_epoch: float | None = None,
    samples_per_step: float | Schedule | None = None,
    tokens_per_step: float | Schedule | None = None,
) -> Policy:
    """Return a policy in integer steps; the error lists the arguments that are missing."""
    policy = as_policy(value)
    run = make_run(steps, steps_per_epoch, samples_per_step, tokens_per_step)
    if not policy.resolved and run == Run():
        targets = policy._all()
        names = [n for n, t in targets.items() if not all(s.resolved for s in _schedules(t))]
        lengths = [x for s in flat(targets).values() for x in s._all_lengths()]
        fix = f"pass {' and '.join(sizes_for(lengths))}, or call .resolve(...)"
        rule = "in integer steps before it drives an optimizer"
        fail("policy", rule, targets[names[0]], fix)
    return policy._in(run)


def one_cycle(
    peak: float,
    steps: Length = None,
    *,
    start: float | None = None,
    end: float = 0.0,
    rise: float = 0.3,
    tail: float = 0.0,
    momentum: tuple[float, float] | None = (0.95, 0.85),
    curve: str = "cosine",
) -> Policy:
    """Construct a one-cycle policy: the learning rate rises to its peak and decays to ``end``.

    Momentum changes in the opposite direction.

    Source: Smith and Topin, arXiv 1708.07120; the default proportions are fastai's. The three
    phases of the paper, and of Géron's book, are ``rise=0.45, tail=0.1, curve="linear"``.

    Args:
        peak: largest learning rate, above 0.
        steps: length of the cycle; None: the length of the run.
        start: learning rate at step 0; None: peak / 25.
        end: learning rate after the last step, from 0 to ``start``.
        rise: share of the cycle before the peak, above 0 and below 1, rounded to integer steps.
        tail: share of the cycle for a final ramp from ``start`` to ``end``; 0 for no such ramp.
        momentum: (high, low): high at both ends, low at the peak; None leaves it unchanged.
        curve: of each ramp: "cosine", "linear", ...

    Raises:
        ValueError: if a value is out of range, or the cycle has fewer steps than phases.

    >>> p = one_cycle(1.0, steps=10)
    >>> p(0), p(3), p(10)
    ({'lr': 0.04, 'momentum': 0.95}, {'lr': 1.0, 'momentum': 0.85}, {'lr': 0.0, 'momentum': 0.95})
    """
    peak = number("peak", peak, above=0)
    start = peak / 25 if start is None else number("start", start, at_least=0)
    ordered("start", start, "peak", peak)
    ordered("end", number("end", end, at_least=0), "start", start)
    rise = number("rise", rise, above=0, below=1)
    tail = number("tail", tail, at_least=0, below=1)
    if typed(rise) + typed(tail) >= 1:
        fail("tail", f"below 1 - rise ({1 - rise:g})", tail)
    up, down, last_part = _phases(check_length("steps", steps), typed(rise), typed(tail))

    def cycle(low: float, middle: float, back: float, last: float) -> Schedule:
        rising = segment(low, middle, up, curve)
        if last_part == 0:
            return rising.then(segment(middle, last, down, curve))
        rise_and_fall = rising.then(segment(middle, back, down, curve))
        return rise_and_fall.then(segment(back, last, last_part, curve))

    opposite = None
    if momentum is not None:
        if not isinstance(momentum, list | tuple) or len(momentum) != 2:
            fail("momentum", "a pair (high, low) or None", momentum)
        high, low = (number("momentum", m, at_least=0, below=1) for m in momentum)
        ordered("low momentum", low, "high momentum", high)
        opposite = cycle(high, low, high, high)
    return Policy(lr=cycle(start, peak, start, end), momentum=opposite)


def _one_cycle_code(policy: Policy) -> str | None:
    """Return the code of the `one_cycle` call that constructs a policy, or None."""
    lr, momentum = policy.lr, policy.momentum
    if not isinstance(lr, Chain) or not all(isinstance(part, Segment) for part in lr.parts):
        return None
    rising, falling, *rest = parts = [part for part in lr.parts if isinstance(part, Segment)]
    open_end = parts[-1].steps is None
    amounts = [parse("steps", part.steps or "0%") for part in parts]
    unit, total = amounts[0].unit, sum(amount.amount for amount in amounts)
    if any(amount.unit != unit or amount.until for amount in amounts) or not total:
        return None
    length = None if open_end else int(total) if unit == "steps" else str(Amount(total, unit))
    rise = amounts[0].amount / (100 if open_end else total)
    tail = 1 - sum(a.amount for a in amounts[:-1]) / (100 if open_end else total) if rest else 0
    ramp = momentum.parts[0] if isinstance(momentum, Chain) else None
    pair = (ramp.start, ramp.end) if isinstance(ramp, Segment) else None
    for digits in (1, 2, 3, 17):  # precision of the shares, which may have been rounded to steps
        given: dict[str, Any] = {
            "start": (rising.start, rising.end / 25),
            "end": (parts[-1].end, 0.0),
            "rise": (round(float(rise), digits), 0.3),
            "tail": (round(float(tail), digits), 0.0),
            "momentum": (pair, (0.95, 0.85)),
            "curve": (getattr(falling, "curve", "geometric"), "cosine"),
        }
        with contextlib.suppress(TypeError, ValueError):
            arguments = {n: value for n, (value, default) in given.items() if value != default}
            if one_cycle(rising.end, length, **arguments) == policy:
                return call("one_cycle", rising.end, length, **given)[0]
    return None


def _phases(steps: Length, rise: Fraction, tail: Fraction) -> tuple[Length, Length, Length]:
    """Return the lengths of rise, fall and tail; the tail may be 0 steps."""
    if isinstance(steps, int):
        phases = 3 if tail else 2
        if steps < phases:
            fail("steps", f"at least {phases}, one for each phase", steps)
        up = min(max(1, nearest(steps * rise)), steps - phases + 1)
        end = min(max(1, nearest(steps * tail)), steps - up - 1) if tail else 0
        return up, steps - up - end, end
    rising = scale_length(steps, rise)
    if not tail:
        return rising, None if steps is None else scale_length(steps, 1 - rise), 0
    falling = scale_length(steps, 1 - rise - tail)
    return rising, falling, None if steps is None else scale_length(steps, tail)


def _line(summary: inspect.Summary) -> str:
    if summary.lowest == summary.peak == summary.after:
        return f"{summary.peak:g} at every step"
    return str(summary)


class _Text:
    """Code of a field of a policy for ``repr``; a constant is written as a number."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __repr__(self) -> str:
        if isinstance(self.value, dict):
            parts = (f"{name!r}: {_Text(part)!r}" for name, part in self.value.items())
            return f"{{{', '.join(parts)}}}"
        if isinstance(self.value, Schedule):
            return operand(self.value, SUM, number=True)
        return repr(self.value)


def _schedules(target: Target) -> list[Schedule]:
    return list(target.values()) if isinstance(target, dict) else [target]


def _target(name: str, value: Any) -> Target:
    if isinstance(value, Mapping):
        if not value or not all(type(group) in (str, int) for group in value):
            rule = "a schedule, or a dict from parameter groups' names or indices to schedules"
            fail(name, rule, value)
        if len({str(group) for group in value}) < len(value):
            fail(name, "a dict without a group twice, as a name and as an index", list(value))
        named = {str(group): s for group, s in value.items()}  # JSON keys are strings
        return FrozenDict(
            {g: _checked(f"{name} of group {g!r}", name, s) for g, s in named.items()}
        )
    return _checked(name, name, value)


def _extra(value: Any) -> dict[str, Target] | None:
    if value is None:
        return None
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        fail("extra", "a dict from hyperparameters' names to schedules", value, error=TypeError)
    for name in value:
        if name in HYPERPARAMETERS or name in _PORTABLE:
            fix = f"pass {_PORTABLE.get(name, f'{name}=')}"
            raise ValueError(f"extra must use the portable name of {name!r}, got {name!r}; {fix}")
    return FrozenDict({name: _target(name, target) for name, target in value.items()}) or None


def _values(value: Any, targets: Mapping[str, Any]) -> dict[str, Schedule] | None:
    if value is None:
        return None
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        fail("values", "a dict from names to schedules or numbers", value, error=TypeError)
    for name in value:
        if name in {*HYPERPARAMETERS, *targets}:
            fail("values", f"names other than the optimizer's, such as 'ema_{name}'", name)
    return FrozenDict({n: as_schedule(f"values[{n!r}]", s) for n, s in value.items()}) or None


def _checked(field: str, name: str, value: Any) -> Schedule:
    """Return a schedule; if resolved, check that its values are valid for the hyperparameter."""
    if isinstance(value, Policy):
        fix = "pass the policy itself, or its .lr"
        fail(field, "a schedule or a number", value, fix, TypeError)
    schedule = as_schedule(field, value)
    if schedule.resolved:
        below = 1.0 if name == "momentum" or name.startswith("beta") else None
        fix = "pass a teacher's momentum as values={'ema_decay': ...}" if below else ""
        for step in inspect.suspects(schedule, lambda v: 0 <= v < (below or math.inf)):
            where = field if isinstance(schedule, Constant) else f"{field} at step {step}"
            number(where, schedule(step), at_least=0, below=below, fix=fix)
    return schedule
