"""Hypothesis strategies: random schedule trees of every kind, and policies made of them.

A new schedule class joins `MAKERS`; a test holds that none is missing.
"""

import math
from collections.abc import Callable

import numpy as np
from hypothesis import strategies as st

from lehr import Greedy, Plateau, Policy, Schedule
from lehr.schedule import (
    Chain,
    Constant,
    Every,
    Exponential,
    Function,
    InverseTime,
    Max,
    Min,
    Piecewise,
    Product,
    RAdam,
    Ramp,
    Repeat,
    Reverse,
    Shift,
    Sum,
    Table,
    Take,
)
from lehr.schedule.curves import CURVES

# The run that resolves whatever length the strategies draw.
RUN = {"steps": 10_000, "steps_per_epoch": 100, "samples_per_step": 32, "tokens_per_step": 512}

values = st.one_of(st.just(0.0), st.floats(1e-4, 10.0))
above_zero = st.floats(1e-4, 10.0)
powers = st.sampled_from([0.25, 0.5, 0.9, 1.0, 1.0, 2.0, 3.5])

whole_steps = st.one_of(st.integers(1, 40), st.sampled_from([64, 99, 1000, 12_345]))
spelled_lengths = st.one_of(
    st.integers(1, 3).map("{} epochs".format),
    st.sampled_from(["0.5 epochs", "0.25 epochs", "0.333 epochs", "1.7 epochs", "1 epoch"]),
    st.integers(1, 9).map("{}%".format),
    st.sampled_from(["0.5%", "2.25%", "33.3%", "1e3 tokens", "5e4 tokens", "2000 samples"]),
    st.integers(1, 90).map("{} steps".format),
)
any_lengths = st.one_of(whole_steps, spelled_lengths)


POWERLESS = ("exponential", "tanh")
curves = st.one_of(
    st.sampled_from(sorted(CURVES)),
    st.builds("{}^{}".format, st.sampled_from(sorted(CURVES)), st.sampled_from([0.5, 1.5, 4.0])),
)
real_steps = st.one_of(st.sampled_from([0.5, 2.5, 99.99]), st.floats(0.1, 1e4))


@st.composite
def _ramps(draw, lengths, depth, ends):
    curve, steps = draw(curves), draw(lengths)
    geometric = curve.startswith("exponential")
    ends_of_it = above_zero if geometric else values
    power = 1.0 if curve.startswith(POWERLESS) else draw(powers)
    phase = {}
    if isinstance(steps, int) and draw(st.booleans()):
        offset = draw(st.sampled_from([0.0, 0.25, 1.0, 3.7]))
        phase = {"offset": offset, "span": offset + steps - draw(st.floats(-2.0, 0.9))}
    return Ramp(draw(ends_of_it), draw(ends_of_it), steps, curve, power, **phase)


@st.composite
def _piecewise(draw, lengths, depth, ends):
    at = sorted(draw(st.sets(st.integers(1, 90), max_size=4)))
    if lengths is not whole_steps and draw(st.booleans()):
        at = [f"{share}%" for share in at]
    return Piecewise(tuple(at), tuple(draw(values) for _ in range(len(at) + 1)))


@st.composite
def _exponentials(draw, lengths, depth, ends):
    rate = draw(st.one_of(st.just(1.0), st.floats(1e-3, 1.0)))
    return Exponential(draw(values), rate, **draw(_time_constants(lengths)))


@st.composite
def _inverse_times(draw, lengths, depth, ends):
    return InverseTime(draw(values), power=draw(powers), **draw(_time_constants(lengths)))


def _time_constants(lengths):
    return st.one_of(
        st.fixed_dictionaries({"steps": lengths, "staircase": st.booleans()}),
        st.fixed_dictionaries({"steps": real_steps}),
    )


def sawtooth(step):
    return 0.125 * (1 + step % 7)


def hat(step):
    return 0.25 * abs(4 - step % 8)


@st.composite
def _functions(draw, lengths, depth, ends):
    f = draw(st.sampled_from([sawtooth, hat]))
    return Function(f.__name__, f)


@st.composite
def _every(draw, lengths, depth, ends):
    part = draw(schedules(whole_steps, depth, ends))
    if lengths is whole_steps or draw(st.booleans()):
        return Every(part, draw(st.integers(1, 7)), draw(st.sampled_from([1, 1, 2, 3])))
    return Every(part, draw(st.sampled_from(["1 epoch", "0.25 epochs", "1%"])))


@st.composite
def _reverse(draw, lengths, depth, ends):
    return Reverse(draw(schedules(lengths, depth, ends=True)))


@st.composite
def _chains(draw, lengths, depth, ends):
    before = draw(st.lists(schedules(lengths, depth, ends=True), max_size=3))
    return Chain((*before, draw(schedules(lengths, depth, ends))))


@st.composite
def _repeats(draw, lengths, depth, ends):
    times = st.integers(1, 4)
    part = draw(schedules(lengths, depth, ends=True))
    return Repeat(part, draw(times if ends else st.one_of(st.none(), times)))


@st.composite
def _takes(draw, lengths, depth, ends):
    return Take(draw(schedules(lengths, depth)), draw(lengths))


@st.composite
def _shifts(draw, lengths, depth, ends):
    part = draw(schedules(lengths, depth, ends))
    earliest = 1 - part.length if isinstance(part.length, int) else 0
    return Shift(part, draw(st.integers(max(earliest, -50), 50)))


def _pointwise(cls: type[Schedule]) -> Callable[..., st.SearchStrategy[Schedule]]:
    @st.composite
    def make(draw, lengths, depth, ends):
        first = draw(schedules(lengths, depth, ends))
        # a constant beside a part that ends leaves its length alone; anything else must end too
        other = st.one_of(values.map(Constant), schedules(lengths, depth, ends))
        return cls(tuple(draw(st.permutations([first, *draw(st.lists(other, max_size=2))]))))

    return make


MAKERS: dict[str, Callable[..., st.SearchStrategy[Schedule]]] = {
    "constant": lambda lengths, depth, ends: values.map(Constant),
    "ramp": _ramps,
    "piecewise": _piecewise,
    "exponential": _exponentials,
    "inverse_time": _inverse_times,
    "radam": lambda lengths, depth, ends: st.builds(RAdam, values, st.floats(0.7, 0.9999)),
    "table": lambda lengths, depth, ends: st.lists(values, min_size=1, max_size=9).map(Table),
    "function": _functions,
    "every": _every,
    "reverse": _reverse,
    "chain": _chains,
    "repeat": _repeats,
    "take": _takes,
    "shift": _shifts,
    "product": _pointwise(Product),
    "sum": _pointwise(Sum),
    "min": _pointwise(Min),
    "max": _pointwise(Max),
}
_ENDLESS = ("constant", "piecewise", "exponential", "inverse_time", "function", "radam")
_LEAVES = (*_ENDLESS, "ramp", "table")


def schedules(lengths=whole_steps, depth=3, ends=False) -> st.SearchStrategy[Schedule]:
    """Draw a tree of at most ``depth`` combinators; with ``ends`` one that a part may follow."""
    kinds = [
        kind
        for kind in MAKERS
        if not (depth == 0 and kind not in _LEAVES) and not (ends and kind in _ENDLESS)
    ]
    return st.deferred(
        lambda: st.one_of([MAKERS[kind](lengths, max(depth - 1, 0), ends) for kind in kinds])
    )


def kinds_in(schedule: Schedule) -> set[str]:
    """Return the kinds in a tree."""
    return {schedule.kind}.union(*(kinds_in(part) for part in parts_of(schedule)))


def parts_of(schedule: Schedule) -> tuple[Schedule, ...]:
    """Return the schedules that a schedule is made of."""
    if hasattr(schedule, "part"):
        return (schedule.part,)
    return getattr(schedule, "parts", ())


def size(schedule: Schedule) -> float:
    """Return a bound on the absolute value: the largest that its parts can make together."""
    parts = [size(part) for part in parts_of(schedule)]
    match schedule:
        case Constant(value):
            return abs(value)
        case Ramp(start, end):
            return max(abs(start), abs(end))
        case Piecewise(_, numbers) | Table(numbers):
            return max(map(abs, numbers))
        case Exponential(start) | InverseTime(start) | RAdam(start):
            return abs(start)
        case Function():
            return 1.0
        case Product():
            return math.prod(parts)
        case Sum():
            return sum(parts)
    return max(parts)


def boundaries(schedule: Schedule) -> set[int]:
    """Return the steps, on its own clock, near which something happens."""
    own = {schedule.length} if isinstance(schedule.length, int) else set()
    match schedule:
        case Piecewise(at, _):
            own |= set(at)
        case Exponential(_, _, steps) | InverseTime(_, steps):
            own |= {int(steps), int(2 * steps)}
        case Every(part, steps, ticks):
            return own | {steps} | {-(-b * steps // ticks) for b in boundaries(part)}
        case Reverse(part):
            return own | {part.length - b for b in boundaries(part) if b <= part.length}
        case Chain(parts):
            first = 0
            for part in parts:
                own |= {first + b for b in boundaries(part)}
                first += part.length if isinstance(part.length, int) else 0
            return own
        case Shift(part, steps):
            return own | {steps} | {b + steps for b in boundaries(part) if b + steps >= 0}
        case Repeat(part):
            inner = boundaries(part)
            return own | inner | {b + part.length for b in inner}
    return own.union(*(boundaries(part) for part in parts_of(schedule)))


def probe(schedule: Schedule, last: int = 2**31 - 1) -> np.ndarray:
    """Return steps that show a resolved schedule: its beginning, its boundaries, far beyond."""
    near = {b + d for b in boundaries(schedule) for d in (-1, 0, 1)}
    longest = max(near, default=10)
    spread = {longest * i // 20 for i in range(30)}
    far = {10**5, 2**24 - 1, 2**24 + 1, 2**24 + 3, 10**9, 2**31 - 2}
    return np.array(sorted(t for t in {0, 1, 2} | near | spread | far if 0 <= t <= last))


_judging = {
    "monitor": st.sampled_from(["val_loss", "accuracy"]),
    "factor": st.floats(0.01, 0.99),
    "patience": st.integers(1, 10),
    "threshold": st.floats(0, 0.1),
    "mode": st.sampled_from(["min", "max"]),
    "cooldown": st.integers(0, 5),
    "floor": st.floats(0, 1),
    "threshold_mode": st.sampled_from(["relative", "absolute"]),
    "average": st.integers(1, 4),
}
controllers = st.one_of(
    st.builds(Plateau, restore_best=st.booleans(), **_judging),
    st.builds(Greedy, ceiling=st.floats(1, 100), **_judging),
)
targets = st.one_of(
    schedules(any_lengths, depth=2),
    st.dictionaries(
        st.one_of(st.sampled_from(["head", "body", "kind", "lehr"]), st.text(max_size=5)),
        schedules(any_lengths, depth=1),
        min_size=1,
        max_size=3,
    ),
)
policies = st.builds(
    Policy,
    lr=targets,
    momentum=st.one_of(
        st.none(),
        st.floats(0, 0.99),
        st.builds(Ramp, st.floats(0, 0.99), st.floats(0, 0.99), any_lengths),
    ),
    weight_decay=st.one_of(st.none(), targets),
    control=st.one_of(st.none(), controllers),
    others=st.one_of(st.none(), st.dictionaries(st.sampled_from(["eps", "dampening"]), targets)),
)
