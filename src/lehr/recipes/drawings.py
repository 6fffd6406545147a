"""Curves of the tutorials' schedules, compared with Keras where Keras has the schedule."""

from __future__ import annotations

from typing import Any

from lehr.schedule.base import Schedule
from lehr.schedule.presets.basic import cosine, piecewise
from lehr.schedule.presets.cycles import triangular2
from lehr.schedule.presets.restarts import cosine_restarts

_PER_EPOCH = 100  # updates
_KERAS_EVERY = 71


def cyclical(seed: int, *, epochs: int) -> dict[str, Any]:
    """Compute the cyclical rate of the tutorial: 937 updates per epoch, in batches of 64.

    Args:
        seed: not used; every recipe function takes one.
        epochs: length of the curve.

    Returns:
        "numbers" by name, and the data of the "figure".
    """
    per_epoch = 60_000 // 64
    schedule = triangular2(1e-4, 1e-2, 2 * per_epoch)
    steps = epochs * per_epoch
    at = range(0, steps, max(1, steps // 1500))
    numbers = {
        "rate at step 0": schedule(0),
        "largest rate": schedule(2 * per_epoch),
        "second peak": schedule(6 * per_epoch),
        "updates in a cycle": 4.0 * per_epoch,
    }
    line = {"triangular2": [[t / per_epoch for t in at], [schedule(t) for t in at]]}
    return {"numbers": numbers, "figure": {"lines": line, "x": "epoch", "y": "learning rate"}}


def keras_schedule(seed: int, *, name: str) -> dict[str, Any]:
    """Compute a schedule over 50 epochs of 100 updates and its difference from Keras's schedule.

    Args:
        seed: not used; every recipe function takes one.
        name: "step-decay", "cosine" or "cosine-restarts".

    Returns:
        "numbers" by name, and the data of the "figure".
    """
    import keras
    import numpy as np

    schedules = keras.optimizers.schedules
    steps = 50 * _PER_EPOCH
    pairs: dict[str, tuple[Schedule, Any]]
    if name == "step-decay":
        at = range(10 * _PER_EPOCH, steps, 10 * _PER_EPOCH)
        values = [0.1 * 0.5**i for i in range(len(at) + 1)]
        # a Keras boundary is the last step of a value, a lehr boundary the first step of the next
        decay = schedules.PiecewiseConstantDecay([boundary - 1 for boundary in at], values)
        pairs = {"halved every 10 epochs": (piecewise(list(at), values), decay)}
    elif name == "cosine":
        pairs = {"cosine": (cosine(0.1, steps=steps), schedules.CosineDecay(0.1, steps))}
    else:
        pairs = {
            f"t_mul {t_mul:g}, m_mul {m_mul:g}": (
                cosine_restarts(0.1, 10 * _PER_EPOCH, growth=t_mul, factor=m_mul),
                schedules.CosineDecayRestarts(0.1, 10 * _PER_EPOCH, t_mul=t_mul, m_mul=m_mul),
            )
            for t_mul, m_mul in ((1.0, 1.0), (2.0, 1.0), (1.0, 0.8), (2.0, 0.8))
        }
    at_steps = np.arange(0, steps, 7)
    lines, numbers = {}, {}
    for label, (schedule, reference) in pairs.items():
        rates = np.asarray(schedule(at_steps), "float64")
        # a Keras schedule takes 40 ms per step on JAX
        expected = [float(reference(int(t))) for t in at_steps[::_KERAS_EVERY]]
        difference = np.abs(rates[::_KERAS_EVERY] - expected)
        numbers[f"largest difference to Keras, {label}"] = float(difference.max())
        lines[label] = [(at_steps / _PER_EPOCH).tolist(), rates.tolist()]
    return {"numbers": numbers, "figure": {"lines": lines, "x": "epoch", "y": "learning rate"}}
