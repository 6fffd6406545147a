"""Record every preset case on int32 arrays of steps in four runtimes (NumPy in float64)."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import tensorflow as tf
import torch
from cases_schedules import FAR
from golden_values import array
from preset_cases import CASES

STEPS = np.array([*range(60), *FAR], np.int32)

torch.set_num_threads(1)


def record(recorded: dict[str, Any]) -> dict[str, Any]:
    return {
        "steps": array(STEPS),
        "numpy": {name: array(s(STEPS)) for name, s in CASES.items()},
        "jax": {name: array(jax.jit(s)(STEPS)) for name, s in CASES.items()},
        "torch": {name: array(s(torch.from_numpy(STEPS)).numpy()) for name, s in CASES.items()},
        "tensorflow": {name: array(_tensorflow(s)) for name, s in CASES.items()},
    }


def _tensorflow(schedule: Any) -> Any:
    traced = tf.function(lambda t: tf.cast(schedule(t), tf.float32), autograph=False)
    return traced(tf.constant(STEPS)).numpy()
