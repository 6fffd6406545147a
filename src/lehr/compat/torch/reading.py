"""Read a live scheduler of PyTorch into a policy."""

from __future__ import annotations

import functools
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from typing import Any

from torch.optim import lr_scheduler, swa_utils

from lehr.compat.torch import chainable, shapes
from lehr.compat.torch._private import (
    anneal_curve,
    custom_scale,
    milestones,
    one_cycle_phases,
    parts,
)
from lehr.controllers import Plateau
from lehr.policy import Policy
from lehr.schedule.base import Schedule
from lehr.schedule.chain import Chain
from lehr.schedule.errors import fail, number
from lehr.schedule.piecewise import Function
from lehr.schedule.presets.basic import constant, exponential, multi_step, step_decay
from lehr.schedule.presets.cycles import cyclical, through
from lehr.schedule.presets.restarts import cosine_restarts
from lehr.schedule.shapes import Ramp

Reader = Callable[[Any, int, float], Schedule]


def read(scheduler: Any) -> Policy:
    """Return the policy of a scheduler: rates, momentum and controller, from the base rates.

    Groups with different schedules are named by their "name", otherwise by their index. The
    current step is ``scheduler.last_epoch``: pass it to a driver as ``start_step=``.

    Raises:
        TypeError: if the object is not a scheduler.
        ValueError: if it has no equivalent, or calls a function without a name.
    """
    if not isinstance(scheduler, lr_scheduler.LRScheduler):
        rule = "a scheduler of torch.optim.lr_scheduler"
        fail("scheduler", rule, type(scheduler).__name__, error=TypeError)
    groups = scheduler.optimizer.param_groups
    names = [str(group.get("name", i)) for i, group in enumerate(groups)]

    def target(schedules: list[Schedule]) -> Any:
        same = all(s == schedules[0] for s in schedules)
        return schedules[0] if same else dict(zip(names, schedules, strict=True))

    if isinstance(scheduler, lr_scheduler.ReduceLROnPlateau):
        rates = [constant(float(g.get("initial_lr", g["lr"]))) for g in groups]
        return Policy(target(rates), control=_plateau(scheduler))
    rates = [_rate(scheduler, i) for i in range(len(groups))]
    if not getattr(scheduler, "cycle_momentum", False):
        return Policy(target(rates))
    momentum = _one_cycle if isinstance(scheduler, lr_scheduler.OneCycleLR) else _cyclic
    return Policy(
        target(rates),
        momentum=target([momentum(scheduler, i, "momentum") for i in range(len(groups))]),
    )


def _rate(scheduler: Any, group: int, base: float | None = None) -> Schedule:
    """Return the rate of one parameter group, from a base rate instead of its own if given."""
    reader = next((READERS[c] for c in type(scheduler).__mro__ if c in READERS), None)
    if reader is None:
        known = ", ".join(sorted(c.__name__ for c in READERS))
        fail("scheduler", f"one of {known}, ReduceLROnPlateau", type(scheduler).__name__)
    if base is None and hasattr(scheduler, "base_lrs"):  # schedulers of schedulers have none
        base = float(scheduler.base_lrs[group])
    return reader(scheduler, group, base or 0.0)


def _step(s: Any, group: int, base: float) -> Schedule:
    return step_decay(base, number("gamma", s.gamma, above=0, at_most=1), s.step_size)


def _exponential(s: Any, group: int, base: float) -> Schedule:
    return exponential(base, number("gamma", s.gamma, above=0, at_most=1), 1)


def _multi_step(s: Any, group: int, base: float) -> Schedule:
    at = sorted(s.milestones.elements())
    if s.gamma > 0 and all(type(t) is int and t > 0 for t in at) and len(set(at)) == len(at):
        return multi_step(base, float(s.gamma), at)
    return chainable.MultiStepLR.shape(s) * base


def _constant(s: Any, group: int, base: float) -> Schedule:
    return shapes.two_values(base * float(s.factor), base, s.total_iters)


def _linear(s: Any, group: int, base: float) -> Schedule:
    return shapes.ramp(base * float(s.start_factor), base * float(s.end_factor), s.total_iters)


def _polynomial(s: Any, group: int, base: float) -> Schedule:
    if s.power == 0:
        return constant(base)
    return shapes.ramp(base, 0.0, s.total_iters, float(s.power))


def _cosine(s: Any, group: int, base: float) -> Schedule:
    low, half = float(s.eta_min), float(s.T_max)
    if not (2 * half).is_integer():
        fail("T_max", "an integer, or half of one", s.T_max)
    wave = through(
        [(Fraction(0), base), (Fraction(half), low), (Fraction(2 * half), base)], "cosine"
    )
    return Chain(tuple(wave)).repeat()


def _restarts(s: Any, group: int, base: float) -> Schedule:
    low = float(s.eta_min)
    if base > 0 and 0 <= low <= base:
        return cosine_restarts(base, s.T_0, growth=s.T_mult, floor=low)
    return cosine_restarts(1.0, s.T_0, growth=s.T_mult) * (base - low) + low


def _cyclic(s: Any, group: int, base: Any) -> Schedule:
    """Return the rate or the momentum of a CyclicLR."""
    low, high = float(s.base_lrs[group]), float(s.max_lrs[group])
    if base == "momentum":
        low, high = float(s.max_momentums[group]), float(s.base_momentums[group])
    up = round(s.total_size * s.step_ratio, 9)  # the ratio is rounded
    rise, fall = (int(n) if n == int(n) else n for n in (up, s.total_size - up))
    scale: Any = None
    if custom := custom_scale(s):
        scale = named("scale_fn", custom)
        if s.scale_mode == "cycle":
            scale = scale.shift(-1)  # functions of the cycle count from 1
    elif s.mode != "triangular":
        scale = exponential(1.0, float({"triangular2": 0.5}.get(s.mode, s.gamma)), 1)
    per = "cycle" if s.scale_mode == "cycle" else "step"
    if 0 <= low < high:
        return cyclical(low, high, rise, fall, scale=scale, per=per)
    return cyclical(0.0, 1.0, rise, fall, scale=scale, per=per) * (high - low) + low


def _one_cycle(s: Any, group: int, base: Any) -> Schedule:
    """Return the rate or the momentum of a OneCycleLR."""
    name = "momentum" if base == "momentum" else "lr"
    keys = s.optimizer.param_groups[group]
    phases = [p for p in one_cycle_phases(s) if p[1] > p[0]]
    knots = [(Fraction(0), float(keys[phases[0][2][f"start_{name}"]]))]
    knots += [(Fraction(end), float(keys[phase[f"end_{name}"]])) for _, end, phase in phases]
    curve = anneal_curve(s)
    return Chain((*through(knots, curve), constant(knots[-1][1], 1)))  # then it is held


def _swa(s: Any, group: int, base: float) -> Schedule:
    last = float(s.optimizer.param_groups[group]["swa_lr"])
    return Ramp(base, last, s.anneal_epochs, anneal_curve(s))


def _lambda(s: Any, group: int, base: float) -> Schedule:
    function = s.lr_lambdas[group]
    if isinstance(function, functools.partial):
        if function.args and isinstance(function.args[0], Schedule):  # of lehr.compat.transformers
            return function.args[0] * base
        if function.func.__module__ == "transformers.optimization":
            from lehr.compat.transformers._private import shape_of

            return shape_of(function) * base
    return named("lr_lambda", function) * base


def _sequential(s: Any, group: int, base: float) -> Schedule:
    rates = [_rate(part, group) for part in parts(s)]
    lengths = [b - a for a, b in pairwise([0, *milestones(s)])]
    sections = [r if r.length == n else r.take(n) for r, n in zip(rates, lengths, strict=False)]
    return Chain((*sections, rates[-1]))


def _chained(s: Any, group: int, base: float) -> Schedule:
    """Return the product of the shapes, or the rate of a last scheduler that sets the rate."""
    first, *rest = members = parts(s)
    if not isinstance(members[-1], SHAPED):
        return _rate(members[-1], group)
    if not all(isinstance(part, SHAPED) for part in members):
        fail("ChainedScheduler", "one in which no scheduler sets the rate before another one", s)
    for wave in (part for part in members if isinstance(part, lr_scheduler.CosineAnnealingLR)):
        others = [part for part in members if part is not wave]
        if wave.eta_min != 0 or not all(_ends_before(part, wave.T_max) for part in others):
            rule = "one without eta_min, chained only with warm-ups that end before it"
            fail("CosineAnnealingLR", rule, s)
    rate = _rate(first, group)
    for part in rest:
        rate = rate * _rate(part, group, 1.0)
    return rate


def _ends_before(part: Any, step: float) -> bool:
    """Return whether a warm-up ends before the rate is 0: torch then forgets its factor."""
    warmup = isinstance(part, lr_scheduler.LinearLR | lr_scheduler.ConstantLR)
    return warmup and getattr(part, "end_factor", 1) == 1 and bool(part.total_iters <= step)


def named(field: str, function: Any) -> Schedule:
    """Return a function as a schedule that can be saved under its name."""
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", "<")
    if module is None or "<" in name:
        fix = "define it with def at the top level of a module"
        fail(field, "a function with a name, by which it can be saved", function, fix)
    return Function(f"{module}:{name}", function)


def _plateau(s: Any) -> Plateau:
    lowest = {float(rate) for rate in s.min_lrs}
    if len(lowest) > 1:
        fail("min_lr", "the same for all groups", list(s.min_lrs))
    return Plateau(
        factor=float(s.factor),
        patience=int(s.patience) + 1,  # torch reduces one metric later
        threshold=float(s.threshold),
        threshold_mode={"rel": "relative", "abs": "absolute"}[s.threshold_mode],  # type: ignore[arg-type]
        mode=s.mode,
        cooldown=int(s.cooldown),
        min_lr=lowest.pop() if lowest else 0.0,
    )


SHAPED = (
    *(lr_scheduler.StepLR, lr_scheduler.MultiStepLR, lr_scheduler.ConstantLR),
    *(lr_scheduler.LinearLR, lr_scheduler.ExponentialLR, lr_scheduler.PolynomialLR),
    lr_scheduler.CosineAnnealingLR,
)
READERS: dict[type, Reader] = {
    lr_scheduler.StepLR: _step,
    lr_scheduler.MultiStepLR: _multi_step,
    lr_scheduler.ConstantLR: _constant,
    lr_scheduler.LinearLR: _linear,
    lr_scheduler.ExponentialLR: _exponential,
    lr_scheduler.PolynomialLR: _polynomial,
    lr_scheduler.CosineAnnealingLR: _cosine,
    lr_scheduler.CosineAnnealingWarmRestarts: _restarts,
    lr_scheduler.CyclicLR: _cyclic,
    lr_scheduler.OneCycleLR: _one_cycle,
    lr_scheduler.LambdaLR: _lambda,
    lr_scheduler.SequentialLR: _sequential,
    lr_scheduler.ChainedScheduler: _chained,
    swa_utils.SWALR: _swa,
}
