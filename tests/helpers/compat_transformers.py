"""Random valid parameters of transformers' schedules, and runs that record the rates they set."""

from __future__ import annotations

import random
import warnings

import torch

N = 120
DEFAULTS = {  # the required arguments, for the runs with all defaults
    "get_constant_schedule": {},
    "get_constant_schedule_with_warmup": {"num_warmup_steps": 10},
    "get_linear_schedule_with_warmup": {"num_warmup_steps": 10, "num_training_steps": 100},
    "get_cosine_schedule_with_warmup": {"num_warmup_steps": 10, "num_training_steps": 100},
    "get_cosine_with_hard_restarts_schedule_with_warmup": {
        **{"num_warmup_steps": 10, "num_training_steps": 100}
    },
    "get_polynomial_decay_schedule_with_warmup": {
        **{"num_warmup_steps": 10, "num_training_steps": 100}
    },
    "get_inverse_sqrt_schedule": {"num_warmup_steps": 10},
    "get_cosine_with_min_lr_schedule_with_warmup": {
        **{"num_warmup_steps": 10, "num_training_steps": 100, "min_lr": 0.01}
    },
    "get_cosine_with_min_lr_schedule_with_warmup_lr_rate": {
        **{"num_warmup_steps": 10, "num_training_steps": 100, "min_lr": 0.01}
    },
    "get_wsd_schedule": {
        **{"num_warmup_steps": 10, "num_decay_steps": 20, "num_training_steps": 100}
    },
}
CURVES = ["linear", "cosine", "1-sqrt"]


def parameters(name: str, draw: random.Random) -> dict:
    """Return random valid arguments, with real lengths and runs shorter than the warm-up."""
    integer, uniform, choice = draw.randint, draw.uniform, draw.choice
    if name == "get_constant_schedule":
        return {}
    warmup = choice([0, integer(0, 50), integer(0, 50), uniform(0, 50), integer(-5, 3)])
    total = choice([integer(1, 110), integer(60, 110), uniform(20, 110), warmup + integer(-3, 3)])
    lengths = {"num_warmup_steps": warmup, "num_training_steps": total}
    cycles = choice([0.5, 0.5, 1, 1.5, 2, 0, -0.5, uniform(0, 3)])
    lowest = choice(
        [{"min_lr": uniform(0, 0.1)}, {"min_lr_rate": choice([0.0, 1.0, uniform(-1, 1)])}]
    )
    match name:
        case "get_constant_schedule_with_warmup":
            return {"num_warmup_steps": warmup}
        case "get_linear_schedule_with_warmup":
            return lengths
        case "get_cosine_schedule_with_warmup":
            return {**lengths, "num_cycles": cycles}
        case "get_cosine_with_hard_restarts_schedule_with_warmup":
            return {**lengths, "num_cycles": choice([1, 2, integer(0, 9), 2.5, integer(20, 200)])}
        case "get_polynomial_decay_schedule_with_warmup":
            if total == warmup:
                lengths["num_training_steps"] += 1  # in the table of differences
            end = choice([1e-7, 0.0, -0.1, uniform(0, 0.1)])
            return {**lengths, "lr_end": end, "power": choice([0, 1.0, 2, uniform(0.1, 4)])}
        case "get_inverse_sqrt_schedule":
            timescale = choice([None, integer(1, 100), uniform(0.1, 100)])
            return {"num_warmup_steps": abs(warmup), "timescale": timescale}
        case "get_cosine_with_min_lr_schedule_with_warmup":
            return {**lengths, **lowest, "num_cycles": cycles}
        case "get_cosine_with_min_lr_schedule_with_warmup_lr_rate":
            rate = choice([None, 0.0, uniform(0, 1)])
            return {**lengths, **lowest, "num_cycles": cycles, "warmup_lr_rate": rate}
    assert name == "get_wsd_schedule"
    decay = choice([0, integer(0, 50), integer(0, 50), uniform(0, 50)])
    stable = choice([0, integer(0, 50), uniform(0, 50)])
    return {
        **{"num_warmup_steps": warmup, "num_decay_steps": decay},
        **choice([{"num_training_steps": total}, {"num_stable_steps": stable}]),
        **{"warmup_type": choice(CURVES), "decay_type": choice(CURVES)},
        **{"min_lr_ratio": choice([0, 0.1, uniform(-1, 1.5)]), "num_cycles": cycles},
    }


def make_optimizer() -> torch.optim.Optimizer:
    """Return an optimizer with the default rate 0.2 and two groups, with rates 0.2 and 0.05."""
    first, second = (torch.nn.Parameter(torch.zeros(1)) for _ in range(2))
    return torch.optim.SGD([{"params": [first]}, {"params": [second], "lr": 0.05}], lr=0.2)


def run(scheduler, n: int = N, metrics=None) -> list[list[float]]:
    """Return the rates of each of n updates."""
    optimizer, rows = scheduler.optimizer, []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for t in range(n):
            rows.append([group["lr"] for group in optimizer.param_groups])
            optimizer.step()
            scheduler.step(*([metrics[t]] if metrics else []))
    return rows
