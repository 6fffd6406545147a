"""A policy: which schedule each hyperparameter follows, and at most one controller."""

from __future__ import annotations

import numbers
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any, TypeVar

from lehr.controllers import Controller
from lehr.schedule import Constant, Ramp, Schedule
from lehr.schedule.base import as_schedule
from lehr.schedule.codec import Definition
from lehr.schedule.codec import loads as loads  # here every kind that it can read is known
from lehr.schedule.errors import fail, number, ordered, whole
from lehr.schedule.inspect import joints as looked_at
from lehr.schedule.length import Length, Run, check_length, scale_length, typed

Target = Schedule | dict[str, Schedule]
_G = TypeVar("_G", bound=str | int)  # a parameter group's name or index, one type for each argument
_H = TypeVar("_H", bound=str | int)
_K = TypeVar("_K", bound=str | int)
Given = Schedule | float | Mapping[_G, Schedule | float]
HYPERPARAMETERS = ("lr", "momentum", "weight_decay")
_JOINTS = 1000  # steps at which values are checked, at most


@dataclass(frozen=True, eq=True)
class Policy(Definition, kind="policy"):
    """How learning rate, momentum and weight decay move over a run.

    Args:
        lr: a schedule or a number; or one per parameter group, by name or by index:
            ``{"head": s, "body": t}``, ``{0: s, 1: t}``.
        momentum: the same, or None to leave it alone. In Adam momentum is beta1.
        weight_decay: the same, or None to leave it alone.
        control: a controller whose factor multiplies the learning rate, or None.
        others: more hyperparameters by the optimizer's names: ``{"dampening": s, "beta2": t}``.

    Attributes:
        targets: the hyperparameters that this policy moves, by name.

    Raises:
        TypeError: if a value is not a schedule, number or dict of them, or ``control`` not a
            controller.
        ValueError: if a value is negative, or a momentum is not below 1.

    >>> import lehr
    >>> p = lehr.Policy(lr=lehr.cosine(0.1, steps=100), momentum=0.9)
    >>> p.values(50)
    {'lr': 0.05, 'momentum': 0.9}
    """

    lr: Target
    momentum: Target | None = None
    weight_decay: Target | None = None
    control: Controller | None = None
    others: dict[str, Target] | None = None
    targets: dict[str, Target] = field(init=False, repr=False, compare=False)

    if TYPE_CHECKING:  # numbers are welcome and become constants

        def __init__(
            self,
            lr: Given[_G],
            momentum: Given[_H] | None = None,
            weight_decay: Given[_K] | None = None,
            control: Controller | None = None,
            others: Mapping[str, Given[Any]] | None = None,
        ) -> None: ...

    def __post_init__(self) -> None:
        given = {name: getattr(self, name) for name in HYPERPARAMETERS}
        targets = {n: _target(n, v) for n, v in given.items() if v is not None or n == "lr"}
        control: Any = self.control
        if not isinstance(control, Controller | None):
            rule = "a controller, Plateau() or Greedy(), or None"
            fail("control", rule, control, error=TypeError)
        others = _others(self.others)
        self._derive(**targets, others=others, targets=targets | (others or {}))

    def __hash__(self) -> int:
        parts = ((n, _schedules(target)) for n, target in self.targets.items())
        return hash((tuple((name, *schedules) for name, schedules in parts), self.control))

    @property
    def resolved(self) -> bool:
        """Whether every length is whole steps."""
        return all(s.resolved for target in self.targets.values() for s in _schedules(target))

    def resolve(self, steps: int | None = None, **run: int | None) -> Policy:
        """Return the policy in whole steps of one run; see `Schedule.resolve`."""

        def resolve(name: str, target: Target) -> Target:
            try:
                if isinstance(target, dict):
                    return {group: s.resolve(steps, **run) for group, s in target.items()}
                return target.resolve(steps, **run)
            except ValueError as error:
                raise ValueError(f"in {name}: {error}") from None

        Run(steps, **run)  # type: ignore[arg-type]  # wrong sizes are refused, needed or not
        if self.resolved:
            return self
        return self._with({name: resolve(name, t) for name, t in self.targets.items()})

    def _with(self, targets: dict[str, Target]) -> Policy:
        """Return a policy with the same controller and other schedules."""
        others = {name: target for name, target in targets.items() if name not in HYPERPARAMETERS}
        named = {name: target for name, target in targets.items() if name in HYPERPARAMETERS}
        return Policy(**named, control=self.control, others=others)

    def decay_from(
        self, step: int, steps: Length = None, *, curve: str = "1-sqrt", floor: float = 0.0
    ) -> Policy:
        """Return this policy with a learning rate that decays to ``floor`` from ``step`` on.

        Args:
            step: first step of the decay.
            steps: its length; None for the rest of the run.
            curve: "1-sqrt", "linear", "cosine", ...
            floor: rate at the end.

        Raises:
            ValueError: if the policy is not resolved to whole steps.

        >>> import lehr
        >>> trunk = lehr.Policy(lr=lehr.warmup(0.1, steps=10).then(lehr.constant(0.1)))
        >>> p = trunk.decay_from(500, steps=100, curve="linear")
        >>> [p.lr(t) for t in (5, 499, 500, 550, 600)]
        [0.05, 0.1, 0.1, 0.05, 0.0]
        """

        def decay(schedule: Schedule) -> Schedule:
            way_out = "call .resolve(steps=...) first"
            if not schedule.resolved:
                fail("policy", "in whole steps to decay from a step", schedule, way_out)
            ordered("floor", number("floor", floor, at_least=0), "the rate there", schedule(step))
            fall = Ramp(schedule(step), floor, steps, "sqrt" if curve == "1-sqrt" else curve)
            return schedule.take(step).then(fall) if step else fall

        whole("step", step, at_least=0)
        lr = self.lr
        decayed = {n: decay(s) for n, s in lr.items()} if isinstance(lr, dict) else decay(lr)
        return self._with(self.targets | {"lr": decayed})

    def values(self, step: int, factor: float = 1.0) -> dict[str, Any]:
        """Return each hyperparameter's value at a step; ``factor``, a controller's, is on lr."""
        values: dict[str, Any] = {}
        for name, target in self.targets.items():
            scale = factor if name == "lr" else 1.0
            if isinstance(target, dict):
                values[name] = {group: s(step) * scale for group, s in target.items()}
            else:
                values[name] = target(step) * scale
        return values


def as_policy(value: Any) -> Policy:
    """Return a policy for a policy, a schedule or a number (a learning rate), or raise."""
    if isinstance(value, Policy):
        return value
    if isinstance(value, bool) or not isinstance(value, Schedule | numbers.Real):
        fail("policy", "a policy, a schedule or a number", value, error=TypeError)
    return Policy(lr=as_schedule("policy", value))


def resolved_policy(value: Any, steps: int | None = None, **run: int | None) -> Policy:
    """Return a policy in whole steps, or raise the error that drivers give."""
    policy = as_policy(value)
    if policy.resolved:
        return policy
    if steps is None and all(size is None for size in run.values()):
        names = [n for n, t in policy.targets.items() if not all(s.resolved for s in _schedules(t))]
        way_out = "pass steps= (updates in the run) or call .resolve(steps=...)"
        rule = "in whole steps before it drives an optimizer"
        fail("policy", rule, policy.targets[names[0]], way_out)
    return policy.resolve(steps, **run)


def one_cycle(
    peak: float,
    steps: Length = None,
    *,
    start: float | None = None,
    final: float = 0.0,
    rise: float = 0.3,
    tail: float = 0.0,
    momentum: tuple[float, float] | None = (0.95, 0.85),
    curve: str = "cosine",
) -> Policy:
    """Return one cycle: the rate up to its peak and down to its final value, momentum against it.

    Source: Smith and Topin, arXiv 1708.07120; the proportions are fastai's. The three phases of
    the paper, and of Géron's book: ``rise=0.45, tail=0.1, curve="linear"``.

    Args:
        peak: largest rate, above 0.
        steps: length of the whole cycle; None for the whole run.
        start: rate at step 0; None for peak / 25.
        final: rate after the last step, from 0 to ``start``.
        rise: share of the cycle until the peak, above 0 and below 1, rounded to whole steps.
        tail: share of the cycle for a last ramp from ``start`` to ``final``; 0 for none.
        momentum: (high, low): high at both ends, low at the peak; None leaves momentum alone.
        curve: of each ramp: "cosine", "linear", ...

    Raises:
        ValueError: if a value is out of range, or the cycle has fewer steps than phases.

    >>> p = one_cycle(1.0, steps=10)
    >>> p.values(0), p.values(3), p.values(10)
    ({'lr': 0.04, 'momentum': 0.95}, {'lr': 1.0, 'momentum': 0.85}, {'lr': 0.0, 'momentum': 0.95})
    """
    peak = number("peak", peak, above=0)
    start = peak / 25 if start is None else number("start", start, at_least=0)
    ordered("start", start, "peak", peak)
    ordered("final", number("final", final, at_least=0), "start", start)
    rise = number("rise", rise, above=0, below=1)
    tail = number("tail", tail, at_least=0, below=1)
    if typed(rise) + typed(tail) >= 1:
        fail("tail", f"below 1 - rise ({1 - rise:g})", tail)
    up, down, end = _phases(check_length("steps", steps), typed(rise), typed(tail))

    def cycle(low: float, middle: float, back: float, last: float) -> Schedule:
        if end == 0:
            return Ramp(low, middle, up, curve).then(Ramp(middle, last, down, curve))
        there_and_back = Ramp(low, middle, up, curve).then(Ramp(middle, back, down, curve))
        return there_and_back.then(Ramp(back, last, end, curve))

    against = None
    if momentum is not None:
        if not isinstance(momentum, list | tuple) or len(momentum) != 2:
            fail("momentum", "a pair (high, low) or None", momentum)
        high, low = (number("momentum", m, at_least=0, below=1) for m in momentum)
        ordered("low momentum", low, "high momentum", high)
        against = cycle(high, low, high, high)
    return Policy(lr=cycle(start, peak, start, final), momentum=against)


def _phases(steps: Length, rise: Fraction, tail: Fraction) -> tuple[Length, Length, Length]:
    """Return the lengths of rise, fall and tail; no tail is 0 steps."""
    if isinstance(steps, int):
        phases = 3 if tail else 2
        if steps < phases:
            fail("steps", f"at least {phases}, one for each phase", steps)
        up = min(int(scale_length("steps", steps, rise)), steps - phases + 1)  # type: ignore[arg-type]
        end = min(int(scale_length("steps", steps, tail)), steps - up - 1) if tail else 0  # type: ignore[arg-type]
        return up, steps - up - end, end
    rising = scale_length("steps", steps, rise)
    if not tail:
        return rising, None if steps is None else scale_length("steps", steps, 1 - rise), 0
    falling = scale_length("steps", steps, 1 - rise - tail)
    return rising, falling, None if steps is None else scale_length("steps", steps, tail)


def _schedules(target: Target) -> list[Schedule]:
    return list(target.values()) if isinstance(target, dict) else [target]


def _target(name: str, value: Any) -> Target:
    if isinstance(value, Mapping):
        if not value or not all(type(group) in (str, int) for group in value):
            rule = "a schedule, or a dict from parameter groups' names or indices to schedules"
            fail(name, rule, value)
        named = {str(group): s for group, s in value.items()}  # JSON has only text for keys
        return {g: _checked(f"{name} of group {g!r}", name, s) for g, s in named.items()}
    return _checked(name, name, value)


def _others(value: Any) -> dict[str, Target] | None:
    if value is None:
        return None
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        fail("others", "a dict from hyperparameters' names to schedules", value, error=TypeError)
    for name in HYPERPARAMETERS:
        if name in value:
            fail("others", f"without {name}", list(value), f"give it as {name}=")
    return {name: _target(name, target) for name, target in value.items()} or None


def _checked(field: str, name: str, value: Any) -> Schedule:
    """Return a schedule whose values, as far as they are known, suit the hyperparameter."""
    schedule = as_schedule(field, value)
    if schedule.resolved:
        below = 1.0 if name == "momentum" or name.startswith(("beta", "b1", "b2")) else None
        for step in looked_at(schedule, _JOINTS):
            where = field if isinstance(schedule, Constant) else f"{field} at step {step}"
            number(where, schedule(step), at_least=0, below=below)
    return schedule
