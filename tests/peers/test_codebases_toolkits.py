"""Compare lehr with schedules of training toolkits: DeepSpeed, fairseq, Paddle.

The commit or version of each codebase is above its schedules. Formulas are reimplemented; t counts
updates from 0. P is the peak, F the floor, S the start of the warm-up of W steps, N the run.
"""

import math

import pytest
from codebases import AWKWARD, Case, line, wave

from lehr import (
    constant,
    cosine,
    cosine_restarts,
    cyclical,
    exp_range,
    exponential,
    inverse_sqrt,
    inverse_time,
    linear,
    multi_step,
    piecewise,
    polynomial,
    step_decay,
    triangular,
    triangular2,
    warmup,
    wsd,
)

P, F, S, W, N = 0.1, 0.001, 0.0005, 20, 200


# DeepSpeed edaa722, runtime/lr_schedules.py. Every Warmup* uses its first value for two updates.


def late(f):
    """Delay a schedule as Warmup* does: update t uses the value of t - 1, update 0 that of 0."""
    return lambda t: f(max(t - 1, 0))


def log_warmup(t: int) -> float:
    return line(S, P, math.log(t + 1) / math.log(W)) if t < W else P


def ds_cosine(t: int) -> float:
    return P * t / W if t < W else wave(P, F, min(1, (t - W + 1) / (N - W)))


def ds_cycle(lo: float, hi: float, rate: float, stairs: bool = False):
    """Rise in 60 steps, fall in 40 (in 10 and 8 stairs), then ``lo / (1 + rate t / 25)``."""

    def at(t: int) -> float:
        if t > 100:
            return lo / (1 + rate * (t - 100) / 25)
        if stairs:
            return line(lo, hi, (t * 10 // 60) / 10 if t <= 60 else ((100 - t) * 8 // 40) / 8)
        return line(lo, hi, t / 60 if t <= 60 else (100 - t) / 40)

    return at


DEEPSPEED = [
    Case(
        "DeepSpeed LRRangeTest",
        lambda t: S * (1 + 5.0 * t / 40),
        lambda: linear(S, S * (1 + 5.0 * N / 40), N),
    ),
    Case(
        "DeepSpeed LRRangeTest: stairs",
        lambda t: S * (1 + 5.0 * (t // 40)),
        lambda: linear(S, S * (1 + 5.0 * 5), 5).every(40),
    ),
    Case(
        "DeepSpeed OneCycle",
        ds_cycle(S, P, 0.5),
        lambda: linear(S, P, 60).then(linear(P, S, 40)).then(inverse_time(S, 25 / 0.5)),
    ),
    Case(
        "DeepSpeed OneCycle: stairs",
        ds_cycle(S, P, 0.5, stairs=True),
        lambda: (
            linear(S, P, 10)
            .every(60 / 10)
            .then(linear(S, P, 8).every(40 / 8).reverse())
            .then(inverse_time(S, 25 / 0.5))
        ),
    ),
    Case(
        "DeepSpeed WarmupLR: linear",
        late(lambda t: line(S, P, min(t / W, 1))),
        lambda: warmup(P, W, start=S).shift(1),
    ),
    Case(
        "DeepSpeed WarmupLR: log",
        late(log_warmup),
        lambda: warmup(P, W, start=S, curve="log").shift(1),
    ),
    Case(
        "DeepSpeed WarmupDecayLR",
        late(lambda t: line(S, P, t / W) if t < W else line(S, P, (N - t) / (N - W))),
        lambda: warmup(P, W, start=S).then(linear(P, S, N - W)).shift(1),
    ),
    Case(
        "DeepSpeed WarmupDecayLR: log",
        late(lambda t: log_warmup(t) if t < W else line(S, P, (N - t) / (N - W))),
        lambda: warmup(P, W, start=S, curve="log").then(linear(P, S, N - W)).shift(1),
    ),
    Case(
        "DeepSpeed WarmupCosineLR",
        late(ds_cosine),
        lambda: warmup(P, W).then(cosine(P, N - W, floor=F).shift(-1)).shift(1),
    ),
]


# fairseq 3d262bb, optim/lr_scheduler/ (metaseq f7ffa5f has some of them)


def growing(first: int, growth: int, t: int) -> tuple[int, int, int]:
    """Return the cycle of step t, the step within the cycle, and the length of the cycle.

    fairseq computes the cycle with a logarithm; this integer loop is the exact result.
    """
    i, length = 0, first
    while t >= length:
        i, t, length = i + 1, t - length, length * growth
    return i, t, length


def fairseq_cosine(floor: float, growth: int):
    def at(t: int) -> float:
        if t < W:
            return line(S, P, t / W)
        i, now, length = growing(30, growth, t - W)
        return wave(P, floor, now / length) * 0.5**i

    return at


def fairseq_triangular(shrink_floor: bool):
    def at(t: int) -> float:
        i, now = divmod(t, 40)
        return line(F * (0.5**i if shrink_floor else 1), P * 0.5**i, 1 - abs(now / 20 - 1))

    return at


def tri_stage(t: int) -> float:
    if t < W:
        return line(0.01 * P, P, t / W)
    return P if t < 100 else P * math.exp(math.log(0.05) * (t - 100) / 100)


def fixed(t: int) -> float:
    epoch = 1 + t // 40
    rate = [P, P / 2][epoch - 1] if epoch < 3 else P / 2 * 0.1 ** (epoch + 1 - 3)
    return rate * min(1, (t + 1) / W)


FAIRSEQ = [
    Case(
        "fairseq cosine",
        fairseq_cosine(F, 1),
        lambda: warmup(P, W, start=S).then(
            cosine_restarts(P, 30, floor=F) * step_decay(1.0, 0.5, 30)
        ),
    ),
    Case(
        "fairseq cosine: growing",
        fairseq_cosine(0.0, 2),
        lambda: warmup(P, W, start=S).then(cosine_restarts(P, 30, growth=2, factor=0.5)),
    ),
    Case(
        "fairseq cosine: growing, with a floor",
        fairseq_cosine(F, 2),
        lambda: warmup(P, W, start=S).then(
            cosine_restarts(P, 30, growth=2, floor=F) * multi_step(1.0, 0.5, [30, 90])
        ),
    ),
    Case(
        "fairseq inverse_sqrt",
        lambda t: line(S, P, t / W) if t < W else P * W**0.5 * t**-0.5,
        lambda: inverse_sqrt(P, W, start=S),
    ),
    Case(
        "fairseq polynomial_decay",
        lambda t: P * t / W if t <= W else (P - F) * (1 - (t - W) / (N - W)) ** 2 + F,
        lambda: warmup(P, W).then(polynomial(P, floor=F, power=2)),
    ),
    Case(
        "metaseq polynomial_decay: zero_lr_warmup_steps",
        lambda t: (
            0.0
            if t <= 7
            else P * (t - 7) / W
            if t <= W + 7
            else line(P, F, (t - W - 7) / (N - W - 7))
        ),
        lambda: constant(0.0, 7).then(warmup(P, W)).then(linear(P, F)),
    ),
    Case(
        "fairseq step",
        lambda t: line(S, P, t / W) if t < W else max(P * 0.5 ** ((t - W) // 25), P / 30),
        lambda: warmup(P, W, start=S).then(step_decay(P, 0.5, 25).maximum(P / 30)),
    ),
    Case(
        "fairseq manual",
        lambda t: {1: P, 50: 0.03, 120: 0.004}[max(k for k in (1, 50, 120) if k <= max(t, 1))],
        lambda: piecewise([50, 120], [P, 0.03, 0.004]),
    ),
    Case(
        "fairseq triangular",
        fairseq_triangular(shrink_floor=False),
        lambda: triangular(0.0, 1.0, 20) * (step_decay(P, 0.5, 40) - F) + F,
    ),
    Case(
        "fairseq triangular: shrink_min",
        fairseq_triangular(shrink_floor=True),
        lambda: triangular(F, P, 20) * step_decay(1.0, 0.5, 40),
    ),
    Case(
        "fairseq tri_stage",
        tri_stage,
        lambda: wsd(P, W, 100, steps=N, start=0.01 * P, floor="5%", curve="geometric"),
    ),
    Case(
        "fairseq tri_stage: phase_ratio",
        tri_stage,
        lambda: wsd(P, "10%", "50%", start=0.01 * P, floor="5%", curve="geometric"),
    ),
    Case(
        "fairseq fixed",
        fixed,
        lambda: (
            warmup(1.0, W, from_zero=False)
            * constant(P, "1 epoch").then(step_decay(P / 2, 0.1, "1 epoch"))
        ),
        run={"steps_per_epoch": 40},
    ),
    # the part after the warm-up is a plateau; see the tests of Plateau
    Case(
        "fairseq reduce_lr_on_plateau: its warm-up",
        lambda t: line(S, P, min(t, W) / W),
        lambda: warmup(P, W, start=S),
    ),
]


# Paddle 3.3.1, optimizer/lr.py


def paddle_cycle(lo: float, hi: float, up: int, down: int, scale=lambda cycle, t: 1.0):
    def at(t: int) -> float:
        cycle, now = divmod(t, up + down)
        height = now / up if now <= up else (up + down - now) / down
        return lo + (hi - lo) * height * scale(cycle + 1, t)

    return at


def one_cycle(ends: list[float], joints: list[int]):
    def at(t: int) -> float:
        i = next(i for i, joint in enumerate(joints[1:]) if t <= joint)
        return wave(ends[i], ends[i + 1], (t - joints[i]) / (joints[i + 1] - joints[i]))

    return at


def paddle_restarts(t: int) -> float:
    _, now, length = growing(20, 2, t)
    return wave(P, F, now / length)


def paddle_polynomial(t: int) -> float:
    horizon = 40 * max(1, math.ceil(t / 40))
    return F + (P - F) * (1 - t / horizon) ** 2


PADDLE = [
    Case(
        "Paddle NoamDecay",
        lambda t: 256**-0.5 * min(t**-0.5 if t else 1, W**-1.5 * t),
        lambda: inverse_sqrt((256 * W) ** -0.5, W),
    ),
    Case(
        "Paddle PiecewiseDecay",
        lambda t: P if t < 50 else 0.03 if t < 120 else 0.004,
        lambda: piecewise([50, 120], [P, 0.03, 0.004]),
    ),
    Case(
        "Paddle NaturalExpDecay",
        lambda t: P * math.exp(-0.02 * t),
        lambda: exponential(P, math.exp(-1), 1 / 0.02),
    ),
    Case(
        "Paddle InverseTimeDecay",
        lambda t: P / (1 + 0.05 * t),
        lambda: inverse_time(P, 1 / 0.05),
    ),
    Case(
        "Paddle PolynomialDecay",
        lambda t: F + (P - F) * (1 - min(t, 150) / 150) ** 1.5,
        lambda: polynomial(P, 150, floor=F, power=1.5),
    ),
    # the formula: its value at a horizon is the floor, as in Keras and unlike polynomial_cycles
    Case(
        "Paddle PolynomialDecay: cycle",
        paddle_polynomial,
        lambda: (
            (P - F) * (1 - linear(0.0, 200.0, 200) / linear(40.0, 240.0, 5).every(40).shift(1)) ** 2
            + F
        ),
    ),
    # the inner schedule is counted from the end of the warm-up
    Case(
        "Paddle LinearWarmup",
        lambda t: line(S, P, t / W) if t < W else P * 0.97 ** (t - W),
        lambda: warmup(P, W, start=S).then(exponential(P, 0.97, 1)),
    ),
    Case("Paddle ExponentialDecay", lambda t: P * 0.97**t, lambda: exponential(P, 0.97, 1)),
    Case(
        "Paddle MultiStepDecay",
        lambda t: P * 0.2 ** sum(t >= m for m in (60, 90, 150)),
        lambda: multi_step(P, 0.2, [60, 90, 150]),
    ),
    Case("Paddle StepDecay", lambda t: P * 0.5 ** (t // 30), lambda: step_decay(P, 0.5, 30)),
    # recursive in Paddle; it rises after T_max
    Case(
        "Paddle CosineAnnealingDecay",
        lambda t: wave(P, F, t / 50),
        lambda: cosine(P, 50, floor=F).then(warmup(P, 50, start=F, curve="cosine")).repeat(),
    ),
    Case(
        "Paddle MultiplicativeDecay: by a constant",
        lambda t: math.prod([P] + [0.98] * t),
        lambda: exponential(P, 0.98, 1),
    ),
    # as in torch, the phases end at 0.3 * 200 - 1 and 200 - 1
    Case(
        "Paddle OneCycleLR",
        one_cycle([P / 25, P, F], [0, 59, 199]),
        lambda: warmup(P, 59, start=P / 25, curve="cosine").then(cosine(P, floor=F)),
        steps=199,
    ),
    Case(
        "Paddle OneCycleLR: three_phase",
        one_cycle([P / 25, P, P / 25, F], [0, 59, 118, 199]),
        lambda: (
            warmup(P, 59, start=P / 25, curve="cosine")
            .then(cosine(P, 59, floor=P / 25))
            .then(cosine(P / 25, floor=F))
        ),
        steps=199,
    ),
    Case(
        "Paddle CyclicLR",
        paddle_cycle(F, P, 15, 25),
        lambda: cyclical(F, P, 15, 25),
    ),
    Case(
        "Paddle CyclicLR: triangular2",
        paddle_cycle(F, P, 20, 20, lambda cycle, t: 0.5 ** (cycle - 1)),
        lambda: triangular2(F, P, 20),
    ),
    Case(
        "Paddle CyclicLR: exp_range",
        paddle_cycle(F, P, 20, 20, lambda cycle, t: 0.99**t),
        lambda: exp_range(F, P, 20, 0.99),
    ),
    Case(
        "Paddle CyclicLR: scale_fn",
        paddle_cycle(F, P, 20, 20, lambda cycle, t: 1 / cycle),
        lambda: cyclical(F, P, 20, scale=lambda cycle: 1 / cycle),
    ),
    Case(
        "Paddle LinearLR",
        lambda t: P * line(1 / 3, 1, min(t, 50) / 50),
        lambda: warmup(P, 50, start=P / 3),
    ),
    Case(
        "Paddle CosineAnnealingWarmRestarts",
        paddle_restarts,
        lambda: cosine_restarts(P, 20, growth=2, floor=F),
    ),
]


CASES = [*DEEPSPEED, *FAIRSEQ, *PADDLE]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_all_values_of_a_run_agree(case):
    case.check()


def test_awkward_forms_are_listed_and_at_most_five_in_all_files():
    assert AWKWARD["toolkits"].keys() <= {case.name for case in CASES}
    assert sum(map(len, AWKWARD.values())) <= 5
