"""Random valid parameters of optax's schedule functions, and their values in float64."""

from __future__ import annotations

import random

import jax
import numpy as np
import optax

N = 120
DEFAULTS = {  # the required arguments, for the runs with all defaults
    "constant_schedule": {"value": 0.1},
    "polynomial_schedule": {
        **{"init_value": 1.0, "end_value": 0.01, "power": 2},
        "transition_steps": 50,
    },
    "linear_schedule": {"init_value": 0.0, "end_value": 0.5, "transition_steps": 50},
    "piecewise_constant_schedule": {"init_value": 0.3},
    "exponential_decay": {"init_value": 0.3, "transition_steps": 20, "decay_rate": 0.5},
    "cosine_decay_schedule": {"init_value": 0.3, "decay_steps": 100},
    "piecewise_interpolate_schedule": {"interpolate_type": "linear", "init_value": 0.3},
    "linear_onecycle_schedule": {"transition_steps": 100, "peak_value": 0.3},
    "cosine_onecycle_schedule": {"transition_steps": 100, "peak_value": 0.3},
    "warmup_constant_schedule": {"init_value": 0.0, "peak_value": 0.3, "warmup_steps": 10},
    "warmup_cosine_decay_schedule": {
        **{"init_value": 0.0, "peak_value": 0.3},
        **{"warmup_steps": 10, "decay_steps": 100},
    },
    "warmup_exponential_decay_schedule": {
        **{"init_value": 0.0, "peak_value": 0.3, "warmup_steps": 10},
        **{"transition_steps": 20, "decay_rate": 0.5},
    },
    "sgdr_schedule": {
        "cosine_kwargs": [
            {"init_value": 0.0, "peak_value": p, "warmup_steps": w, "decay_steps": n}
            for p, w, n in ((1.0, 5, 20), (0.5, 0, 40), (0.25, 10, 30))
        ]
    },
}


def parameters(name: str, draw: random.Random) -> dict:
    """Return random valid arguments, with growth, negative values and real lengths."""
    integer, uniform, choice = draw.randint, draw.uniform, draw.choice

    def rate() -> float:
        return choice(
            [0.0, 1.0, uniform(0, 1), uniform(0, 1), uniform(-1, 1), 10 ** uniform(-6, 1)]
        )

    def steps(lowest: int = -3) -> float:
        return choice(
            [
                integer(max(lowest, 1), 90),
                integer(max(lowest, 1), 90),
                integer(lowest, 5),
                uniform(max(lowest, 1), 90),
            ]
        )

    def scales() -> dict[int, float]:
        count = integer(0, 6)
        return {integer(-2, 100): choice([0.0, uniform(0, 2), uniform(0, 1)]) for _ in range(count)}

    def exponential() -> dict:
        staircase = choice([True, False])
        return {
            "transition_steps": integer(1, 60) if staircase else steps(),
            "decay_rate": choice([0.0, 1.0, uniform(0.01, 1), uniform(0.3, 1), uniform(1, 2)]),
            "transition_begin": integer(-2, 40) if staircase else choice([0, steps()]),
            "staircase": staircase,
            "end_value": choice([None, None, rate()]),
        }

    def cycle() -> dict:
        warmup = choice([0, integer(0, 30), uniform(0, 30), integer(-5, 0)])
        return {
            "init_value": rate(),
            "peak_value": rate(),
            "warmup_steps": warmup,
            "decay_steps": max(warmup, 0) + steps(1),
            "end_value": rate(),
            "exponent": choice([1.0, 0, uniform(0.2, 4)]),
        }

    match name:
        case "constant_schedule":
            return {"value": rate()}
        case "polynomial_schedule" | "linear_schedule":
            power = {"power": choice([0, 1, 2, uniform(0.2, 4)])}
            return {
                **{"init_value": rate(), "end_value": rate()},
                **(power if name == "polynomial_schedule" else {}),
                **{"transition_steps": steps(), "transition_begin": choice([0, steps()])},
            }
        case "piecewise_constant_schedule":
            return {
                "init_value": rate(),
                "boundaries_and_scales": choice([None, scales(), scales()]),
            }
        case "exponential_decay":
            return {"init_value": rate(), **exponential()}
        case "cosine_decay_schedule":
            return {
                **{"init_value": rate(), "decay_steps": steps(1), "alpha": rate()},
                "exponent": choice([1.0, 0, uniform(0.2, 4)]),
            }
        case "piecewise_interpolate_schedule":
            return {
                "interpolate_type": choice(["linear", "cosine"]),
                "init_value": rate(),
                "boundaries_and_scales": choice([None, scales(), scales()]),
            }
        case "linear_onecycle_schedule" | "cosine_onecycle_schedule":
            final = {"pct_final": uniform(0.4, 1)} if name == "linear_onecycle_schedule" else {}
            return {
                **{"transition_steps": steps(1), "peak_value": rate()},
                **{"pct_start": uniform(0, 0.6), **final},
                **{"div_factor": uniform(1, 50), "final_div_factor": 10 ** uniform(0, 5)},
            }
        case "warmup_constant_schedule":
            return {"init_value": rate(), "peak_value": rate(), "warmup_steps": steps()}
        case "warmup_cosine_decay_schedule":
            return cycle()
        case "warmup_exponential_decay_schedule":
            found = {"init_value": rate(), "peak_value": rate(), **exponential()}
            warmup = integer(-3, 40) if found["staircase"] else steps()
            return {**found, "warmup_steps": warmup}
    assert name == "sgdr_schedule"
    return {"cosine_kwargs": [cycle() for _ in range(integer(1, 5))]}


def values(schedule, steps) -> np.ndarray:
    """Return the values of a schedule of optax, in float64."""
    with jax.enable_x64(True):
        steps = jax.numpy.asarray(steps, dtype=jax.numpy.int64)
        if not steps.size:
            return np.zeros(0)
        found = jax.vmap(lambda t: jax.numpy.asarray(schedule(t), dtype=jax.numpy.float64))(steps)
        return np.asarray(found)


def theirs(name: str, arguments: dict, steps=range(N)) -> np.ndarray:
    """Return the values of optax's function at each step."""
    with jax.enable_x64(True):
        return values(getattr(optax, name)(**arguments), list(steps))
