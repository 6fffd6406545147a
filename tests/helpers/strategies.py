"""Hypothesis strategies: random schedule trees of every kind, and policies of these trees.

Add a new schedule class to `MAKERS`; a test checks that no class is missing.
"""

import itertools
import math
from collections.abc import Callable

import numpy as np
from hypothesis import strategies as st

from lehr import Greedy, Plateau, Policy, Schedule, one_cycle
from lehr.schedule import (
    Chain,
    Constant,
    Every,
    Exponential,
    Function,
    Geometric,
    InverseTime,
    Max,
    Min,
    Piecewise,
    Power,
    Product,
    Quotient,
    RAdam,
    Ramp,
    Repeat,
    Shift,
    Sum,
    Table,
    Take,
    Window,
)
from lehr.schedule.curves import CURVES

# The run in which every drawn length resolves.
RUN = {"steps": 10_000, "steps_per_epoch": 100, "samples_per_step": 32, "tokens_per_step": 512}

values = st.one_of(st.just(0.0), st.floats(1e-4, 10.0))
above_zero = st.floats(1e-4, 10.0)
powers = st.sampled_from([0.25, 0.5, 0.9, 1.0, 1.0, 2.0, 3.5])

integer_steps = st.one_of(st.integers(1, 40), st.sampled_from([64, 99, 1000, 12_345]))
spelled_lengths = st.one_of(
    st.integers(1, 3).map("{} epochs".format),
    st.sampled_from(["0.5 epochs", "0.25 epochs", "0.333 epochs", "1.7 epochs", "1 epoch"]),
    st.integers(1, 9).map("{}%".format),
    st.sampled_from(["0.5%", "2.25%", "33.3%", "1e3 tokens", "5e4 tokens", "2K samples"]),
    st.integers(1, 90).map("{} steps".format),
)
any_lengths = st.one_of(integer_steps, spelled_lengths)


curves = st.sampled_from(sorted(CURVES))
time_powers = st.sampled_from([0.5, 1.0, 1.0, 1.5, 4.0])
real_steps = st.one_of(st.sampled_from([0.5, 2.5, 99.99]), st.floats(0.1, 1e4))
intervals = st.sampled_from([1, 2, 3, 7, 1.5, 2.5, 3.75, "10/3 steps", "22/7 steps"])


def _or_none(lengths):
    """Draw a length or 0; a part of length 0 is in the definition and has no effect."""
    return st.one_of(lengths, lengths, lengths, st.just(0))


@st.composite
def _ramps(draw, lengths, depth, ends):
    return Ramp(
        draw(values),
        draw(values),
        draw(_or_none(lengths)),
        draw(curves),
        draw(powers),
        draw(time_powers),
        draw(st.booleans()),
    )


@st.composite
def _geometrics(draw, lengths, depth, ends):
    ends_of_it = draw(above_zero), draw(above_zero)
    return Geometric(*ends_of_it, draw(_or_none(lengths)), draw(st.booleans()))


@st.composite
def _windows(draw, lengths, depth, ends):
    shape = Ramp(draw(values), draw(values), None, draw(curves), draw(powers), draw(time_powers))
    if draw(st.booleans()):
        shape = Geometric(draw(above_zero), draw(above_zero))
    steps, offset = draw(integer_steps), draw(st.sampled_from([0.0, 0.25, 1.0, 3.7]))
    return Window(shape, steps, offset, offset + steps - draw(st.floats(-2.0, 0.9)))


@st.composite
def _piecewise(draw, lengths, depth, ends):
    at = sorted(draw(st.sets(st.integers(0, 90), min_size=2, max_size=4)))
    if lengths is not integer_steps and draw(st.booleans()):
        at = [f"{share}%" for share in at]
    if not ends and draw(st.booleans()):
        return Piecewise(tuple(at), tuple(draw(values) for _ in range(len(at) + 1)))
    curve = draw(st.sampled_from(["geometric", *sorted(CURVES)]))
    return Piecewise(tuple(at), tuple(draw(above_zero) for _ in at), curve)


@st.composite
def _exponentials(draw, lengths, depth, ends):
    factor = draw(st.one_of(st.just(1.0), st.floats(1e-3, 1.0)))
    return Exponential(draw(values), factor, *draw(_time_constants(lengths)))


@st.composite
def _inverse_times(draw, lengths, depth, ends):
    timescale, staircase = draw(_time_constants(lengths))
    return InverseTime(draw(values), timescale, draw(powers), staircase)


def _time_constants(lengths):
    return st.one_of(
        st.tuples(st.one_of(lengths, intervals), st.booleans()),
        st.tuples(real_steps, st.just(False)),
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
    part = draw(schedules(integer_steps, depth, ends))
    if lengths is integer_steps or draw(st.booleans()):
        return Every(part, draw(intervals))
    return Every(part, draw(st.sampled_from(["1 epoch", "0.25 epochs", "1%", "1.111 epochs"])))


@st.composite
def _reverse(draw, lengths, depth, ends):
    return draw(schedules(lengths, depth, ends=True)).reverse()


@st.composite
def _chains(draw, lengths, depth, ends):
    before = draw(st.lists(schedules(lengths, depth, ends=True), min_size=1, max_size=3))
    return Chain((*before, draw(schedules(lengths, depth, ends))))


@st.composite
def _repeats(draw, lengths, depth, ends):
    times = st.integers(1, 4)
    part = draw(schedules(lengths, depth, ends=True).filter(lambda s: s.resolve(**RUN).length > 1))
    return Repeat(part, draw(times if ends else st.one_of(st.none(), times)))


@st.composite
def _takes(draw, lengths, depth, ends):
    return Take(draw(schedules(lengths, depth)), draw(lengths))


@st.composite
def _shifts(draw, lengths, depth, ends):
    part = draw(schedules(lengths, depth, ends))
    earliest = -part.length if isinstance(part.length, int) else 0
    return Shift(part, draw(st.integers(max(earliest, -50), 50)))


def _pointwise(cls: type[Schedule]) -> Callable[..., st.SearchStrategy[Schedule]]:
    @st.composite
    def make(draw, lengths, depth, ends):
        first = draw(schedules(lengths, depth, ends))
        # a constant does not change the length of a finite part; other parts must be finite too
        other = st.one_of(values.map(Constant), schedules(lengths, depth, ends))
        return cls(
            tuple(draw(st.permutations([first, *draw(st.lists(other, min_size=1, max_size=2))])))
        )

    return make


@st.composite
def _quotients(draw, lengths, depth, ends):
    part = draw(schedules(lengths, depth, ends))
    if draw(st.booleans()):
        return Quotient((part, draw(above_zero)))
    return Quotient((draw(above_zero), Sum((1.0, part))))


@st.composite
def _powers(draw, lengths, depth, ends):
    part = draw(schedules(lengths, depth, ends))
    if draw(st.booleans()):
        return Power((part, draw(st.sampled_from([1.0, 1.5, 2.0]))))
    return Power((draw(st.sampled_from([0.5, 0.9])), part))


MAKERS: dict[str, Callable[..., st.SearchStrategy[Schedule]]] = {
    "constant": lambda lengths, depth, ends: values.map(Constant),
    "ramp": _ramps,
    "geometric": _geometrics,
    "window": _windows,
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
    "quotient": _quotients,
    "power": _powers,
}
_ENDLESS = ("constant", "exponential", "inverse_time", "function", "radam")
_LEAVES = (*_ENDLESS, "ramp", "geometric", "window", "piecewise", "table")


def schedules(lengths=integer_steps, depth=3, ends=False) -> st.SearchStrategy[Schedule]:
    """Draw a tree of at most ``depth`` combinators; with ``ends`` a tree of finite length."""
    kinds = [
        kind
        for kind in MAKERS
        if not (depth == 0 and kind not in _LEAVES) and not (ends and kind in _ENDLESS)
    ]
    return st.deferred(
        lambda: st.one_of([MAKERS[kind](lengths, max(depth - 1, 0), ends) for kind in kinds])
    )


def kinds_in(schedule: Schedule) -> set[str]:
    """Return the kinds of all schedules in a tree."""
    return {schedule.kind}.union(*(kinds_in(part) for part in parts_of(schedule)))


def parts_of(schedule: Schedule) -> tuple[Schedule, ...]:
    """Return the direct parts of a schedule."""
    if hasattr(schedule, "part"):
        return (schedule.part,)
    return getattr(schedule, "parts", ())


def size(schedule: Schedule) -> float:
    """Return a bound of the absolute value, and of the factor on the error of a part."""
    parts = [size(part) for part in parts_of(schedule)]
    match schedule:
        case Constant(value):
            return abs(value)
        case Ramp(start, end) | Geometric(start, end) | Window(Ramp(start, end)):
            return max(abs(start), abs(end))
        case Window(shape):
            return max(shape.start, shape.end)
        case Piecewise(_, numbers) | Table(numbers):
            return max(map(abs, numbers))
        case Exponential(peak) | InverseTime(peak) | RAdam(peak):
            return abs(peak)
        case Function():
            return 1.0
        case Product():
            return math.prod(parts)
        case Sum():
            return sum(parts)
        case Quotient((_, Constant(divisor))):
            return parts[0] / divisor
        case Quotient():
            return parts[0] * (1.0 + parts[1])  # the divisor is at least 1
        case Power((_, Constant(exponent))):
            return max(1.0, exponent) * parts[0] ** exponent
        case Power((Constant(base), _)):
            return max(1.0, -math.log(base) * parts[1])
    return max(parts)


def boundaries(schedule: Schedule) -> set[int]:
    """Return the steps, counted from the start of the schedule, at which its formula changes."""
    return {*itertools.islice(schedule._joints(2**31 - 1), 200)} | {
        schedule.length if isinstance(schedule.length, int) else 0
    }


def probe(schedule: Schedule, last: int = 2**31 - 1) -> np.ndarray:
    """Return test steps for a resolved schedule: at its start, its boundaries and far beyond."""
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
    "min_factor": st.floats(0, 1),
    "threshold_mode": st.sampled_from(["relative", "absolute"]),
    "average": st.integers(1, 4),
}
controllers = st.one_of(
    st.builds(Plateau, restore_best=st.booleans(), min_lr=st.floats(0, 1), **_judging),
    st.builds(Greedy, max_factor=st.floats(1, 100), **_judging),
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
one_cycles = st.builds(
    one_cycle,
    st.floats(1e-4, 10.0),
    st.one_of(st.none(), st.integers(3, 10_000), st.sampled_from(["30 epochs", "1M samples"])),
    start=st.one_of(st.none(), st.floats(1e-6, 1e-4)),
    end=st.sampled_from([0.0, 1e-7]),
    rise=st.floats(0.01, 0.6),
    tail=st.one_of(st.just(0.0), st.floats(0.01, 0.3)),
    momentum=st.sampled_from([None, (0.95, 0.85), (0.9, 0.9)]),
    curve=st.sampled_from(["cosine", "linear", "1-sqrt"]),
)
policies = st.one_of(
    one_cycles,
    st.builds(
        Policy,
        lr=targets,
        momentum=st.one_of(
            st.none(),
            st.floats(0, 0.99),
            st.builds(Ramp, st.floats(0, 0.99), st.floats(0, 0.99), any_lengths),
        ),
        weight_decay=st.one_of(st.none(), targets),
        control=st.one_of(st.none(), controllers),
        values=st.one_of(st.none(), st.dictionaries(st.sampled_from(["ema_decay"]), values)),
        extra=st.one_of(st.none(), st.dictionaries(st.sampled_from(["eps", "dampening"]), targets)),
    ),
)
