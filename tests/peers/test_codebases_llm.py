"""Compare lehr with schedules of language-model codebases: OLMo and the GPT trainers.

The commit or version of each codebase is above its schedules. Formulas are reimplemented; t counts
updates from 0. P is the peak, F the floor, S the start of the warm-up of W steps, N the run.
"""

import math

import pytest
from codebases import Case, line, wave

from lehr import (
    constant,
    cosine,
    exponential,
    inverse_sqrt,
    inverse_time,
    linear,
    piecewise,
    polynomial,
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


# OLMo-core fa6c501, optim/scheduler.py; OLMo 59a53e3, olmo/optim.py


def power_lr(t: int) -> float:
    def at(t):
        return P * (t / W) ** -0.51

    return at(t) if t < 180 else at(180) * (N - t) / 20


def override_decay(t: int) -> float:
    def at(t):
        return line(S, P, t / 50) if t < 50 else wave(P, F, (t - 50) / 150)

    return at(t) if t < 120 else line(at(120), 0.0, min(1, (t - 120) / 40))


def composable(t: int) -> float:
    if t < 50:
        return line(S, P, t / 50)
    return wave(P, F, (t - 50) / 100) if t < 150 else line(F, 0.0, (t - 150) / 50)


def sequential(t: int) -> float:
    def part(t, peak, warm, end):
        return peak * t / warm if t < warm else wave(peak, peak / 10, (t - warm) / (end - warm))

    return part(t, P, W, 80) if t <= 80 else part(t - 80, P / 10, 10, N - 80)


def wsds(t: int) -> float:
    """Cooldowns of 20 steps that end at steps 80, 140 and 200; each end value is used once."""
    if t < W:
        return P * t / W
    left = next(end for end in (80, 140, 200) if t <= end) - t
    return line(F, P, min(left, 20) / 20)


def max_scheduler(t: int) -> float:
    return max(
        line(P / 10, P, t / W) if t < W else f(t) for f in (fall, lambda t: P * (W / t) ** 0.5)
    )


def bolt_on(t: int) -> float:
    return 0.0 if t < 60 else fall(80) * (t - 60) / 20 if t < 80 else fall(t)


def bolt_on_form():
    inner = warmup(P, W, start=P / 10).then(cosine(P, N - W, floor=F))
    return constant(0.0, 60).then(warmup(inner(80), 20)).then(inner.shift(-80))


OLMO = [
    Case("OLMo-core ConstantWithWarmup", warmed(lambda t: P, S), lambda: warmup(P, W, start=S)),
    Case(
        "OLMo-core LinearWithWarmup",
        warmed(lambda t: line(P, F, (t - W) / (N - W)), S),
        lambda: warmup(P, W, start=S).then_to(F),
    ),
    Case(
        "OLMo-core CosWithWarmup",
        warmed(fall, S),
        lambda: warmup(P, W, start=S).then(cosine(P, floor="10%")),
    ),
    Case(
        "OLMo-core CosWithWarmup: t_max",
        warmed(lambda t: fall(t, 150)),
        lambda: warmup(P, W).then(cosine(P, "until 150 steps", floor="10%")),
    ),
    Case(
        "OLMo-core CosWithWarmup: in tokens",
        warmed(lambda t: fall(t, 160)),
        lambda: warmup(P, "1M tokens").then(cosine(P, "until 8M tokens", floor="10%")),
        run={"tokens_per_step": 50_000},
    ),
    Case(
        "OLMo-core WSD",
        warmed(lambda t: line(F, P, min(N - t, 40) / 40), S),
        lambda: wsd(P, W, "20%", start=S, floor=F, curve="linear"),
    ),
    Case(
        "OLMo-core PowerLR",
        warmed(power_lr),
        lambda: warmup(P, W).then(inverse_time(P, W, power=0.51)).then_to(0.0, "10%"),
    ),
    Case(
        "OLMo-core InvSqrtWithWarmup",
        warmed(lambda t: F + (P - F) * (W / t) ** 0.5),
        lambda: warmup(P, W).then((P - F) * inverse_time(1.0, W, power=0.5) + F),
    ),
    Case(
        "OLMo-core HalfCosWithWarmup",
        lambda t: (P + F) / 2 * t / W if t < W else wave(P, F, (1 + (t - W) / (N - W)) / 2),
        lambda: warmup((P + F) / 2, W).then_to(F, curve="sine"),
    ),
    Case(
        "OLMo-core CosWithWarmupAndLinearDecay",
        warmed(lambda t: fall(t) if t < 180 else fall(180) * (N - t) / 20),
        lambda: warmup(P, W).then(cosine(P, floor="10%").take("until 90%")).then_to(0.0),
    ),
    Case(
        "OLMo-core OverrideDecay",
        override_decay,
        lambda: warmup(P, 50, start=S).then(cosine(P, 150, floor=F)).take(120).then_to(0.0, 40),
    ),
    Case(
        "OLMo-core ComposableScheduler",
        composable,
        lambda: linear(S, P, 50).then(cosine(P, 100, floor=F)).then_to(0.0, 50),
    ),
    # the end value of each part is used, the start value of the next is not
    Case(
        "OLMo-core SequentialScheduler",
        sequential,
        lambda: (
            warmup(P, W)
            .then(cosine(P, 80 - W, floor=P / 10))
            .with_end()
            .then(warmup(P / 10, 10).then(cosine(P / 10, N - 90, floor=P / 100)).shift(-1))
        ),
    ),
    Case(
        "OLMo-core WSDS",
        wsds,
        lambda: (
            warmup(P, W)
            .then(constant(P, "until 60 steps"))
            .then(linear(P, F, 20).with_end())
            .then(constant(P, "until 120 steps"))
            .then(linear(P, F, 20).with_end())
            .then(constant(P, "until 180 steps"))
            .then(linear(P, F))
        ),
    ),
    Case(
        "OLMo-core ExponentialScheduler",
        lambda t: 1e-6 * (P / 1e-6) ** (t / N),
        lambda: warmup(P, N, start=1e-6, curve="geometric"),
    ),
    Case(
        "OLMo CosWithWarmup",
        warmed(fall, P / 10),
        lambda: warmup(P, W, start=P / 10).then(cosine(P, floor="10%")),
    ),
    Case(
        "OLMo InvSqrtWithWarmup",
        warmed(lambda t: P * (W / t) ** 0.5, P / 10),
        lambda: inverse_sqrt(P, W, start=P / 10),
    ),
    Case(
        "OLMo MaxScheduler",
        max_scheduler,
        lambda: (
            warmup(P, W, start=P / 10)
            .then(cosine(P, floor="10%"))
            .maximum(inverse_sqrt(P, W, start=P / 10))
        ),
    ),
    Case("OLMo BoltOnWarmupScheduler", bolt_on, bolt_on_form),
    Case(
        "OLMo CosLinearEnvelope",
        warmed(lambda t: F + (1 - (t - W) / (N - W)) * (fall(t) - F), P / 10),
        lambda: warmup(P, W, start=P / 10).then(cosine(P - F) * linear(1.0, 0.0) + F),
    ),
    Case(
        "OLMo clip-norm warm-up",
        lambda t: 1.0 if t > 50 else 10.0 * 1.0,
        lambda: piecewise([50 + 1], [10.0, 1.0]),
    ),
]


# GPT-NeoX ea7aefd, nanoGPT 3adf61e, llm.c f1e2ace, open_clip 89fb801, nanochat 92d63d4, torchtitan
# b5bcd76, litgpt 2685705, torchtune bd2a0fc, modded-nanogpt f411b3d, autoresearch 228791f, MaxText
# e591f30, BERT eedf571, LLaMA-Factory ff6d4d1, LLaVA c121f04


def neox(then):
    return lambda t: P * max(1, t) / W if t <= W else max(F, then((t - W) / (N - W)))


def early(then):
    """Return the warm-up with (t + 1) / W; its value is P at steps W - 1 and W."""
    return lambda t: P * (t + 1) / W if t < W else then(t)


def trapeze(d: int, floor: float, shape=lambda u: u):
    return early(lambda t: P if t <= N - d else line(floor, P, shape((N - t) / d)))


def nanochat_momentum(t: int) -> float:
    if t < 40:
        return line(0.85, 0.97, t / 40)
    return line(0.97, 0.9, (t - 70) / 130) if t >= 70 else 0.97


def modded(t: int) -> float:
    rate = [1.0, 1.52, 1.73][t // 100]
    return line(rate, 0.15, (t - 120) / 180) if t >= 120 else rate


def modded_momentum(t: int) -> float:
    if t < 80:
        return line(0.85, 0.95, t / 80)
    return line(0.95, 0.85, (t - 150) / 50) if t > 150 else 0.95


def maxtext_wsd(t: int) -> float:
    return P if t < 120 else line(P, F, (t - 120) / 39) if t < 160 else 0.0


TRAINERS = [
    Case(
        "GPT-NeoX AnnealingLR: cosine",
        neox(lambda u: wave(P, F, u)),
        lambda: warmup(P, W).maximum(P / W).then(cosine(P, floor="10%")),
    ),
    Case(
        "GPT-NeoX AnnealingLR: linear",
        neox(lambda u: P * (1 - u)),
        lambda: warmup(P, W).maximum(P / W).then(linear(P, 0.0).maximum(F)),
    ),
    Case(
        "GPT-NeoX AnnealingLR: exponential",
        neox(lambda u: P * math.exp(-0.693 * u)),
        lambda: warmup(P, W).maximum(P / W).then(exponential(P, math.exp(-0.693), N - W)),
    ),
    Case(
        "nanoGPT get_lr",
        lambda t: P * (t + 1) / (W + 1) if t < W else fall(t),
        lambda: warmup(P, W, start=P / (W + 1)).then(cosine(P, floor="10%")),
    ),
    Case(
        "llm.c, open_clip cosine_lr",
        early(fall),
        lambda: warmup(P, "10%", from_zero=False).then(cosine(P, floor="10%")),
    ),
    Case("open_clip const_lr", early(lambda t: P), lambda: warmup(P, W, from_zero=False)),
    Case(
        "open_clip const_lr_cooldown",
        trapeze(60, F, lambda u: u**2),
        lambda: (
            warmup(P, W, from_zero=False)
            .then(constant(P))
            .then(polynomial(P, 60, floor=F, power=2))
        ),
    ),
    Case(
        "nanochat get_lr_multiplier",
        trapeze(130, P * 0.05),
        lambda: warmup(P, W, from_zero=False).then(constant(P)).then(linear(P, P * 0.05, "65%")),
    ),
    Case(
        "nanochat get_muon_momentum",
        nanochat_momentum,
        lambda: linear(0.85, 0.97, 40).then(constant(0.97)).then(linear(0.97, 0.9, "65%")),
    ),
    Case("nanochat get_weight_decay", lambda t: wave(0.28, 0.0, t / N), lambda: cosine(0.28)),
    Case(
        "torchtitan: linear",
        trapeze(60, F),
        lambda: warmup(P, W, from_zero=False).then(constant(P)).then_to(F, "30%"),
    ),
    Case(
        "torchtitan: sqrt",
        trapeze(60, F, lambda u: 1 - (1 - u) ** 0.5),
        lambda: warmup(P, W, from_zero=False).then(constant(P)).then_to(F, "30%", curve="1-sqrt"),
    ),
    Case(
        "torchtitan: cosine",
        trapeze(60, F, lambda u: wave(1, 0, 1 - u)),
        lambda: warmup(P, W, from_zero=False).then(constant(P)).then_to(F, "30%", curve="cosine"),
    ),
    # the loop of litgpt counts from 1
    Case(
        "litgpt get_lr",
        lambda t: warmed(fall)(t + 1),
        lambda: warmup(P, W).then(cosine(P, N - W, floor="10%")).shift(-1),
    ),
    Case(
        "torchtune get_cosine_schedule_with_warmup",
        warmed(lambda t: wave(P, 0, (t - W) / (N - W))),
        lambda: warmup(P, W).then(cosine(P)),
    ),
    # a factor for the batch size times a cooldown
    Case(
        "modded-nanogpt get_lr",
        modded,
        lambda: (
            (piecewise([100, 200], [1.0, 1.52, 1.73]) - 0.15)
            * constant(1.0).then(linear(1.0, 0.0, "60%"))
            + 0.15
        ),
        steps=300,
    ),
    Case(
        "modded-nanogpt get_muon_momentum",
        modded_momentum,
        lambda: linear(0.85, 0.95, 80).then(constant(0.95)).then(linear(0.95, 0.85, 50)),
    ),
    Case(
        "autoresearch get_muon_momentum",
        lambda t: line(0.85, 0.95, min(t / 150, 1)),
        lambda: linear(0.85, 0.95, 150),
    ),
    # the floor is the last value of the part; the rate is 0 after the part
    Case(
        "MaxText: cosine",
        warmed(lambda t: wave(P, F, (t - W) / 139) if t < 160 else 0.0),
        lambda: warmup(P, W).then(cosine(P, 140 - 1, floor="10%").with_end()).then(constant(0.0)),
    ),
    Case(
        "MaxText: WSD",
        warmed(maxtext_wsd),
        lambda: (
            warmup(P, W)
            .then(constant(P, 100))
            .then(linear(P, F, 40 - 1).with_end())
            .then(constant(0.0))
        ),
    ),
    # the decay covers the run; the warm-up replaces its first steps
    Case(
        "BERT create_optimizer",
        lambda t: P * t / W if t < W else P * (1 - t / N),
        lambda: warmup(P, "10%").then(linear(P, 0.0).shift("-10%")),
    ),
    Case(
        "LLaMA-Factory warmup_stable_decay",
        lambda t: P * t / 6 if t < 6 else P if t < 70 else wave(P, 0, (t - 70) / 130),
        lambda: warmup(P, "3%").then(constant(P, (N - 6) // 3)).then(cosine(P)),
    ),
    Case(
        "LLaVA",
        lambda t: P * t / 6 if t < 6 else wave(P, 0, (t - 6) / 194),
        lambda: warmup(P, "3%").then(cosine(P)),
    ),
]


CASES = [*OLMO, *TRAINERS]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_all_values_of_a_run_agree(case):
    case.check()
