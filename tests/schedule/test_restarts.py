"""Compare restarts with integers and fractions, in steps and in every other unit."""

import math
from fractions import Fraction

import numpy as np
import pytest
from oracles import FLOAT32, FLOAT64, near, values

import lehr

# The value at every restart is the peak, for all periods and growths.

GROWTHS = [2, 3, 4, 5, 10]
LAST = 2_000_000


def restarts(first: int, growth: int) -> list[int]:
    starts = [0]
    while starts[-1] < LAST:
        starts.append(starts[-1] + first * growth ** (len(starts) - 1))
    return starts[:-1]


@pytest.mark.parametrize("growth", GROWTHS)
def test_no_restart_is_missed(growth):
    jnp = pytest.importorskip("jax.numpy")
    for first in range(1, 111):
        s, starts = lehr.cosine_restarts(1.0, first, growth=growth), restarts(first, growth)
        assert [s(t) for t in starts] == [1.0] * len(starts)
        at = np.array(starts + [0] * (22 - len(starts)))  # trees of one shape are compiled once
        assert (s(at) == 1.0).all()
        assert (np.asarray(s(jnp.asarray(at, jnp.int32))) == 1.0).all()
        before = np.array([t - 1 for t in starts[1:]])  # the last step of each cycle
        lengths = first * growth ** np.arange(len(before))
        near(s(before), 0.5 + 0.5 * np.cos(math.pi * (1 - 1 / lengths)), FLOAT64)


@pytest.mark.parametrize("growth", GROWTHS)
@pytest.mark.parametrize("first", [1, 7, 10, 100])
def test_no_restart_is_missed_in_a_graph(first, growth):
    jax = pytest.importorskip("jax")
    s, starts = lehr.cosine_restarts(1.0, first, growth=growth), np.array(restarts(first, growth))
    assert jax.jit(s)(starts.astype(np.int32)).tolist() == [1.0] * len(starts)
    around = np.unique(np.clip(np.r_[starts - 1, starts + 1], 0, None))
    near(jax.jit(s)(around.astype(np.int32)), [s(int(t)) for t in around], FLOAT32)


@pytest.mark.slow
@pytest.mark.parametrize("growth", GROWTHS)
def test_no_restart_of_any_first_period_is_missed_in_a_graph(growth):
    """Slow (minutes): each first period is another tree and is compiled separately."""
    jax = pytest.importorskip("jax")
    wrong = {}
    for first in range(1, 111):
        s, starts = lehr.cosine_restarts(1.0, first, growth=growth), restarts(first, growth)
        got = np.asarray(jax.jit(s)(np.array(starts, np.int32)))
        missed = [t for t, value in zip(starts, got.tolist(), strict=True) if value != 1.0]
        if missed:
            wrong[first] = missed
    assert wrong == {}


@pytest.mark.parametrize("period", [10, 2.5, 7.3])
@pytest.mark.parametrize("growth", [1.5, 1.1, 0.8, 2.25])
def test_restarts_of_real_length_by_fractions(period, growth):
    cycles, start = [], Fraction(0)
    for i in range(12):
        length = Fraction(str(period)) * Fraction(str(growth)) ** i
        cycles.append((start, length))
        start += length
    s = lehr.cosine_restarts(2.0, period, growth=growth, factor=0.75, floor=0.5, cycles=12)
    joints = [math.ceil(a) for a, _ in cycles]
    for t in sorted({*range(400), *joints, math.ceil(start) - 1, math.ceil(start)}):
        inside = [(i, t - a, n) for i, (a, n) in enumerate(cycles) if a <= t < a + n]
        wanted = 0.5
        for i, gone, length in inside:
            wanted += 1.5 * 0.75**i * (0.5 + 0.5 * math.cos(math.pi * gone / length))
        assert s(t) == pytest.approx(wanted, rel=FLOAT64)
        if inside and inside[0][1] == 0:
            assert s(t) == 0.5 + 1.5 * 0.75 ** inside[0][0]
    assert s.length == math.ceil(start)


def test_equal_restarts_of_a_real_period():
    s = lehr.cosine_restarts(1.0, 2.5, factor=0.5)
    for t in range(100):
        i = math.floor(t / 2.5)
        wanted = 0.5**i * (0.5 + 0.5 * math.cos(math.pi * (t - 2.5 * i) / 2.5))
        assert s(t) == pytest.approx(wanted, rel=FLOAT64)
    counted = lehr.cosine_restarts(1.0, 2.5, cycles=3)
    assert counted.length == 8
    assert [counted(t) for t in (0, 5, 8, 9, 99)] == [1.0, 1.0, 0.0, 0.0, 0.0]


def test_restarts_in_epochs_and_with_a_warmup():
    s = lehr.cosine_restarts(1.0, "2 epochs", factor=0.5, cycles=2).resolve(steps_per_epoch=5)
    assert [s(t) for t in (0, 10, 20, 99)] == [1.0, 0.5, 0.0, 0.0]
    near([s(5), s(15)], [0.5, 0.25], FLOAT64)
    s = lehr.cosine_restarts(1.0, 6, factor=0.5, floor=0.25, warmup=2)
    near(values(s, 10)[:7], [0.25, 0.625, 1, 0.8902, 0.625, 0.3598, 0.25], 1e-4)
    assert s(8) == 0.625
    assert s(6 * 10**6) == 0.25


# Restarts in other units equal those in steps if the cycles are integer steps.

UNITS = {  # the text of 12 steps, and of a share of them
    "epochs": ("{:g} epochs", 2, {"steps_per_epoch": 6}),
    "share of the run": ("{:g}%", 3, {"steps": 400}),
    "samples": ("{:g} samples", 384, {"samples_per_step": 32}),
    "tokens": ("{:g} tokens", 6144, {"tokens_per_step": 512}),
    "steps": ("{:g} steps", 12, {}),
}
SHAPES = {
    "equal": {},
    "equal, fading": {"factor": 0.5, "floor": 0.125},
    "three": {"cycles": 3},
    "three, fading": {"cycles": 3, "factor": 0.75, "floor": 0.125},
    "growing": {"growth": 2.0},
    "growing by half": {"growth": 1.5, "cycles": 3, "factor": 0.75},
    "growing to a floor": {"growth": 3.0, "cycles": 3, "factor": 0.5, "floor": 0.125},
    "shrinking": {"growth": 0.5, "cycles": 2},
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("rise", [0, 3])
def test_restarts_in_every_unit_are_those_in_steps(unit, shape, rise):
    spelling, amount, run = UNITS[unit]
    warmup = rise if unit == "steps" else spelling.format(amount * rise / 12) if rise else 0
    s = lehr.cosine_restarts(2.0, spelling.format(amount), warmup=warmup, **SHAPES[shape])
    assert lehr.loads(s.dumps()) == s
    assert s.resolved == (unit == "steps")
    s = s.resolve(**run)
    in_steps = lehr.cosine_restarts(2.0, 12, warmup=rise, **SHAPES[shape])
    near(values(s, 400), values(in_steps, 400), FLOAT64)


@pytest.mark.parametrize("growth", [1.5, 2.0, 1.1])
@pytest.mark.parametrize("steps_per_epoch", [10, 7, 391])
def test_growing_epochs_restart_at_the_nearest_whole_step(growth, steps_per_epoch):
    s = lehr.cosine_restarts(1.0, "1 epoch", growth=growth, factor=0.5, cycles=8)
    s, exact, length = s.resolve(steps_per_epoch=steps_per_epoch), Fraction(0), Fraction(1)
    for i in range(8):
        start = math.floor(exact * steps_per_epoch + Fraction(1, 2))
        assert s(start) == 0.5**i
        exact, length = exact + length, length * Fraction(repr(growth))
    assert s.length == math.floor(exact * steps_per_epoch + Fraction(1, 2))


@pytest.mark.parametrize("per_step", [1, 32, 4_000_000])
@pytest.mark.parametrize("unit", ["samples", "tokens"])
def test_growing_cycles_in_samples_are_exact_in_long_runs(unit, per_step):
    s = lehr.cosine_restarts(1.0, f"{100 * per_step} {unit}", growth=3)
    s = s.resolve(**{f"{unit}_per_step": per_step})
    assert [s(t) for t in restarts(100, 3)] == [1.0] * len(restarts(100, 3))
    # beyond every known training run, or the int32 limit of steps
    assert s.length * per_step > 10**14 or s.length == 2**31 - 1


@pytest.mark.parametrize(
    "warmup", [3, "3 steps", "10%", "600 tokens", "1%", "1 token", "2 epochs", "5 epochs"]
)
def test_a_warmup_in_another_unit_or_as_long_as_a_cycle_is_rejected(warmup):
    match = "warmup must be less than a cycle of 2 epochs, in the same unit, got"
    for growth in (1.0, 2.0):
        with pytest.raises(ValueError, match=match):
            lehr.cosine_restarts(1.0, "2 epochs", growth=growth, warmup=warmup)


def test_a_cycle_not_longer_than_its_warmup_has_no_warmup_in_any_unit():
    spelled = lehr.cosine_restarts(1.0, "4 epochs", growth=0.5, cycles=3, warmup="1 epoch")
    spelled = spelled.resolve(steps_per_epoch=10)
    steps = lehr.cosine_restarts(1.0, 40, growth=0.5, cycles=3, warmup=10)
    for s in (spelled, steps):
        assert [s(t) for t in (0, 10, 40, 50, 60, 70)] == [0.0, 1.0, 0.0, 1.0, 1.0, 0.0]


@pytest.mark.parametrize("period", ["2 epochs", "1%", "1e6 tokens", "500 samples", 10, 2.5])
def test_shrinking_cycles_without_a_limit_are_rejected(period):
    match = "cycles must be given, at most 200, if 200 cycles do not cover the longest run"
    with pytest.raises(ValueError, match=match):
        lehr.cosine_restarts(1.0, period, growth=0.5)
