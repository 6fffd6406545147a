"""Synthetic range tests."""

import math
import random

from lehr.finder import Sweep


def curve(
    lowest: float = 0.1,
    *,
    points: int = 100,
    noise: float = 0.02,
    seed: int = 0,
    high: float = 10.0,
) -> Sweep:
    """Return a range test: logistic fall in log rate, divergence a decade above the minimum."""
    rng = random.Random(seed)
    rates = [1e-5 * (high / 1e-5) ** (i / (points - 1)) for i in range(points)]
    losses = []
    for rate in rates:
        x = math.log10(rate / lowest)
        fall = 2 / (1 + math.exp(-3 * (x + 1.2)))
        losses.append(2.5 - fall + 0.05 * math.exp(2.5 * max(x, 0)) + rng.gauss(0, noise))
    return Sweep(tuple(rates), tuple(losses), "geometric", points, "end")


def flat() -> Sweep:
    rng = random.Random(0)
    return Sweep(
        curve().rates, tuple(2.3 + rng.gauss(0, 0.1) for _ in range(100)), "geometric", 100, "end"
    )
