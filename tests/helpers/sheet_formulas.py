"""Reimplemented formulas of the codebases on the cheat sheet, by the calls shown there.

Each call returns a function of the update number, from 0. For the sources see
tests/peers/test_codebases_*.py. The run has 100 steps and the rate is 0.1; in fairseq, OLMo-core
and Paddle these two are no arguments of the call.
"""

import math
from bisect import bisect
from collections.abc import Callable

from codebases import line, wave

RUN, RATE = 100, 0.1
Rate = Callable[[int], float]


def cycle_of(first: int, growth: int, t: int, rest: int = 0) -> tuple[int, int, int]:
    """Return the cycle of step t, the step in it, and its length; ``rest`` steps do not grow."""
    i, length = 0, first
    while t >= length:
        i, t, length = i + 1, t - length, (length - rest) * growth + rest
    return i, t, length


def warmed(start: float, peak: float, w: int, after: Rate) -> Rate:
    return lambda t: line(start, peak, t / w) if t < w else after(t - w)


# DeepSpeed: the constructor sets the first value, and the first `step` sets the same value.


def late(f: Rate) -> Rate:
    return lambda t: f(max(t - 1, 0))


def ds_warmup(low: float, high: float, w: int, kind: str, after: Rate) -> Rate:
    def at(t: int) -> float:
        return line(low, high, math.log(t + 1) / math.log(w) if kind == "log" else t / w)

    return late(lambda t: at(t) if t < w else after(t - w))


def ds_cosine(optimizer, total, warmup_num_steps, cos_min_ratio, warmup_type) -> Rate:
    w, floor = warmup_num_steps, RATE * cos_min_ratio

    def after(t: int) -> float:
        return wave(RATE, floor, min(1, (t + 1) / (total - w)))

    return ds_warmup(0.0, RATE, w, warmup_type, after)


def ds_range(optimizer, low, size, rate, staircase=False) -> Rate:
    return lambda t: low * (1 + rate * (t // size if staircase else t / size))


def ds_cycle(optimizer, low, high, decay_lr_rate, first, second, decay_step_size) -> Rate:
    def at(t: int) -> float:
        if t <= first:
            return line(low, high, t / first)
        if t <= first + second:
            return line(high, low, (t - first) / second)
        return low / (1 + decay_lr_rate * (t - first - second) / decay_step_size)

    return at


DEEPSPEED = {
    "optimizer": None,
    "WarmupLR": lambda o, low, high, w, warmup_type="log": ds_warmup(
        low, high, w, warmup_type, lambda t: high
    ),
    "WarmupDecayLR": lambda o, n, low, high, w, warmup_type="log": ds_warmup(
        low, high, w, warmup_type, lambda t: line(high, low, min(1, t / (n - w)))
    ),
    "WarmupCosineLR": ds_cosine,
    "LRRangeTest": ds_range,
    "OneCycle": ds_cycle,
}


# fairseq: `step_update` is called with 0 before the first update.


def fairseq_cosine(warmup_updates, lr_period_updates, lr_shrink, min_lr=0.0, t_mult=1) -> Rate:
    def after(t: int) -> float:
        i, now, length = cycle_of(lr_period_updates, t_mult, t)
        return wave(RATE, min_lr, now / length) * lr_shrink**i

    return warmed(min_lr, RATE, warmup_updates, after)


def fairseq_triangular(max_lr, lr_period_updates, lr_shrink, shrink_min=False) -> Rate:
    def at(t: int) -> float:
        i, now = divmod(t, lr_period_updates)
        low = RATE * (lr_shrink**i if shrink_min else 1)
        return line(low, max_lr * lr_shrink**i, 1 - abs(2 * now / lr_period_updates - 1))

    return at


def tri_stage(phase_ratio, init_lr_scale, final_lr_scale) -> Rate:
    w, hold, decay = (int(share * RUN) for share in phase_ratio)

    def after(t: int) -> float:
        return RATE * final_lr_scale ** (min(max(t - hold, 0), decay) / decay)

    return warmed(init_lr_scale * RATE, RATE, w, after)


FAIRSEQ = {
    "cosine": fairseq_cosine,
    "inverse_sqrt": lambda warmup_updates, warmup_init_lr: warmed(
        warmup_init_lr,
        RATE,
        warmup_updates,
        lambda t: RATE * (warmup_updates / (t + warmup_updates)) ** 0.5,
    ),
    "polynomial_decay": lambda warmup_updates, end_learning_rate, power: warmed(
        0.0,
        RATE,
        warmup_updates,
        lambda t: (
            (RATE - end_learning_rate) * max(1 - t / (RUN - warmup_updates), 0) ** power
            + end_learning_rate
        ),
    ),
    "step": lambda warmup_updates, lr_decay_period, lr_decay, min_lr: warmed(
        min_lr,
        RATE,
        warmup_updates,
        lambda t: max(RATE * lr_decay ** (t // lr_decay_period), min_lr),
    ),
    "triangular": fairseq_triangular,
    "tri_stage": tri_stage,
}


# OLMo-core: shares are rounded half to even; t_max counts from the start of the run.


def olmo(after: Callable[..., Rate]):
    def make(warmup_steps=0, warmup_fraction=None, warmup_min_lr=0.0, **more) -> Rate:
        w = warmup_steps if warmup_fraction is None else round(warmup_fraction * RUN)
        return warmed(warmup_min_lr, RATE, w, after(w, **more))

    return make


def olmo_curve(shape):
    def after(w: int, alpha_f: float, t_max: int = RUN) -> Rate:
        return lambda t: shape(RATE, RATE * alpha_f, min(1, t / (t_max - w)))

    return olmo(after)


def olmo_wsd(w: int, decay_steps: int, decay_min_lr: float) -> Rate:
    return lambda t: line(decay_min_lr, RATE, max(0, min(1, (RUN - w - t) / decay_steps)))


def olmo_tail(w: int, decay_fraction: float, alpha_f: float) -> Rate:
    last = RUN - w - round(decay_fraction * RUN)

    def at(t: int) -> float:
        return wave(RATE, RATE * alpha_f, min(t, last) / (RUN - w))

    return lambda t: line(at(t), 0.0, min(1, max(0, t - last) / (RUN - w - last)))


OLMO = {
    "ConstantWithWarmup": olmo(lambda w: lambda t: RATE),
    "LinearWithWarmup": olmo_curve(line),
    "CosWithWarmup": olmo_curve(wave),
    "InvSqrtWithWarmup": olmo(
        lambda w, alpha_f: lambda t: RATE * (alpha_f + (1 - alpha_f) * (w / (t + w)) ** 0.5)
    ),
    "WSD": olmo(olmo_wsd),
    "CosWithWarmupAndLinearDecay": olmo(olmo_tail),
}


def katsura(optimizer, first, cycle_mult=1, max_lr=0.1, min_lr=0.001, warmup_steps=0, gamma=1.0):
    """The growth excludes the warm-up, and gamma scales the peak."""

    def at(t: int) -> float:
        i, now, length = cycle_of(first, cycle_mult, t, warmup_steps)
        top = max_lr * gamma**i
        if now < warmup_steps:
            return line(min_lr, top, now / warmup_steps)
        return wave(top, min_lr, (now - warmup_steps) / (length - warmup_steps))

    return at


KATSURA = {"optimizer": None, "CosineAnnealingWarmupRestarts": katsura}


# Paddle: the schedule is the learning rate of the optimizer, stepped after each update.


def paddle_cycle(low, high, up, down=None, mode="triangular", exp_gamma=1.0) -> Rate:
    down = up if down is None else down

    def at(t: int) -> float:
        i, now = divmod(t, up + down)
        height = now / up if now <= up else (up + down - now) / down
        scale = {"triangular": 1.0, "triangular2": 0.5**i, "exp_range": exp_gamma**t}[mode]
        return line(low, high, height * scale)

    return at


def paddle_polynomial(rate, n, end_lr, power, cycle=False) -> Rate:
    def at(t: int) -> float:
        horizon = n * max(1, math.ceil(t / n)) if cycle else n
        return end_lr + (rate - end_lr) * (1 - min(t, horizon) / horizon) ** power

    return at


def paddle_one_cycle(peak, total_steps, end_learning_rate) -> Rate:
    up, last = round(0.3 * total_steps) - 1, total_steps - 1

    def at(t: int) -> float:
        if t <= up:
            return wave(peak / 25, peak, t / up)
        return wave(peak, end_learning_rate, (t - up) / (last - up))

    return at


def paddle_restarts(rate, first, growth, floor) -> Rate:
    def at(t: int) -> float:
        _, now, length = cycle_of(first, growth, t)
        return wave(rate, floor, now / length)

    return at


PADDLE = {
    "NoamDecay": lambda d, w: lambda t: d**-0.5 * min(t**-0.5 if t else 1, w**-1.5 * t),
    "ExponentialDecay": lambda rate, gamma: lambda t: rate * gamma**t,
    "NaturalExpDecay": lambda rate, gamma: lambda t: rate * math.exp(-gamma * t),
    "InverseTimeDecay": lambda rate, gamma: lambda t: rate / (1 + gamma * t),
    "PolynomialDecay": paddle_polynomial,
    "LinearWarmup": lambda inner, w, start, end: warmed(start, end, w, inner),
    "PiecewiseDecay": lambda at, values: lambda t: values[bisect(at, t)],
    "CosineAnnealingDecay": lambda rate, n, floor: lambda t: wave(rate, floor, t / n),
    "StepDecay": lambda rate, every, gamma: lambda t: rate * gamma ** (t // every),
    "MultiStepDecay": lambda rate, at, gamma: lambda t: rate * gamma ** bisect(at, t),
    "LinearLR": lambda rate, n, first: lambda t: rate * line(first, 1.0, min(t, n) / n),
    "OneCycleLR": paddle_one_cycle,
    "CyclicLR": paddle_cycle,
    "CosineAnnealingWarmRestarts": paddle_restarts,
}


# MaxText: the last update of the schedule uses its last value; after that the rate is 0.


def maxtext(steps, warmup_steps_fraction, learning_rate_final_fraction, decay=None) -> Rate:
    w, floor = int(steps * warmup_steps_fraction), RATE * learning_rate_final_fraction
    n = steps - w if decay is None else int(steps * decay)

    def at(t: int) -> float:
        if t < w:
            return RATE * t / w
        u = max(0, t - (steps - n)) / (n - 1)
        return (wave if decay is None else line)(RATE, floor, u) if t < steps else 0.0

    return at


MAXTEXT = {
    "cosine": maxtext,
    "wsd": lambda steps, warmup_steps_fraction, wsd_decay_steps_fraction, final: maxtext(
        steps, warmup_steps_fraction, final, wsd_decay_steps_fraction
    ),
}
