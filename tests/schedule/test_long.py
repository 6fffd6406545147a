"""Lengths up to the limit of int32, and curves beyond the limit, in int32 graphs."""

import warnings
from fractions import Fraction

import numpy as np
import pytest
from oracles import FLOAT32, near

import lehr
from lehr.schedule import Chain, Constant, Exponential, Geometric, Piecewise, Ramp, Window

LAST = 2**31 - 1  # the last step and the longest length
STEPS = np.array([0, 1, 2**24 + 1, 10**9, LAST - 1, LAST])
CASES = {
    f"{curve}, power {power:g}, {steps} steps": Ramp(1.0, 0.25, steps, curve, power)
    for steps in (LAST, LAST - 1)
    for curve, power in (("linear", 1.0), ("linear", 0.5), ("cosine", 1.0), ("cosine", 0.3))
}
CASES |= {
    f"{curve}, power {power:g}, cut off from {span:g} steps": Window(
        Ramp(1.0, 0.25, None, curve, power), LAST, 0.0, span
    )
    for span in (2.0**31, 2.0**31 + 1.5, 3 * 2.0**31 + 7)
    for curve, power in (("linear", 1.0), ("linear", 0.5), ("cosine", 1.0), ("cosine", 0.3))
}
CASES |= {
    "squared": Window(Ramp(1.0, 0.0, power=2.0), LAST, 0.0, 5 * 2.0**31),
    "geometric": Geometric(1.0, 1e-3, LAST),
    "geometric, cut off": Window(Geometric(1.0, 1e-3), LAST, 0.0, 2.0**32),
    "bent": Window(Ramp(1.0, 0.0, None, "cosine", 0.5, 1.5), LAST, 0.0, 2.0**32),
    "warm-up": Window(Ramp(0.0, 1.0), LAST, 0.0, 3 * 2.0**31),
    "a part of a phase": Window(Ramp(1.0, 0.0, power=0.5), LAST, 2.5, 2.0**33),
    "chain": lehr.warmup(1.0, 100).then(lehr.cosine(1.0, LAST)),
    "chain to the last step": lehr.warmup(1.0, 100).then(lehr.cosine(1.0)).resolve(LAST),
    "a part that begins later": Chain((lehr.warmup(1.0, 9), Ramp(1.0, 0.5, LAST), Constant(0.25))),
    "two parts that begin later": Chain(
        (Ramp(1.0, 0.5, LAST), Ramp(0.5, 0.25, LAST), Ramp(0.25, 2.0, 5))
    ),
    "a part that begins at the last": Chain((Ramp(1.0, 0.5, LAST), Constant(0.25))),
    "a part that begins one before": Chain((Ramp(1.0, 0.5, LAST - 1), lehr.cosine(2.0, 10))),
    "restarts": lehr.cosine_restarts(1.0, "2 epochs", growth=3.0).resolve(steps_per_epoch=10**5),
    "more tokens than steps": lehr.cosine(1.0, "3e9 tokens").resolve(tokens_per_step=1),
    "product": lehr.cosine(1.0, LAST) * Exponential(1.0, 0.5, 10**9),
    "reverse": lehr.linear(1.0, 0.0, LAST).reverse(),
    "the first update moves": lehr.warmup(1.0, 100, from_zero=False),
    "the first update of the longest moves": lehr.warmup(1.0, LAST, from_zero=False),
    "shift": lehr.linear(1.0, 0.0, LAST).shift(-(10**9)),
    "take": Exponential(1.0, 0.5, 10**9).take(LAST),
    "milestones": Piecewise((10**9, LAST - 1, LAST), (1.0, 0.5, 0.25, 0.125)),
    "ticks": lehr.linear(1.0, 0.0, 1000).every(2**21),
    "a time constant beyond": Exponential(1.0, 0.5, 1e10),
    "a time constant in tokens": lehr.inverse_time(1.0, "10T tokens").resolve(tokens_per_step=512),
    "stairs beyond": lehr.step_decay(1.0, 0.5, 1e10),
    "real ticks": lehr.linear(1.0, 0.0, 1000).every(2.1e6 + 1 / 3),
}
each_case = pytest.mark.parametrize("name", CASES)


def wanted(name: str) -> list[float]:
    return [CASES[name](int(t)) for t in STEPS]


@each_case
def test_numpy(name):
    near(CASES[name](STEPS), wanted(name), 4 * 2.0**-52)
    near(CASES[name](STEPS.astype(np.int32)), wanted(name), 4 * 2.0**-52)
    beyond = np.array([LAST + 1, LAST + 6, 3 * 2**31, 2**45])
    near(CASES[name](beyond), [CASES[name](int(t)) for t in beyond], 4 * 2.0**-52)


@each_case
def test_jax(name):
    jax = pytest.importorskip("jax")
    near(jax.jit(CASES[name])(STEPS.astype(np.int32)), wanted(name), FLOAT32)


@each_case
def test_tensorflow(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # raised by TensorFlow at import
        tf = pytest.importorskip("tensorflow")
    for dtype in (tf.int32, tf.int64):
        got = tf.function(lambda t: tf.cast(CASES[name](t), tf.float32))(tf.constant(STEPS, dtype))
        near(got, wanted(name), FLOAT32)


@each_case
def test_torch(name):
    torch = pytest.importorskip("torch")
    for dtype in (torch.int32, torch.int64):
        near(CASES[name](torch.from_numpy(STEPS).to(dtype)), wanted(name), FLOAT32)


def test_the_values_by_hand():
    s = Window(lehr.linear(1.0, 0.0), LAST, 0.0, 2.0**33)
    assert [s(0), s(2**29), s(2**30), s(3 * 2**29)] == [1.0, 0.9375, 0.875, 0.8125]
    assert s(LAST) == s(LAST + 1) == s(2**60) == pytest.approx(0.75, rel=1e-9)
    root = Window(Ramp(1.0, 0.0, power=0.5), LAST, 3 * 2.0**31, 4 * 2.0**31)
    assert [root(0), root(LAST)] == [0.5, 2.0**-16.5]
    s = CASES["a part that begins later"]
    assert [s(9 + LAST - 1), s(9 + LAST), s(2**60)] == [pytest.approx(0.5), 0.25, 0.25]
    assert [s(9), s(9 + 2**30)] == [1.0, pytest.approx(0.75, rel=1e-9)]


def test_a_curve_longer_than_int32_steps_has_its_exact_shape():
    s = lehr.linear(1.0, 0.0, "6e9 tokens").resolve(tokens_per_step=2)  # 3e9 steps
    assert s.length == LAST
    near([s(0), s(750_000_000), s(1_500_000_000)], [1.0, 0.75, 0.5], 1e-15)
    s = lehr.warmup(1.0, 1000).then(lehr.linear(1.0, 0.0, "6e9 tokens")).resolve(tokens_per_step=2)
    near([s(500), s(1000), s(750_001_000)], [0.5, 1.0, 0.75], 1e-15)


@pytest.mark.parametrize("staircase", [False, True])
def test_a_time_constant_may_be_longer_than_every_run(staircase):
    s = lehr.exponential(1.0, 0.5, "10T tokens", staircase=staircase)
    s = s.resolve(1000, tokens_per_step=1000)
    assert s == lehr.exponential(1.0, 0.5, 1e10, staircase=staircase)
    assert s == lehr.exponential(1.0, 0.5, 10**10, staircase=staircase)
    assert s == lehr.loads(s.dumps()) == lehr.parse(repr(s))
    assert s(2**30) == (1.0 if staircase else pytest.approx(0.5 ** (2**30 / 1e10), rel=1e-15))


@pytest.mark.parametrize(
    "interval", [10**9 + 0.5, 123_456.789, 71_582_788.3, "1e5/3 steps", "1234567891/987 steps", 7.3]
)
@pytest.mark.parametrize(
    "make",
    [
        lambda n: lehr.step_decay(1.0, 0.999, n),
        lambda n: lehr.from_function(lambda k: k).every(n),
        lambda n: lehr.linear(1.0, 0.0, n).repeat() if isinstance(n, str) else lehr.constant(1.0),
    ],
    ids=["stairs", "ticks", "cycles"],
)
def test_real_intervals_are_exact_in_arrays_of_int64(make, interval):
    s, exact = (
        make(interval),
        Fraction(str(interval).removesuffix(" steps").replace("1e5", "100000")),
    )
    last = int(LAST / exact)
    boundaries = [int(k * exact) for k in sorted({1, 2, 3, last // 3, last // 2, last - 1, last})]
    steps = np.array(
        sorted({t + d for t in boundaries for d in range(-1, 3) if 0 <= t + d <= LAST})
    )
    wanted = [s(int(t)) for t in steps]
    assert s(steps).tolist() == pytest.approx(wanted, rel=1e-15, abs=0)
    torch = pytest.importorskip("torch")
    near(s(torch.from_numpy(steps)), wanted, FLOAT32)


INTERVALS = {
    "every": lambda n: lehr.linear(1.0, 0.0, 5).every(n),
    "half_cycle": lambda n: lehr.triangular(0.0, 1.0, n),
    "up": lambda n: lehr.cyclical(0.0, 1.0, n),
    "down": lambda n: lehr.cyclical(0.0, 1.0, 5, n),
    "period": lambda n: lehr.cosine_restarts(1.0, n),
}


@pytest.mark.parametrize("name", INTERVALS)
@pytest.mark.parametrize("n", [2**31, 2.0**31, 1e10, 2**31 + 0.5, "2147483648 steps", 10**300])
def test_intervals_beyond_int32_are_rejected(name, n):
    field = "steps" if name == "every" else name
    with pytest.raises(
        ValueError, match=rf"^{field} must be below 2\*\*31 steps, .* int32, got '?\d"
    ):
        INTERVALS[name](n)
    INTERVALS[name](LAST)


LENGTHS = {
    "linear": lambda n: lehr.linear(1.0, 0.0, n),
    "constant": lambda n: lehr.constant(1.0, n),
    "warmup": lambda n: lehr.warmup(1.0, n),
    "Ramp": lambda n: Ramp(1.0, 0.0, n),
    "Geometric": lambda n: Geometric(1.0, 0.5, n),
    "take": lambda n: lehr.constant(1.0).take(n),
    "shift": lambda n: lehr.constant(1.0).shift(n),
    "milestone": lambda n: lehr.multi_step(1.0, 0.5, [n]),
    "knot": lambda n: lehr.piecewise([0, n], [1.0, 0.0], curve="cosine"),
    "cooldown": lambda n: lehr.wsd(1.0, 5, n),
    "hold": lambda n: lehr.flat_cosine(1.0, n),
    "run": lambda n: lehr.cosine(1.0).resolve(n),
    "decay_from": lambda n: lehr.Policy(0.1).decay_from(n),
}


@pytest.mark.parametrize("name", LENGTHS)
@pytest.mark.parametrize("n", [2**31, 2**31 + 1, 3 * 2**40, float(2**31), f"{2**31} steps"])
def test_lengths_beyond_int32_are_rejected(name, n):
    with pytest.raises(ValueError, match=r"must be below 2\*\*31 steps, .* in int32, got \d+"):
        LENGTHS[name](n)
    LENGTHS[name](LAST)


def test_a_window_beyond_int32_is_rejected():
    with pytest.raises(ValueError, match=r"^steps must be below 2\*\*31 steps, .* got 2147483648"):
        Window(lehr.linear(1.0, 0.0), 2**31, 0.0, 1e12)


def test_a_run_beyond_int32_is_rejected():
    with pytest.raises(
        ValueError, match=r"steps must be from 1 to 2\*\*31 - 1 steps, not 30000000"
    ):
        lehr.cosine(0.1).resolve("3T tokens", tokens_per_step=1000)
    with pytest.raises(ValueError, match=r"steps must be from 1 to 2\*\*31 - 1 steps, not 2147483"):
        lehr.cosine(0.1).resolve(f"{2**31} epochs", steps_per_epoch=1)
    assert lehr.cosine(0.1).resolve(f"{LAST} epochs", steps_per_epoch=1).length == LAST
