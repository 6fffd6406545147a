"""Compare lehr with schedules of speech toolkits: NeMo, espnet, s3prl.

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
    inverse_sqrt,
    inverse_time,
    linear,
    noam,
    piecewise,
    polynomial,
    step_decay,
    warmup,
    wsd,
)

P, F, S, W, N = 0.1, 0.001, 0.0005, 20, 200


def tri_stage(t: int) -> float:
    if t < W:
        return line(0.01 * P, P, t / W)
    return P if t < 100 else P * math.exp(math.log(0.05) * (t - 100) / 100)


# NeMo 8cfedd7, core/optim/lr_scheduler.py: most warm-ups are (t + 1) / (W + 1), P at step W


def nemo(then, warm_steps: int = W):
    return lambda t: P * (t + 1) / (W + 1) if t <= warm_steps else then(t)


def nemo_noam(t: int) -> float:
    step = max(t, 1)
    return P * 256**-0.5 * min(step**-0.5, step * W**-1.5)


NEMO = [
    Case("NeMo WarmupPolicy", nemo(lambda t: P), lambda: warmup(P, W + 1, from_zero=False)),
    Case(
        "NeMo SquareAnnealing",
        nemo(lambda t: max(P * ((N - t) / (N - W)) ** 2, F)),
        lambda: warmup(P, W, start=P / (W + 1)).then(polynomial(P, power=2).maximum(F)),
    ),
    # the decay covers the run; its first W steps are replaced by the warm-up
    Case(
        "NeMo SquareRootAnnealing",
        nemo(lambda t: max(P * ((N - t) / N) ** 0.5, F)),
        lambda: warmup(P, W + 1, from_zero=False).then(
            polynomial(P, N, power=0.5).shift(-(W + 1)).maximum(F)
        ),
    ),
    Case(
        "NeMo CosineAnnealing",
        nemo(lambda t: wave(P, F, (t - W) / (N - W))),
        lambda: warmup(P, W, start=P / (W + 1)).then(cosine(P, floor=F)),
    ),
    Case(
        "NeMo CosineAnnealing: constant_steps",
        lambda t: P * t / W if t <= W else wave(P, F, min(1, (t - W) / (N - 40 - W))),
        lambda: warmup(P, W).then(cosine(P, N - 40 - W, floor=F)),
    ),
    Case(
        "NeMo NoamAnnealing",
        nemo_noam,
        lambda: noam(256, W, scale=P),
    ),
    Case(
        "NeMo NoamHoldAnnealing",
        nemo(lambda t: P if t < W + 50 else max(P * W**0.7 / (t - 50) ** 0.7, F)),
        lambda: (
            warmup(P, W, start=P / (W + 1))
            .then(constant(P, 50))
            .then(inverse_time(P, W, power=0.7).maximum(F))
        ),
    ),
    Case(
        "NeMo WarmupAnnealing",
        nemo(lambda t: line(P, F, (t - W) / (N - W))),
        lambda: warmup(P, W, start=P / (W + 1)).then(linear(P, F)),
    ),
    Case(
        "NeMo InverseSquareRootAnnealing",
        nemo(lambda t: P / ((t + 1) / (W + 1)) ** 0.5),
        lambda: inverse_sqrt(P, W + 1).shift(-1),
    ),
    Case(
        "NeMo T5InverseSquareRootAnnealing",
        lambda t: max(t, 50) ** -0.5,
        lambda: constant(50**-0.5, 50).then(inverse_time(50**-0.5, 50, power=0.5)),
    ),
    Case(
        "NeMo PolynomialDecayAnnealing",
        nemo(lambda t: F + (P - F) * (1 - (t - W) / (N - W)) ** 3),
        lambda: warmup(P, W, start=P / (W + 1)).then(polynomial(P, floor=F, power=3)),
    ),
    Case(
        "NeMo PolynomialHoldDecayAnnealing",
        nemo(lambda t: P if t < W + 50 else F + (P - F) * (1 - (t - W - 50) / (N - W - 50)) ** 3),
        lambda: (
            warmup(P, W, start=P / (W + 1))
            .then(constant(P, 50))
            .then(polynomial(P, floor=F, power=3))
        ),
    ),
    Case(
        "NeMo reset_lr: a second schedule from step 80 on",
        lambda t: P * t / W if t <= W else P if t < 80 else wave(P / 2, F, (t - 80) / (N - 80)),
        lambda: warmup(P, W).take(80).then(cosine(P / 2, floor=F)),
    ),
]


# espnet2/schedulers/ and the scheduler of katsura-jp that it includes; s3prl ec8064b;
# lightning-bolts 2c4602a


def interpolated(t: int) -> float:
    step = t + 1
    if step > 60:
        return P * (60 / step) ** 0.5
    return line(0.0, 0.02, step / 20) if step < 20 else line(0.02, P, (step - 20) / 40)


def katsura(growth: int, gamma: float):
    def at(t: int) -> float:
        i, length = 0, 40
        while t >= length:
            i, t, length = i + 1, t - length, int((length - 10) * growth) + 10
        top = P * gamma**i
        return line(F, top, t / 10) if t < 10 else wave(top, F, (t - 10) / (length - 10))

    return at


def katsura_cycle(i: int):
    top = P * 0.5**i
    return warmup(top, 10, start=F).then(cosine(top, 30 * 2**i, floor=F))


SPEECH = [
    Case(
        "espnet WarmupLR",
        lambda t: P * W**0.5 * min((t + 1) ** -0.5, (t + 1) * W**-1.5),
        lambda: inverse_sqrt(P, W).shift(-1),
    ),
    Case(
        "espnet NoamLR",
        lambda t: P * 256**-0.5 * min((t + 1) ** -0.5, (t + 1) * W**-1.5),
        lambda: noam(256, W, scale=P).shift(-1),
    ),
    Case(
        "espnet WarmupStepLR",
        lambda t: P * (t + 1) / W if t + 1 <= W else P * 0.5 ** (((t + 1) // 10 - W // 10) // 3),
        lambda: warmup(P, W).then(step_decay(P, 0.5, 3 * 10)).shift(-1),
    ),
    Case(
        "espnet PiecewiseLinearWarmupLR",
        interpolated,
        lambda: (
            piecewise([0, 20, 60], [0.0, 0.02, P], curve="linear")
            .then(inverse_time(P, 60, power=0.5))
            .shift(-1)
        ),
    ),
    Case(
        "espnet TristageLR",
        lambda t: tri_stage(t + 1),
        lambda: wsd(P, W, 100, steps=N, start=0.01 * P, floor="5%", curve="geometric").shift(-1),
    ),
    Case(
        "katsura-jp: equal cycles",
        katsura(1, 1.0),
        lambda: cosine_restarts(P, 40, floor=F, warmup=10),
    ),
    Case(
        "katsura-jp: equal cycles, falling peak",
        katsura(1, 0.5),
        lambda: cosine_restarts(1.0, 40, warmup=10) * (step_decay(P, 0.5, 40) - F) + F,
    ),
    Case(
        "katsura-jp: growing",
        katsura(2, 0.5),
        lambda: katsura_cycle(0).then(katsura_cycle(1)).then(katsura_cycle(2)),
        steps=40 + 70 + 130,
    ),
    # these two have a drop after their warm-up
    Case(
        "s3prl sqrt",
        lambda t: P * (t / W if t < W else t**-0.5),
        lambda: warmup(P, W).then(inverse_time(P / W**0.5, W, power=0.5)),
    ),
    Case(
        "s3prl noam",
        lambda t: P * (t / W if t < W else 768**-0.5 * t**-0.5),
        lambda: warmup(P, W).then(inverse_time(P * (768 * W) ** -0.5, W, power=0.5)),
    ),
    Case(
        "lightning-bolts LinearWarmupCosineAnnealingLR",
        lambda t: line(S, P, t / (W - 1)) if t < W else wave(P, F, (t - W) / (N - W)),
        lambda: warmup(P, W - 1, start=S).with_end().then(cosine(P, floor=F)),
    ),
    Case(
        "lightning-bolts linear_warmup_decay",
        lambda t: P * t / W if t < W else P * (1 - (t - W) / (N - W)),
        lambda: warmup(P, W).then(linear(P, 0.0)),
    ),
]

CASES = [*NEMO, *SPEECH]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_all_values_of_a_run_agree(case):
    case.check()


def test_awkward_forms_are_listed():
    assert AWKWARD["speech"].keys() <= {case.name for case in CASES}
