"""Time schedules against hand-written code, optax and torch: ``make benchmark``.

One call of a chain of three schedules, and the first 100,000 values of every preset.
"""

import math

import numpy as np
import optax
import rich
import torch
from table import TABLE, Row, measure, timed

import lehr

STEPS = 100_000
PRESETS = {
    "constant": lehr.constant(0.1),
    "linear": lehr.linear(1.0, 0.0, 90_000),
    "polynomial, power 0.5": lehr.polynomial(1.0, 90_000, power=0.5),
    "cosine": lehr.cosine(1.0, 90_000),
    "cosine, time_power 1.5": lehr.cosine(1.0, 90_000, time_power=1.5),
    "rex": lehr.rex(1.0, 90_000),
    "tanh": lehr.tanh(1.0, 90_000),
    "exponential": lehr.exponential(1.0, 0.5, 1000),
    "inverse_time": lehr.inverse_time(1.0, 1000, power=0.7),
    "step_decay": lehr.step_decay(1.0, 0.1, 30_000),
    "multi_step": lehr.multi_step(1.0, 0.1, (30_000, 60_000)),
    "piecewise, linear": lehr.piecewise(
        (0, 1000, 50_000, 90_000), (0.0, 1.0, 0.5, 0.0), curve="linear"
    ),
    "warmup": lehr.warmup(1.0, 90_000),
    "warmup_untuned": lehr.warmup_untuned(1.0),
    "warmup_untuned, exponential": lehr.warmup_untuned(1.0, curve="exponential"),
    "warmup_radam": lehr.warmup_radam(1.0),
    "inverse_sqrt": lehr.inverse_sqrt(1.0, 4000),
    "noam": lehr.noam(512, 4000),
    "flat_cosine": lehr.flat_cosine(1.0, 50_000, 50_000),
    "wsd": lehr.wsd(1.0, 1000, 20_000, steps=STEPS),
    "slanted_triangular": lehr.slanted_triangular(1.0, STEPS),
    "triangular": lehr.triangular(0.0, 1.0, 500),
    "triangular2": lehr.triangular2(0.0, 1.0, 500),
    "exp_range": lehr.exp_range(0.0, 1.0, 500, 0.9999),
    "cyclical, real lengths": lehr.cyclical(0.0, 1.0, 2.5, 2),
    "cosine_restarts, growing": lehr.cosine_restarts(1.0, 1000, growth=2),
    "cosine_restarts, by 1.1": lehr.cosine_restarts(1.0, 100, growth=1.1),
    "cosine_restarts, 7 %": lehr.cosine_restarts(1.0, "7%", factor=0.5, warmup="1%").resolve(
        STEPS + 1
    ),
    "triangular2, 0.33 %": lehr.triangular2(0.0, 1.0, "0.33%").resolve(STEPS + 1),
    "multi_step, 99 milestones": lehr.multi_step(1.0, 0.9, [i * 1000 for i in range(1, 100)]),
    "one_cycle": lehr.one_cycle(1.0, STEPS).lr,
    "table of 100,000": lehr.table([0.1] * STEPS),
}


def one_value() -> None:
    chain = lehr.warmup(0.1, 500).then(lehr.constant(0.1, 50_000)).then(lehr.cosine(0.1, 49_500))

    def closure(t: int) -> float:
        if t < 500:
            return 0.1 * t / 500
        if t < 50_500:
            return 0.1
        return 0.05 * (1 + math.cos(math.pi * min(t - 50_500, 49_500) / 49_500))

    at = list(range(0, STEPS, 10))
    rows: list[Row] = [
        ("hand-written closure", lambda: timed(lambda: [closure(t) for t in at]) / len(at)),
        ("lehr chain of three", lambda: timed(lambda: [chain(t) for t in at]) / len(at)),
    ]
    measure("one value: warm-up, constant, cosine, over the run", "µs", 1e6, rows, rounds=15)


def all_values() -> None:
    steps = np.arange(STEPS)
    rows: list[Row] = [
        ("NumPy, cosine by hand", lambda: timed(lambda: 0.5 + 0.5 * np.cos(np.pi * steps / STEPS)))
    ]
    for name, schedule in PRESETS.items():
        rows.append((f"lehr {name}", lambda s=schedule: timed(lambda: s(steps))))  # type: ignore[misc]
    measure("100,000 values", "ms", 1e3, rows, rounds=9)


def other_libraries() -> None:
    steps = np.arange(STEPS)
    cosine = optax.cosine_decay_schedule(1.0, STEPS)

    def torch_loop() -> None:
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
        optimizer.step()
        for _ in range(STEPS):
            scheduler.step()

    rows: list[Row] = [
        ("lehr cosine", lambda: timed(lambda: PRESETS["cosine"](steps))),
        ("optax cosine_decay, broadcast", lambda: timed(lambda: cosine(steps).block_until_ready())),
        ("torch CosineAnnealingLR, stepped", lambda: timed(torch_loop)),
    ]
    measure("100,000 values of a cosine, by library", "ms", 1e3, rows, rounds=5)


if __name__ == "__main__":
    one_value()
    all_values()
    other_libraries()
    rich.print(TABLE)
