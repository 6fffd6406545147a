"""Lengths that an int32 cannot count, in graphs that count in int32."""

import warnings

import numpy as np
import pytest
from oracles import FLOAT32, near

import lehr
from lehr.schedule import Chain, Constant, Exponential, Ramp

LONG = 2**31
STEPS = np.array([0, 1, 2**24 + 1, 10**9, 2**31 - 2, 2**31 - 1])
CASES = {
    f"{curve}, power {power:g}, {steps} steps": Ramp(1.0, 0.25, steps, curve, power)
    for steps in (LONG, LONG + 1, 3 * LONG + 7)
    for curve, power in (("linear", 1.0), ("linear", 0.5), ("cosine", 1.0), ("cosine", 0.3))
}
CASES |= {
    "squared": Ramp(1.0, 0.0, 5 * LONG, power=2.0),
    "exponential": Ramp(1.0, 1e-3, 2 * LONG, "exponential"),
    "bent": Ramp(1.0, 0.0, 2 * LONG, "cosine^1.5", 0.5),
    "warm-up": lehr.warmup(1.0, 3 * LONG),
    "a part of a phase": Ramp(1.0, 0.0, 2 * LONG, power=0.5, offset=2.5, span=4.0 * LONG),
    "chain": lehr.warmup(1.0, 100).then(lehr.cosine(1.0, 2 * LONG)),
    "a part that begins later": Chain((Ramp(1.0, 0.5, LONG + 5), Constant(0.25))),
    "a part that begins at 2**31": Chain((Ramp(1.0, 0.5, LONG), lehr.cosine(2.0, 10))),
    "a part that begins at the last": Chain((Ramp(1.0, 0.5, LONG - 1), Constant(0.25))),
    "restarts": lehr.cosine_restarts(1.0, "2 epochs", growth=3.0).resolve(steps_per_epoch=10**5),
    "product": lehr.cosine(1.0, 2 * LONG) * Exponential(1.0, 0.5, 10**9),
}
each_case = pytest.mark.parametrize("name", CASES)


def wanted(name: str) -> list[float]:
    return [CASES[name](int(t)) for t in STEPS]


@each_case
def test_numpy(name):
    near(CASES[name](STEPS), wanted(name), 4 * 2.0**-52)
    near(CASES[name](STEPS.astype(np.int32)), wanted(name), 4 * 2.0**-52)
    beyond = np.array([LONG, LONG + 5, 3 * LONG, 2**45])
    near(CASES[name](beyond), [CASES[name](int(t)) for t in beyond], 4 * 2.0**-52)


@each_case
def test_jax(name):
    jax = pytest.importorskip("jax")
    near(jax.jit(CASES[name])(STEPS.astype(np.int32)), wanted(name), FLOAT32)


@each_case
def test_tensorflow(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TensorFlow's own, at import
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
    s = Ramp(1.0, 0.0, 4 * LONG)
    assert [s(0), s(LONG), s(2 * LONG), s(4 * LONG), s(2**60)] == [1.0, 0.75, 0.5, 0.0, 0.0]
    root = Ramp(1.0, 0.0, 4 * LONG, power=0.5)
    assert [root(0), root(3 * LONG), root(4 * LONG)] == [1.0, 0.5, 0.0]
    s = CASES["a part that begins later"]
    assert [s(LONG + 4), s(LONG + 5)] == [pytest.approx(0.5), 0.25]
