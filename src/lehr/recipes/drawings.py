"""Schedules of the tutorials, drawn, and beside Keras's own where Keras has one."""

from __future__ import annotations

from typing import Any

from lehr.schedule.base import Schedule
from lehr.schedule.presets.basic import cosine, piecewise
from lehr.schedule.presets.cycles import triangular2
from lehr.schedule.presets.restarts import cosine_restarts

_PER_EPOCH = 100  # updates
_KERAS_EVERY = 71


def cyclical(seed: int, *, epochs: int) -> dict[str, Any]:
    """Return the tutorial's cyclical rate, 937 batches of 64 an epoch."""
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
    """Return a schedule over 50 epochs of 100 updates, and how far Keras's own is from it."""
    import keras
    import numpy as np

    theirs = keras.optimizers.schedules
    steps = 50 * _PER_EPOCH
    pairs: dict[str, tuple[Schedule, Any]]
    if name == "step-decay":
        at = range(10 * _PER_EPOCH, steps, 10 * _PER_EPOCH)
        values = [0.1 * 0.5**i for i in range(len(at) + 1)]
        # Keras's boundaries are the last step of a value, ours the first of the next
        own = theirs.PiecewiseConstantDecay([boundary - 1 for boundary in at], values)
        pairs = {"halved every 10 epochs": (piecewise(list(at), values), own)}
    elif name == "cosine":
        pairs = {"cosine": (cosine(0.1, steps=steps), theirs.CosineDecay(0.1, steps))}
    else:
        pairs = {
            f"t_mul {t_mul:g}, m_mul {m_mul:g}": (
                cosine_restarts(0.1, 10 * _PER_EPOCH, growth=t_mul, factor=m_mul),
                theirs.CosineDecayRestarts(0.1, 10 * _PER_EPOCH, t_mul=t_mul, m_mul=m_mul),
            )
            for t_mul, m_mul in ((1.0, 1.0), (2.0, 1.0), (1.0, 0.8), (2.0, 0.8))
        }
    at_steps = np.arange(0, steps, 7)
    lines, numbers = {}, {}
    for label, (ours, keras_own) in pairs.items():
        values_ours = np.asarray(ours(at_steps), "float64")
        # Keras's own take 40 ms a step on JAX
        seen = [float(keras_own(int(t))) for t in at_steps[::_KERAS_EVERY]]
        difference = np.abs(values_ours[::_KERAS_EVERY] - seen)
        numbers[f"largest difference to Keras, {label}"] = float(difference.max())
        lines[label] = [(at_steps / _PER_EPOCH).tolist(), values_ours.tolist()]
    return {"numbers": numbers, "figure": {"lines": lines, "x": "epoch", "y": "learning rate"}}
