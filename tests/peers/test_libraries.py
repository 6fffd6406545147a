"""Compare all values of a run with optax and Keras, with random arguments.

For torch see tests/schedule/test_presets.py; for transformers, ignite and fvcore see
test_published.py in this folder.
"""

import json
import random

import numpy as np
import pytest
from oracles import FLOAT32, near
from programs import run_python

import lehr

SEEDS = range(5)
N = 500
STEPS = np.arange(N)


def draws(seed: int):
    r = random.Random(seed)
    peak = r.uniform(1e-3, 2.0)
    return r, peak, peak * r.random(), r.randint(1, 60), r.randint(20, 400)


@pytest.mark.parametrize("seed", SEEDS)
def test_optax(seed):
    o, jax = pytest.importorskip("optax"), pytest.importorskip("jax")
    r, peak, floor, warmup, n = draws(seed)
    power, rate, rise = r.uniform(0.3, 4), r.uniform(0.1, 1), r.uniform(0.1, 0.5)
    one, two = sorted(r.sample(range(1, n), 2))
    up = lehr.warmup(peak, warmup)
    for s, peer in (
        (lehr.linear(peak, floor, n), o.linear_schedule(peak, floor, n)),
        (
            lehr.polynomial(peak, n, floor=floor, power=power),
            o.polynomial_schedule(peak, floor, power, n),
        ),
        (
            lehr.cosine(peak, n, floor=floor, power=power),
            o.cosine_decay_schedule(peak, n, floor / peak, power),
        ),
        (lehr.exponential(peak, rate, n), o.exponential_decay(peak, n, rate)),
        (
            lehr.exponential(peak, rate, warmup, staircase=True),
            o.exponential_decay(peak, warmup, rate, staircase=True),
        ),
        (
            up.then(lehr.cosine(peak, n, floor=floor)),
            o.warmup_cosine_decay_schedule(0.0, peak, warmup, warmup + n, floor),
        ),
        (
            up.then(lehr.exponential(peak, rate, n)),
            o.warmup_exponential_decay_schedule(0.0, peak, warmup, n, rate),
        ),
        (
            lehr.multi_step(peak, rate, [one, two]),
            o.piecewise_constant_schedule(peak, {one: rate, two: rate}),
        ),
        (
            lehr.piecewise([0, one, two], [peak, peak * rate, peak * rate**2], curve="cosine"),
            o.piecewise_interpolate_schedule("cosine", peak, {one: rate, two: rate}),
        ),
        (
            lehr.piecewise([0, one, two], [peak, peak * rate, peak * rate**2], curve="linear"),
            o.piecewise_interpolate_schedule("linear", peak, {one: rate, two: rate}),
        ),
        (
            lehr.flat_cosine(peak, warmup, n),
            o.join_schedules(
                [o.constant_schedule(peak), o.cosine_decay_schedule(peak, n)], [warmup]
            ),
        ),
        (
            lehr.cosine_restarts(peak, n, cycles=2, warmup=warmup if warmup < n else 0),
            o.sgdr_schedule(
                [
                    {
                        "init_value": 0.0 if warmup < n else peak,
                        "peak_value": peak,
                        "warmup_steps": warmup if warmup < n else 0,
                        "decay_steps": n,
                    }
                ]
                * 2
            ),
        ),
        (
            lehr.one_cycle(peak, 10 * n, rise=round(rise, 1), end=peak / 25 / 1e4).lr,
            o.cosine_onecycle_schedule(10 * n, peak, round(rise, 1)),
        ),
    ):
        near(s(STEPS), jax.vmap(peer)(STEPS), FLOAT32)


KERAS = """
import json, sys
import numpy as np
from keras.optimizers.schedules import *

steps = np.arange(500)
request = json.load(sys.stdin)
rates = {code: np.asarray(eval(code)(steps), "float64").tolist() for code in request["runs"]}
wrong = 0
for first, growth, starts in request["restarts"]:
    at = np.array(starts + [0] * (20 - len(starts)))  # equal shapes
    got = np.asarray(CosineDecayRestarts(1.0, first, t_mul=growth)(at))
    wrong += int((got < 0.5).sum())
json.dump([rates, wrong], sys.stdout)
"""


def keras_runs() -> dict[str, lehr.Schedule]:
    runs = {}
    for seed in SEEDS:
        r, peak, floor, size, n = draws(seed)
        power, rate, alpha = r.uniform(0.3, 4), r.uniform(0.1, 1), floor / peak
        at = sorted(r.sample(range(1, n), 3))
        values = [peak * r.random() for _ in range(4)]
        runs |= {
            f"CosineDecay({peak}, {n}, alpha={alpha})": lehr.cosine(peak, n, floor=floor),
            f"PolynomialDecay({peak}, {n}, {floor}, {power})": lehr.polynomial(
                peak, n, floor=floor, power=power
            ),
            f"ExponentialDecay({peak}, {n}, {rate})": lehr.exponential(peak, rate, n),
            f"ExponentialDecay({peak}, {size}, {rate}, True)": lehr.step_decay(peak, rate, size),
            f"InverseTimeDecay({peak}, {n}, {rate})": lehr.inverse_time(peak, n / rate),
            f"InverseTimeDecay({peak}, {size}, 1.0, True)": lehr.inverse_time(
                peak, size, staircase=True
            ),
            # Keras changes the value one step after the boundary
            f"PiecewiseConstantDecay({at}, {values})": lehr.piecewise([t + 1 for t in at], values),
        }
    return runs


def starts(first: int, growth: int) -> list[int]:
    found, at = [], 0
    while at < 1_000_000:
        found.append(at)
        at += first * growth ** (len(found) - 1)
    return found


def test_keras():
    pytest.importorskip("keras")
    pytest.importorskip("jax")
    runs = keras_runs()
    restarts = [(n, mul, starts(n, mul)) for n in range(10, 22) for mul in (2, 3)]
    cases = json.dumps({"runs": list(runs), "restarts": restarts})
    done = run_python("-c", KERAS, stdin=cases, KERAS_BACKEND="jax", JAX_PLATFORMS="cpu")
    rates, wrong = json.loads(done.stdout)
    for code, s in runs.items():
        try:
            near(s(STEPS), rates[code], FLOAT32)
        except AssertionError as error:
            pytest.fail(f"{code}: {error}")
    assert wrong > 0  # error in Keras: it computes the cycle with a logarithm in float32
    for first, growth, at in restarts:
        assert (lehr.cosine_restarts(1.0, first, growth=growth)(np.array(at)) == 1.0).all()
