"""Values computed by hand and with integers; for other libraries see tests/peers."""

import math
import warnings

import numpy as np
import pytest
from oracles import FLOAT64, near, values

import lehr
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
    Reverse,
    Shift,
    Sum,
    Table,
    Take,
    Window,
)

# Values by hand: sums of powers of two, or decimals with all digits written out.

HAND = {
    "constant": (lehr.constant(0.5), [0.5] * 4),
    "constant with a length": (
        lehr.constant(0.5, 2).then(lehr.constant(0.25)),
        [0.5, 0.5, 0.25, 0.25],
    ),
    "linear": (lehr.linear(1.0, 0.0, 4), [1, 0.75, 0.5, 0.25, 0, 0]),
    "linear, one step": (lehr.linear(1.0, 0.0, 1), [1, 0, 0]),
    "warmup": (lehr.warmup(1.0, 4), [0, 0.25, 0.5, 0.75, 1, 1]),
    "warmup from a start": (lehr.warmup(1.0, 2, start=0.5), [0.5, 0.75, 1, 1]),
    "linear, squared": (Ramp(1.0, 0.0, 4, power=2.0), [1, 0.5625, 0.25, 0.0625, 0, 0]),
    "linear, root": (Ramp(4.0, 0.0, 4, power=0.5), [4, 4 * 0.75**0.5, 4 * 0.5**0.5, 2, 0, 0]),
    "1-sqrt": (Ramp(1.0, 0.0, 16, "1-sqrt"), [1, 0.75, 1 - 0.5**1.5, 1 - 3**0.5 / 4, 0.5]),
    "rex": (Ramp(1.0, 0.0, 4, "rex"), [1, 6 / 7, 2 / 3, 0.4, 0, 0]),
    "sine": (Ramp(1.0, 0.0, 3, "sine"), [1, 0.5, 1 / (4 + 12**0.5), 0, 0]),
    "log": (lehr.warmup(3.0, 8, curve="log"), [0, 1, math.log2(3), 2, math.log2(5)]),
    "log, at its end": (lehr.warmup(3.0, 8, curve="log").shift(-7), [3, 3, 3]),
    "the first update moves": (
        lehr.warmup(1.0, 4, from_zero=False),
        [0.25, 0.5, 0.75, 1, 1],
    ),
    "the first update moves, from a start": (
        lehr.warmup(1.0, 2, start=0.5, from_zero=False).then(lehr.constant(0.25)),
        [0.75, 1, 0.25],
    ),
    "no step": (lehr.warmup(0.5, 0), [0.5, 0.5]),
    "no step before another part": (
        lehr.warmup(0.5, 0).then(lehr.linear(1.0, 0.0, 2)),
        [1, 0.5, 0, 0],
    ),
    "no step after another part": (
        lehr.linear(1.0, 0.0, 2).then(lehr.linear(4.0, 3.0, 0)),
        [1, 0.5, 3, 3],
    ),
    "no step between two parts": (
        lehr.linear(1.0, 0.0, 2).then(lehr.constant(9.0, 0)).then(lehr.constant(4.0)),
        [1, 0.5, 4, 4],
    ),
    "time squared": (Ramp(1.0, 0.0, 4, time_power=2.0), [1, 0.9375, 0.75, 0.4375, 0, 0]),
    "time's root, twice": (
        Ramp(0.0, 4.0, 4, power=0.5, time_power=0.5),
        [0, 4 - 8**0.5, 4 - 4 * (1 - 0.5**0.5) ** 0.5],
    ),
    "a ramp half a step on": (
        Window(lehr.linear(1.0, 0.0), 4, 0.5, 4.0),
        [0.875, 0.625, 0.375, 0.125, 0],
    ),
    "a ramp that ends between steps": (
        Window(lehr.linear(1.0, 0.0), 3, 0.0, 2.5),
        [1, 0.6, 0.2, 0, 0],
    ),
    "a ramp cut off": (Window(lehr.linear(1.0, 0.0), 2, 0.0, 8.0), [1, 0.875, 0.75, 0.75]),
    "a geometric curve from its middle": (
        Window(Geometric(1.0, 1 / 16), 4, 2.0, 4.0),
        [1 / 4, 1 / 8, 1 / 16, 1 / 16],
    ),
    "geometric": (Geometric(1.0, 1 / 16, 4), [1, 1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 16]),
    "geometric, up": (Geometric(1.0, 8.0, 3), [1, 2, 4, 8, 8]),
    "geometric, the first update moves": (Geometric(1.0, 8.0, 3, from_zero=False), [2, 4, 8, 8]),
    "inverse time": (InverseTime(1.0, 2), [1, 2 / 3, 0.5, 0.4, 1 / 3]),
    "inverse time, squared": (InverseTime(1.0, 1, 2.0), [1, 0.25, 1 / 9, 0.0625]),
    "inverse time, real": (InverseTime(1.0, 0.5), [1, 1 / 3, 0.2]),
    "inverse time in stairs": (InverseTime(1.0, 2, staircase=True), [1, 1, 0.5, 0.5, 1 / 3]),
    "exponential, real": (Exponential(1.0, 0.25, 2.5), [1, 0.25**0.4, 0.25**0.8]),
    # squares of r at updates 6 and 7, as fractions; update 5 has a larger rounding error
    "radam": (
        RAdam(1.0, 0.8).shift(-1),
        [(29773627 / 272043835) ** 0.5, (20685592053 / 100728280565) ** 0.5],
    ),
    "table": (Table((4.0, 1.0, 2.0)), [4, 1, 2, 2, 2]),
    "table of one": (Table((4.0,)), [4, 4]),
    "function": (Function(None, lambda t: 0.5 * t), [0, 0.5, 1]),
    "every": (Every(lehr.linear(1.0, 0.0, 2), 2), [1, 1, 0.5, 0.5, 0, 0]),
    "every, two ticks in three steps": (  # at 0, 1.5, 3, 4.5, 6
        Every(lehr.linear(4.0, 0.0, 4), 1.5),
        [4, 4, 3, 2, 2, 1, 0, 0],
    ),
    "every, three ticks in seven steps": (  # at 0, 2.33, 4.67, 7, 9.33
        Every(lehr.linear(4.0, 0.0, 4), "7/3 steps"),
        [4, 4, 3, 3, 3, 2, 2, 1, 1, 0, 0],
    ),
    "every, ticks at the next step": (
        Every(lehr.linear(4.0, 0.0, 4), "7/3 steps", "2/3 steps"),
        [4, 4, 4, 3, 3, 2, 2, 1, 1, 1, 0],
    ),
    "every, a table by tick": (lehr.table([4.0, 1.0, 2.0]).every(2), [4, 4, 1, 1, 2, 2, 2]),
    "reverse": (Reverse(lehr.linear(1.0, 0.0, 2)), [0, 0.5, 1, 1]),
    "reverse of a chain": (
        lehr.linear(1.0, 0.0, 1).then(lehr.linear(4.0, 2.0, 2)).reverse(),
        [2, 3, 4, 1, 1],
    ),
    "piecewise": (Piecewise((2, 3), (4.0, 2.0, 1.0)), [4, 4, 2, 1, 1]),
    "piecewise, one value": (Piecewise((), (4.0,)), [4, 4]),
    "staircase": (Exponential(1.0, 0.5, 3, staircase=True), [1, 1, 1, 0.5, 0.5, 0.5, 0.25]),
    "chain": (
        Chain((lehr.linear(0.0, 1.0, 2), lehr.linear(2.0, 1.0, 2), Constant(0.5))),
        [0, 0.5, 2, 1.5, 0.5, 0.5],
    ),
    "chain of single steps": (
        Chain(tuple(lehr.linear(v, 9.0, 1) for v in (1.0, 2.0, 3.0))),
        [1, 2, 3, 9, 9],
    ),
    "repeat": (Repeat(lehr.linear(1.0, 0.0, 2)), [1, 0.5, 1, 0.5, 1]),
    "repeat twice": (Repeat(lehr.linear(1.0, 0.0, 2), 2), [1, 0.5, 1, 0.5, 0, 0]),
    "repeat what a take ends early": (
        Repeat(Take(lehr.linear(1.0, 0.0, 4), 2), 2),
        [1, 0.75, 1, 0.75, 0.5, 0.5],
    ),
    "take": (Take(lehr.linear(1.0, 0.0, 4), 2), [1, 0.75, 0.5, 0.5]),
    "shift later": (Shift(lehr.linear(1.0, 0.0, 2), 2), [1, 1, 1, 0.5, 0, 0]),
    "shift earlier": (Shift(lehr.linear(1.0, 0.0, 4), -3), [0.25, 0, 0]),
    "product": (Product((lehr.linear(1.0, 0.0, 2), Constant(0.5))), [0.5, 0.25, 0]),
    "sum": (Sum((lehr.linear(1.0, 0.0, 2), Constant(0.5))), [1.5, 1, 0.5, 0.5]),
    "min": (Min((lehr.linear(1.0, 0.0, 4), Constant(0.5))), [0.5, 0.5, 0.5, 0.25, 0]),
    "max": (Max((lehr.linear(1.0, 0.0, 4), Constant(0.5))), [1, 0.75, 0.5, 0.5, 0.5]),
    "quotient": (Quotient((lehr.linear(3.0, 1.0, 2), Constant(4.0))), [0.75, 0.5, 0.25, 0.25]),
    "quotient of two": (
        lehr.linear(1.0, 3.0, 2) / lehr.linear(1.0, 5.0, 2),
        [1, 2 / 3, 0.6, 0.6],
    ),
    "a number divided": (6 / lehr.linear(1.0, 3.0, 2), [6, 3, 2, 2]),
    "power": (Power((lehr.linear(3.0, 1.0, 2), Constant(2.0))), [9, 4, 1, 1]),
    "a number to a power": (2 ** lehr.linear(0.0, 3.0, 3), [1, 2, 4, 8, 8]),
    "difference": (
        lehr.linear(3.0, 1.0, 2) - lehr.linear(0.0, 0.5, 2),
        [3, 1.75, 0.5, 0.5],
    ),
    "a number less a schedule": (1 - lehr.linear(1.0, 0.0, 4), [0, 0.25, 0.5, 0.75, 1, 1]),
    "negative": (-lehr.linear(1.0, 0.0, 2), [-1, -0.5, 0, 0]),
    "with its end": (lehr.linear(1.0, 0.0, 2).with_end().then(lehr.constant(4.0)), [1, 0.5, 0, 4]),
    "on to another value": (
        lehr.linear(1.0, 0.0, 4).take(2).then_to(4.5, 2),
        [1, 0.75, 0.5, 2.5, 4.5, 4.5],
    ),
    "clip": (lehr.linear(1.0, 0.0, 4).clip(0.25, 0.75), [0.75, 0.75, 0.5, 0.25, 0.25]),
    "triangular": (lehr.triangular(1.0, 3.0, 2), [1, 2, 3, 2, 1, 2, 3, 2, 1]),
    "triangular, half cycle of one": (lehr.triangular(1.0, 3.0, 1), [1, 3, 1, 3]),
    "triangular2": (
        lehr.triangular2(1.0, 3.0, 2),
        [1, 2, 3, 2, 1, 1.5, 2, 1.5, 1, 1.25, 1.5, 1.25, 1],
    ),
}


@pytest.mark.parametrize("name", HAND)
def test_values_by_hand(name):
    s, wanted = HAND[name]
    assert values(s, len(wanted)) == pytest.approx(wanted, rel=4e-16, abs=0)
    assert s(np.arange(len(wanted))).tolist() == pytest.approx(wanted, rel=4e-16, abs=0)


def test_every_public_schedule_class_has_values_by_hand():
    from lehr.schedule.codec import KINDS

    def kinds(s):
        inner = getattr(s, "parts", None) or ((s.part,) if hasattr(s, "part") else ())
        return {s.kind}.union(*map(kinds, inner))

    schedules = {kind for kind, cls in KINDS.items() if issubclass(cls, lehr.Schedule)}
    assert set().union(*(kinds(s) for s, _ in HAND.values())) == schedules


def test_cosine_by_its_symmetries():
    s = lehr.cosine(2.0, 12)
    assert [s(0), s(12), s(13), s(10**9)] == [2.0, 0.0, 0.0, 0.0]
    near([s(3), s(4), s(6), s(8)], [1 + 0.5**0.5, 1.5, 1.0, 0.5], FLOAT64)  # 45, 60, 90, 120 deg
    for t in range(13):
        assert s(t) + s(12 - t) == pytest.approx(2.0, rel=FLOAT64)
    with_floor = lehr.cosine(2.0, 12, floor=1.0)
    near([with_floor(0), with_floor(4), with_floor(6), with_floor(99)], [2, 1.75, 1.5, 1], FLOAT64)
    near([lehr.cosine(2.0, 12, power=2.0)(t) for t in (0, 4, 6, 12)], [2, 1.125, 0.5, 0], FLOAT64)
    near([lehr.cosine(2.0, 12, power=0.5)(t) for t in (0, 6, 8, 12)], [2, 2**0.5, 1, 0], FLOAT64)


def test_sine_by_its_angles():
    s = Ramp(2.0, 0.0, 6, "sine")  # 0, 15, 30, 45, 60, 75, 90 degrees
    assert [s(0), s(6), s(7)] == [2.0, 0.0, 0.0]
    wanted = [2 - (6**0.5 - 2**0.5) / 2, 1, 2 - 2**0.5, 2 - 3**0.5, 2 - (6**0.5 + 2**0.5) / 2]
    near([s(t) for t in range(1, 6)], wanted, FLOAT64)


def test_exponential_by_its_ratio():
    s = lehr.exponential(8.0, 0.5, every=4)
    assert s(0) == 8.0
    near([s(4), s(8), s(12), s(2), s(1)], [4, 2, 1, 32**0.5, 8 * 2**-0.25], FLOAT64)
    assert s(10**7) == 0.0
    up = Geometric(1.0, 1024.0, 10)
    near(values(up, 11), [2**t for t in range(11)], FLOAT64)
    assert [up(0), up(10)] == [1.0, 1024.0]
    near(values(up.reverse(), 11), [2 ** (10 - t) for t in range(11)], FLOAT64)
    down = Geometric(1024.0, 1.0, 10)
    near(values(down, 11), [2 ** (10 - t) for t in range(11)], FLOAT64)
    assert [down(0), down(10)] == [1024.0, 1.0]


@pytest.mark.parametrize("steps", [1, 2, 3, 7, 10, 117, 1000, 99_999])
def test_linear_by_integers(steps):
    # from `steps` down to 0 in `steps` steps, so the value is the number of remaining steps
    s = lehr.linear(float(steps), 0.0, steps)
    for t in {0, 1, steps // 3, steps // 2, steps - 1, steps, steps + 1, 5 * steps}:
        assert s(t) == pytest.approx(max(steps - t, 0), abs=steps * 2.0**-52)


def test_cyclical_rates_in_epochs():
    s = lehr.triangular2(0.0, 1.0, "1 epoch").resolve(steps_per_epoch=391)
    assert [s(391 * k) for k in range(6)] == [0.0, 1.0, 0.0, 0.5, 0.0, 0.25]
    half = lehr.triangular2(0.0, 1.0, "0.5 epochs").resolve(steps_per_epoch=5)  # 3 up, 2 down
    assert [half(t) for t in (0, 3, 5, 8, 10, 13)] == [0.0, 1.0, 0.0, 0.5, 0.0, 0.25]


def test_torch_misses_a_restart_found_by_logarithm_and_lehr_does_not():
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=10, T_mult=3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scheduler.step(1210)
    assert (
        optimizer.param_groups[0]["lr"] == 0.0
    )  # error in torch: int(log(...)) is too small by one
    assert lehr.cosine_restarts(1.0, 10, growth=3)(1210) == 1.0
