"""Compare lehr with schedules of vision, diffusion and reinforcement-learning codebases.

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
    exponential,
    inverse_time,
    linear,
    piecewise,
    polynomial,
    warmup,
)

P, F, S, W, N = 0.1, 0.001, 0.0005, 20, 200


def fall(t: int) -> float:
    """Return the cosine from P at step W to F at the end of the run."""
    return wave(P, F, (t - W) / (N - W))


# DINOv2 b8931f7, DINOv3 6876159, ConvNeXt 048efce, BEiT (unilm 768a3c8), MAE efb2a80, DeiT 7e160fe


def dino(t: int) -> float:
    """The peak is used twice: at the end of the warm-up (W - 1) and the start of the cosine (W)."""
    return line(S, P, t / (W - 1)) if t < W else fall(t)


def dino_frozen(t: int) -> float:
    if t < 30:
        return 0.0
    return line(S, P, (t - 30) / 19) if t < 50 else wave(P, F, (t - 50) / (N - 50))


TRUNC = int(1.25 * (N - W))


def dinov3_trunc(t: int) -> float:
    def raw(k: int) -> float:
        return wave(1, 0, k / (TRUNC - 1))

    if t < W:
        return line(S, P, t / (W - 1))
    last = raw(N - W - 1)
    return F + (P - F) * (raw(t - W) - last) / (1 - last)


def dinov3_trunc_form():
    raw = cosine(1.0, TRUNC - 1)
    last = raw(N - W - 1)
    return warmup(P, W - 1, start=S).with_end().then((P - F) * (raw - last) / (1 - last) + F)


SELF_SUPERVISED = [
    Case(
        "DINOv2, DINOv3, ConvNeXt, BEiT",
        dino,
        lambda: warmup(P, W - 1, start=S).with_end().then(cosine(P, floor=F)),
    ),
    Case(
        "DINOv2: freeze_iters",
        dino_frozen,
        lambda: (
            constant(0.0, 30).then(warmup(P, W - 1, start=S).with_end()).then(cosine(P, floor=F))
        ),
    ),
    Case(
        "DINOv2: weight decay",
        lambda t: wave(0.04, 0.4, t / N),
        lambda: warmup(0.4, N, start=0.04, curve="cosine"),
    ),
    Case(
        "DINOv2: teacher momentum",
        lambda t: wave(0.994, 1.0, t / N),
        lambda: warmup(1.0, "100%", start=0.994, curve="cosine"),
    ),
    Case(
        "DINOv2: last layer",
        lambda t: dino(t) if t >= 40 else 0.0,
        lambda: (
            warmup(P, W - 1, start=S).with_end().then(cosine(P, floor=F))
            * piecewise(["1 epoch"], [0.0, 1.0])
        ),
        run={"steps_per_epoch": 40},
    ),
    Case(
        "DINOv3 linear_warmup_cosine_decay",
        lambda t: line(S, P, t / W) if t < W else wave(P, F, min(1, (t - W) / (150 - 1))),
        lambda: warmup(P, W, start=S).then(cosine(P, 150 - 1, floor=F)),
    ),
    Case("DINOv3 trunc_extra", dinov3_trunc, dinov3_trunc_form),
    Case(
        "MAE adjust_learning_rate",
        lambda t: P * (t / 13) / 5 if t < 65 else wave(P, F, (t / 13 - 5) / (40 - 5)),
        lambda: warmup(P, "5 epochs").then(cosine(P, floor=F)),
        steps=40 * 13,
        run={"steps_per_epoch": 13},
    ),
    # from timm, by epochs; the warm-up replaces the first epochs of a cosine over the run
    Case(
        "DeiT",
        lambda t: line(1e-6, P, t // 13 / 5) if t < 65 else wave(P, F, t // 13 / 40),
        lambda: warmup(P, 5, start=1e-6).then(cosine(P, floor=F).shift(-5)).every("1 epoch"),
        steps=40 * 13,
        run={"steps_per_epoch": 13},
    ),
]


# ultralytics 8.4.190, engine/trainer.py: set per epoch; the warm-up of 3 epochs per batch


def yolo_body(t: int) -> float:
    return line(0.01, 0.0001, t // 13 / 40)


YOLO_RUN = {"steps": 40 * 13, "run": {"steps_per_epoch": 13}}

YOLO = [
    Case(
        "YOLO: weights",
        lambda t: min(1, t / 39) * yolo_body(t),
        lambda: warmup(1.0, "3 epochs") * linear(0.01, 0.0001).every("1 epoch"),
        **YOLO_RUN,
    ),
    Case(
        "YOLO: biases",
        lambda t: line(0.1, yolo_body(t), min(1, t / 39)),
        lambda: (
            linear(0.1, 0.0, "3 epochs")
            + warmup(1.0, "3 epochs") * linear(0.01, 0.0001).every("1 epoch")
        ),
        **YOLO_RUN,
    ),
    Case(
        "YOLO: momentum",
        lambda t: line(0.8, 0.937, min(1, t / 39)),
        lambda: linear(0.8, 0.937, "3 epochs"),
        **YOLO_RUN,
    ),
    Case(
        "YOLO: cos_lr",
        lambda t: min(1, t / 39) * wave(0.01, 0.0001, t // 13 / 40),
        lambda: warmup(1.0, "3 epochs") * cosine(0.01, floor="1%").every("1 epoch"),
        **YOLO_RUN,
    ),
    Case(
        "YOLO: EMA",
        lambda t: 0.9999 * (1 - math.exp(-(t + 1) / 2000)),
        lambda: 0.9999 * (1 - exponential(1.0, math.exp(-1), 2000).shift(-1)),
    ),
]


# stable-diffusion 21f890f, ldm/lr_scheduler.py; diffusers 0.42.1, with Transformers' schedules


def ldm_cycle(t: int, peak: float, warm: int, length: int) -> float:
    return line(S, peak, t / warm) if t < warm else wave(peak, F, (t - warm) / (length - warm))


def warmed(then):
    return lambda t: P * t / W if t < W else then(t)


DIFFUSION = [
    Case(
        "Stable Diffusion LambdaLinearScheduler, as configured",
        lambda t: line(1e-6, 1.0, min(t, 100) / 100),
        lambda: warmup(1.0, 100, start=1e-6),
    ),
    # as in BERT, the warm-up replaces the first W steps of the decay
    Case(
        "Stable Diffusion LambdaLinearScheduler",
        lambda t: line(S, P, t / W) if t < W else line(F, P, (N - t) / N),
        lambda: warmup(P, W, start=S).then(linear(P, F, N).shift(-W)),
    ),
    Case(
        "Stable Diffusion LambdaWarmUpCosineScheduler",
        lambda t: line(S, P, t / W) if t < W else wave(P, F, min(1, (t - W) / (150 - W))),
        lambda: warmup(P, W, start=S).then(cosine(P, 150 - W, floor=F)),
    ),
    # the end value of each cycle is used, the start value of the next is not
    Case(
        "Stable Diffusion LambdaWarmUpCosineScheduler2",
        lambda t: ldm_cycle(t, P, W, 80) if t <= 80 else ldm_cycle(t - 80, P / 2, 10, 120),
        lambda: (
            warmup(P, W, start=S)
            .then(cosine(P, 80 - W, floor=F))
            .with_end()
            .then(warmup(P / 2, 10, start=S).then(cosine(P / 2, 120 - 10, floor=F)).shift(-1))
        ),
    ),
    Case("diffusers constant_with_warmup", warmed(lambda t: P), lambda: warmup(P, W)),
    Case(
        "diffusers linear: f_min, f_max",
        lambda t: P * t / W if t < W else line(F, P, (N - t) / (N - W)),
        lambda: warmup(P, W).then(linear(P, F)),
    ),
    Case(
        "diffusers cosine: num_cycles",
        warmed(lambda t: wave(P, 0, 3 * (t - W) / (N - W))),
        lambda: (
            warmup(P, W)
            .then(cosine(P, (N - W) // 3))
            .then(warmup(P, (N - W) // 3, curve="cosine"))
            .then(cosine(P, (N - W) // 3))
        ),
    ),
    Case(
        "diffusers cosine_with_restarts",
        warmed(lambda t: wave(P, 0, (t - W) % 60 / 60)),
        lambda: warmup(P, W).then(cosine_restarts(P, (N - W) / 3, cycles=3)),
    ),
    Case(
        "diffusers polynomial",
        warmed(lambda t: F + (P - F) * (1 - (t - W) / (N - W)) ** 1.5),
        lambda: warmup(P, W).then(polynomial(P, floor=F, power=1.5)),
    ),
    Case(
        "diffusers piecewise_constant",
        lambda t: P * (1.0 if t < 10 else 0.1 if t < 20 else 0.01),
        lambda: P * piecewise([10, 20], [1.0, 0.1, 0.01]),
    ),
    Case(
        "diffusers EMAModel",
        lambda t: min(0.97, 1 - (1 + t) ** (-2 / 3)),
        lambda: (1 - inverse_time(1.0, 1, power=2 / 3)).minimum(0.97),
    ),
]


# cifar10-airbench f1c599c, hlb-CIFAR10 9939652, cifar10-fast f79e8b8


def hlb_one_cycle(t: int) -> float:
    top, last = 0.23 * N * 1.1 - 1, N - 1
    if t <= top:
        return line(1e-16 * P, P, t / top)
    return line(P, 0.1 * P, (t - top) / (last - top))


def hlb_one_cycle_form():
    top = 0.23 * N * 1.1 - 1
    return cyclical(1e-16 * P, P, up=top, down=(N - 1 - top) / 0.9)


CIFAR = [
    Case("airbench94_muon", lambda t: 0.24 * (1 - t / N), lambda: linear(0.24, 0.0)),
    Case(
        "airbench94_muon: whitening bias",
        lambda t: 0.05 * max(0.0, 1 - t / 75),
        lambda: linear(0.05, 0.0, "3 epochs"),
        run={"steps_per_epoch": 25},
    ),
    Case(
        "airbench96",
        lambda t: P * (line(0.2, 1.0, t / W) if t < W else (N - t) / (N - W)),
        lambda: warmup(P, "10%", start=0.2 * P).then(linear(P, 0.0)),
    ),
    Case(
        "hlb-CIFAR10, airbench96: EMA",
        lambda t: 0.95**5 * (t / N) ** 3,
        lambda: warmup(0.95**5, N, time_power=3.0),
    ),
    Case("hlb-CIFAR10 OneCycleLR", hlb_one_cycle, hlb_one_cycle_form),
    Case(
        "cifar10-fast, DAWNBench",
        lambda t: line(0, 0.4, t / 13 / 5) if t < 65 else line(0.4, 0, (t / 13 - 5) / 19),
        lambda: piecewise([0, "5 epochs", "24 epochs"], [0.0, 0.4, 0.0], curve="linear"),
        steps=24 * 13,
        run={"steps_per_epoch": 13},
    ),
]


# stable-baselines3 e05d2db, functions of the remaining share of the run; RLlib, of steps

RL = [
    Case(
        "stable-baselines3 LinearSchedule",
        lambda t: line(1.0, 0.05, min(1, t / N / 0.7)),
        lambda: linear(1.0, 0.05, "70%"),
    ),
    # set after each of 20 rollouts, for the 10 updates on its data
    Case(
        "stable-baselines3 PPO",
        lambda t: line(0.0, P, 1 - (t // 10 + 1) / 20),
        lambda: linear(P, 0.0, 20).shift(-1).every(10),
    ),
    Case(
        "RLlib PiecewiseSchedule",
        lambda t: line(P, F, t / 100) if t < 100 else F,
        lambda: piecewise([0, 1e2], [P, F], curve="linear"),
    ),
]

CASES = [*SELF_SUPERVISED, *YOLO, *DIFFUSION, *CIFAR, *RL]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_all_values_of_a_run_agree(case):
    case.check()


def test_awkward_forms_are_listed():
    assert AWKWARD["vision"].keys() <= {case.name for case in CASES}
