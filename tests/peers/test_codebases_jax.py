"""Compare lehr with schedules of JAX codebases: levanter, axlearn, t5x, big_vision.

The commit or version of each codebase is above its schedules. Formulas are reimplemented; t counts
updates from 0. P is the peak, F the floor, S the start of the warm-up of W steps, N the run.
"""

import math

import pytest
from codebases import Case, line, wave

from lehr import (
    constant,
    cosine,
    cosine_restarts,
    exponential,
    inverse_sqrt,
    inverse_time,
    linear,
    piecewise,
    polynomial,
    step_decay,
    warmup,
    wsd,
)

P, F, S, W, N = 0.1, 0.01, 0.0005, 20, 200


def warmed(then, start: float = 0.0):
    """Return a linear warm-up to P at step W, followed by a function of the step."""
    return lambda t: line(start, P, t / W) if t < W else then(t)


def fall(t: int, end: int = N) -> float:
    """Return the cosine from P at step W to F at ``end``; F after ``end``."""
    return wave(P, F, min(t - W, end - W) / (end - W))


# levanter 9263f81; axlearn 34aed43 (counts updates from 1); t5x cc342d4


def levanter_cycles(t: int) -> float:
    if t < 100:
        return P * t / 10 if t < 10 else wave(P, F, (t - 10) / 90)
    return line(F, P, (t - 100) / 5) if t < 105 else wave(P, F, (t - 105) / 95)


def axlearn(f):
    return lambda t: f(t + 1)


def t5x(f):
    return lambda t: max(1e-8, f(t))


JAX = [
    Case(
        "levanter: stable, then linear",
        warmed(lambda t: P if t < 140 else line(P, F, (t - 140) / 60)),
        lambda: warmup(P, "10%").then(constant(P)).then_to(F, "30%"),
    ),
    Case(
        "levanter: cycles with rewarmup",
        levanter_cycles,
        lambda: (
            warmup(P, 10)
            .then(cosine(P, 90, floor="10%"))
            .then_to(P, 5)
            .then(cosine(P, floor="10%"))
        ),
    ),
    Case(
        "levanter inv",
        warmed(lambda t: P / (1 + (P / F - 1) * max(t - W, 1) / (N - W))),
        lambda: warmup(P, W).then(
            inverse_time(P, (N - W) / (P / F - 1)).minimum(P / (1 + (P / F - 1) / (N - W)))
        ),
    ),
    Case(
        "levanter inv_sqrt",
        warmed(lambda t: max(F, P * min(1, (t / 80) ** -0.5))),
        lambda: (
            warmup(P, W)
            .then(constant(P, "until 80 steps"))
            .then(inverse_time(P, 80, power=0.5).maximum(F))
        ),
    ),
    # 8 * 16 tokens per step; 0 is replaced by 1, because 0 ** -0.51 is infinite
    Case(
        "levanter power (Shen et al.)",
        lambda t: min(1.0, 8 * 4.6 * (8 * 16 * t) ** -0.51) if t else 1.0,
        lambda: (8 * 4.6 * linear(0.0, 8 * 16 * 200.0, 200).maximum(1.0) ** -0.51).minimum(1.0),
    ),
    Case(
        "axlearn polynomial",
        axlearn(lambda t: line(P, F, (t / N) ** 2)),
        lambda: polynomial(P, N, floor=F, time_power=2.0).shift(-1),
    ),
    Case(
        "axlearn exponential",
        axlearn(lambda t: math.exp(line(math.log(P), math.log(F), min(1, t / 150)))),
        lambda: exponential(P, F / P, 150).take(150).shift(-1),
    ),
    Case(
        "axlearn inverse_sqrt",
        axlearn(lambda t: max(t, W) ** -0.5),
        lambda: constant(W**-0.5, W).then(inverse_time(W**-0.5, W, power=0.5)).shift(-1),
    ),
    Case(
        "axlearn cosine_with_linear_warmup",
        axlearn(warmed(fall, S)),
        lambda: warmup(P, W, start=S).then(cosine(P, N - W, floor="10%")).shift(-1),
    ),
    Case(
        "axlearn cosine_with_linear_warmup: decay_begin_step",
        axlearn(warmed(lambda t: P if t < 60 else wave(P, 0, (t - 60) / (N - 60)))),
        lambda: warmup(P, W).then(constant(P, 60 - W)).then(cosine(P, N - 60)).shift(-1),
    ),
    Case(
        "axlearn warmup_stable_decay",
        axlearn(warmed(lambda t: P if t < 130 else line(P, F, (t - 130) / (N - 130)))),
        lambda: wsd(P, W, N - 130, steps=N, floor="10%", curve="linear").shift(-1),
    ),
    Case(
        "axlearn linear_schedule_with_warmup",
        axlearn(warmed(lambda t: line(P, F, (t - W) / (N - W)))),
        lambda: warmup(P, W).then(linear(P, F, N - W)).shift(-1),
    ),
    Case(
        "axlearn adafactor",
        axlearn(lambda t: 0.5 * min(t * W**-1.5, t**-0.5)),
        lambda: inverse_sqrt(0.5 * W**-0.5, W).shift(-1),
    ),
    Case(
        "Adafactor: relative step",
        axlearn(lambda t: min(0.1, t**-0.5)),
        lambda: inverse_time(1.0, 1, power=0.5).minimum(0.1),
    ),
    Case(
        "axlearn adafactor_decay_rate",
        axlearn(lambda t: 1 - t**-0.8),
        lambda: 1 - inverse_time(1.0, 1, power=0.8),
    ),
    Case(
        "axlearn decay_bias_correction",
        axlearn(lambda t: 0.9 * (1 - 0.9 ** (t - 1)) / (1 - 0.9**t)),
        lambda: 0.9 * (1 - exponential(1.0, 0.9, 1)) / (1 - exponential(0.9, 0.9, 1)),
    ),
    Case(
        "axlearn ema_schedule",
        axlearn(lambda t: t / (1 + t) if t < 50 else 0.9999),
        lambda: (1 - inverse_time(1.0, 1)).take(50).then(constant(0.9999)).shift(-1),
    ),
    Case(
        "t5x: constant * linear_warmup * rsqrt_decay",
        t5x(lambda t: 0.5 * min(1, t / W) / max(t, W) ** 0.5),
        lambda: inverse_sqrt(0.5 / W**0.5, W).maximum(1e-8),
    ),
    Case(
        "t5x: constant * linear_warmup * rsqrt_normalized_decay",
        t5x(lambda t: P * min(1, t / W) * (W / max(t, W)) ** 0.5),
        lambda: inverse_sqrt(P, W).maximum(1e-8),
    ),
    Case(
        "t5x: constant * linear_warmup * decay_every",
        t5x(lambda t: P * min(1, t / W) * 0.5 ** (t // 30)),
        lambda: (warmup(1.0, W) * step_decay(P, 0.5, 30)).maximum(1e-8),
    ),
    Case(
        "t5x: constant * linear_warmup * cosine_decay",
        t5x(lambda t: P * min(1, t / W) * wave(1, 0, max(0, t - W) % 60 / 60)),
        lambda: warmup(P, W).then(cosine_restarts(P, 60)).maximum(1e-8),
    ),
    Case(
        "t5x: linear_decay",
        t5x(lambda t: P * min(t / W, 1 + 0.01 * (W - t))),
        lambda: warmup(P, W).then(linear(P, 0.0, 1 / 0.01)).maximum(1e-8),
    ),
]


# big_vision 0127fb6, utils.py; vision_transformer c6de1e5. Warm-up and cooldown are factors.


def big_vision(decay, cooldown: int = 0):
    def at(t: int) -> float:
        up, down = min(1, t / W), min(1, (N - t) / cooldown) if cooldown else 1
        return decay(t, min(max((t - W) / (N - W), 0), 1)) * up * down

    return at


def stair(t: int, _: float) -> float:
    return P * [1.0, 0.1, 0.02][(t >= 60) + (t >= 150)]


def rsqrt(shift: int):
    return lambda t, _: P / (1 + (max(t - W, 0) + shift) / 50) ** 0.5


BIG_VISION = [
    Case(
        "big_vision: polynomial",
        big_vision(lambda t, u: F + (P - F) * (1 - u) ** 2),
        lambda: warmup(P, W).then(polynomial(P, floor=F, power=2)),
    ),
    Case(
        "big_vision: cosine, cooldown",
        big_vision(lambda t, u: wave(P, 0, u), 40),
        lambda: warmup(P, W).then(cosine(P)) * constant(1.0).then(linear(1.0, 0.0, 40)),
    ),
    Case(
        "big_vision: rsqrt, cooldown",
        big_vision(rsqrt(0), 40),
        lambda: inverse_sqrt(P, W, timescale=50) * constant(1.0).then(linear(1.0, 0.0, "20%")),
    ),
    Case(
        "big_vision: rsqrt with a shift",
        big_vision(rsqrt(30)),
        lambda: warmup(P / (1 + 30 / 50) ** 0.5, W).then(inverse_time(P, 50, power=0.5).shift(-30)),
    ),
    Case(
        "big_vision: stair",
        big_vision(stair),
        lambda: warmup(1.0, W) * piecewise([60, 150], [P, P * 0.1, P * 0.02]),
    ),
    Case(
        "vision_transformer: linear",
        big_vision(lambda t, u: line(P, 1e-5, u)),
        lambda: warmup(P, W).then(linear(P, 1e-5)),
    ),
    Case(
        "vision_transformer: cosine",
        big_vision(lambda t, u: wave(P, 0, u)),
        lambda: warmup(P, "10%").then(cosine(P)),
    ),
]

CASES = [*JAX, *BIG_VISION]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_all_values_of_a_run_agree(case):
    case.check()
