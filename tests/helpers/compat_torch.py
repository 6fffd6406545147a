"""Random valid parameters of torch's schedulers, and runs that record every value they set."""

from __future__ import annotations

import contextlib
import random
import warnings
from types import SimpleNamespace

import torch
from torch.optim import Adam, lr_scheduler, swa_utils

import lehr.compat.torch as compat

NAMES = [*lr_scheduler.__all__, "SWALR"]
PEER = SimpleNamespace(
    **{name: getattr(lr_scheduler, name) for name in lr_scheduler.__all__}, SWALR=swa_utils.SWALR
)
CHAINABLE = [
    *("StepLR", "MultiStepLR", "ConstantLR", "LinearLR", "ExponentialLR", "PolynomialLR"),
    "CosineAnnealingLR",
]
ABSOLUTE = ["CosineAnnealingWarmRestarts", "CyclicLR", "LambdaLR"]
LEAVES = [*CHAINABLE, *ABSOLUTE, "MultiplicativeLR", "OneCycleLR", "SWALR", "ReduceLROnPlateau"]
N = 60
DEFAULTS = {  # the required arguments, for the runs with all defaults
    "LambdaLR": {"lr_lambda": lambda t: 1 / (1 + t)},
    "MultiplicativeLR": {"lr_lambda": lambda t: 0.95},
    "StepLR": {"step_size": 20},
    "MultiStepLR": {"milestones": [10, 40]},
    "ExponentialLR": {"gamma": 0.95},
    "CosineAnnealingLR": {"T_max": 25},
    "CosineAnnealingWarmRestarts": {"T_0": 7},
    "CyclicLR": {"base_lr": 0.01, "max_lr": 0.1},
    "OneCycleLR": {"max_lr": 0.3, "total_steps": N},
    "SWALR": {"swa_lr": 0.05},
}


def parameters(name: str, draw: random.Random) -> dict:
    """Return random valid arguments of a scheduler for two groups."""
    integer, uniform, choice = draw.randint, draw.uniform, draw.choice
    match name:
        case "StepLR":
            return {"step_size": integer(1, 20), "gamma": choice([0.1, uniform(0, 1.2), 0.0, 1.0])}
        case "MultiStepLR":
            milestones = draw.choices(range(50), k=integer(0, 5))
            return {"milestones": milestones, "gamma": choice([0.1, uniform(0, 1.5), 0.0])}
        case "ConstantLR":
            return {"factor": uniform(0.01, 1), "total_iters": integer(1, 80)}
        case "LinearLR":
            end = choice([0.0, 1.0, draw.random()])
            total = integer(1, 80)
            return {"start_factor": uniform(0.001, 1), "end_factor": end, "total_iters": total}
        case "ExponentialLR":
            return {"gamma": uniform(0.3, 1.2)}
        case "PolynomialLR":
            return {"total_iters": integer(1, 80), "power": choice([0.0, 1.0, uniform(0.1, 4)])}
        case "CosineAnnealingLR":
            return {"T_max": integer(1, 80), "eta_min": choice([0, uniform(0, 0.05), 0.5])}
        case "CosineAnnealingWarmRestarts":
            eta_min = choice([0, 0.01, 0.5])
            return {"T_0": integer(1, 20), "T_mult": integer(1, 4), "eta_min": eta_min}
        case "CyclicLR":
            return {
                "base_lr": [0.01, 0.02],
                "max_lr": uniform(0.02, 0.5),
                "step_size_up": choice([integer(1, 15), uniform(1, 9)]),
                "step_size_down": choice([None, integer(0, 15)]),
                "mode": choice(["triangular", "triangular2", "exp_range"]),
                "gamma": uniform(0.9, 1),
                "scale_fn": choice([None, None, lambda x: 1 / (1 + x)]),
                "scale_mode": choice(["cycle", "iterations"]),
                "cycle_momentum": choice([True, True, False]),
                "base_momentum": uniform(0.5, 0.8),
                "max_momentum": choice([uniform(0.8, 0.99), 22.0]),
            }
        case "OneCycleLR":
            return {
                "max_lr": [0.1, uniform(0.01, 1)],
                **choice([{"total_steps": N}, {"epochs": 4, "steps_per_epoch": N // 4}]),
                "pct_start": uniform(0.0, 0.5),
                "anneal_strategy": choice(["cos", "linear"]),
                "cycle_momentum": choice([True, True, False]),
                "base_momentum": [0.7, uniform(0.5, 0.8)],
                "div_factor": uniform(2, 50),
                "final_div_factor": uniform(2, 1e4),
                "three_phase": choice([True, False]),
            }
        case "SWALR":
            anneal = choice(["cos", "linear"])
            swa_lr = [0.05, uniform(0.001, 1)]
            return {"swa_lr": swa_lr, "anneal_epochs": integer(0, 30), "anneal_strategy": anneal}
        case "ReduceLROnPlateau":
            return {
                "mode": choice(["min", "max"]),
                "factor": uniform(0.1, 0.9),
                "patience": integer(0, 5),
                "threshold": choice([0, 1e-4, 0.1]),
                "threshold_mode": choice(["rel", "abs"]),
                "cooldown": integer(0, 4),
                "min_lr": choice([0, [0.001, 0.01]]),
            }
        case "LambdaLR":
            return {"lr_lambda": [lambda t: 0.9**t, lambda t: 1 / (1 + t)]}
    assert name == "MultiplicativeLR"
    return {"lr_lambda": lambda t: 0.95 + 0.1 * (t % 2)}


def make_optimizer(*, tensors: bool = False, adam: bool = False) -> torch.optim.Optimizer:
    """Return an optimizer with two groups, with rates 0.1 and 0.05."""

    def rate(value: float):
        return torch.tensor(value, dtype=torch.float64) if tensors else value

    first, second = (torch.nn.Parameter(torch.zeros(1)) for _ in range(2))
    groups = [{"params": [first]}, {"params": [second], "lr": rate(0.05)}]
    if adam:
        return Adam(groups, lr=rate(0.1))
    return torch.optim.SGD(groups, lr=rate(0.1), momentum=0.9)


def values(optimizer) -> list[float]:
    """Return the rates and momenta of all groups."""
    found = []
    for group in optimizer.param_groups:
        found.append(float(group["lr"]))
        found.append(float(group["betas"][0] if "betas" in group else group["momentum"]))
    return found


def metrics(draw: random.Random) -> list[float]:
    return [0.5**t + 0.3 * draw.random() for t in range(N)]


@contextlib.contextmanager
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def run(module, make, *, seed: int = 0, n: int = N, events=None, **options) -> list[list[float]]:
    """Return what the schedulers of ``make(module, optimizer)`` set in each of n updates.

    ``events`` maps a step to a function of the optimizer and the schedulers, called before it.
    """
    draw = random.Random(seed)
    metric = metrics(draw)
    optimizer = make_optimizer(**options)
    schedulers = make(module, optimizer)
    rows = []
    for t in range(n):
        last = [float(rate) for scheduler in schedulers for rate in scheduler.get_last_lr()]
        rows.append(values(optimizer) + last)
        if t in (events or {}):
            schedulers = events[t](optimizer, schedulers) or schedulers
        if t + 1 < n:
            optimizer.step()
            for scheduler in schedulers:
                plateau = isinstance(scheduler, lr_scheduler.ReduceLROnPlateau)
                scheduler.step(*([metric[t]] if plateau else []))
    return rows


def assert_same(make, tolerance: float = 1e-12, peer=PEER, **options) -> None:
    """Compare the runs with torch's names and with those of lehr.compat."""
    expected, got = (run(module, make, **options) for module in (peer, compat))
    largest = max(abs(value) for row in expected for value in row)
    for t, (theirs, ours) in enumerate(zip(expected, got, strict=True)):
        worst = max(abs(a - b) for a, b in zip(theirs, ours, strict=True))
        assert worst <= tolerance * largest, f"step {t}: {ours}, in torch {theirs}"
