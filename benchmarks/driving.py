"""Time `Scheduler.step()` against torch, transformers and ignite: ``make benchmark``.

With one and with ten parameter groups; rates are floats or tensors.
"""

import os
from collections.abc import Callable

from lehr.study.environment import ONE_THREAD

os.environ |= ONE_THREAD  # torch reads it on import

import rich
import torch
from ignite.handlers import CosineAnnealingScheduler
from table import TABLE, Row, measure, timed
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    LambdaLR,
    LinearLR,
    OneCycleLR,
    SequentialLR,
)
from transformers import get_cosine_schedule_with_warmup

import lehr

STEPS = 100_000
WARM = 500
COSINE = lehr.cosine(0.1, STEPS)
CHAIN = lehr.warmup(0.1, WARM).then(lehr.cosine(0.1, STEPS - WARM))
CYCLE = lehr.one_cycle(0.1, STEPS)


def lehr_step(policy: lehr.Policy | lehr.Schedule, **options: bool) -> Callable:
    return lambda optimizer: lehr.torch.Scheduler(optimizer, policy, **options).step


# With a tensor rate ignite is fast because it replaces the tensor by a float.
def ignite(optimizer: torch.optim.Optimizer) -> Callable[[], None]:
    scheduler = CosineAnnealingScheduler(optimizer, "lr", 0.1, 0.0, 2 * STEPS)
    return lambda: scheduler(None)


def sequential(optimizer: torch.optim.Optimizer) -> Callable[[], None]:
    parts = [LinearLR(optimizer, 0.01, 1.0, WARM), CosineAnnealingLR(optimizer, STEPS - WARM)]
    return SequentialLR(optimizer, parts, [WARM]).step


COSINES = {
    "torch CosineAnnealingLR": lambda o: CosineAnnealingLR(o, STEPS).step,
    "torch LambdaLR of a lehr schedule": lambda o: LambdaLR(o, COSINE * 10.0).step,
    "ignite CosineAnnealingScheduler": ignite,
    "lehr cosine": lehr_step(COSINE),
    "lehr cosine, relative": lehr_step(COSINE * 10.0, relative=True),
}
CHAINS = {
    "torch SequentialLR": sequential,
    "transformers cosine with warm-up": lambda o: (
        get_cosine_schedule_with_warmup(o, WARM, STEPS).step
    ),
    "lehr warm-up, cosine": lehr_step(CHAIN),
}
CYCLES = {
    "torch OneCycleLR": lambda o: OneCycleLR(o, 0.1, total_steps=STEPS).step,
    "lehr one_cycle": lehr_step(CYCLE),
}


def groups(count: int, tensor: bool) -> torch.optim.Optimizer:
    parameters = [
        {
            "params": [torch.nn.Parameter(torch.zeros(1))],
            "lr": torch.tensor(0.1) if tensor else 0.1,
        }
        for _ in range(count)
    ]
    return torch.optim.SGD(parameters, lr=0.1, momentum=0.9)


def steps() -> None:
    for title, makers in (
        ("cosine", COSINES),
        ("warm-up, cosine", CHAINS),
        ("one cycle (rate, momentum)", CYCLES),
    ):
        for count in (1, 10):
            for tensor in (False, True):
                rows: list[Row] = []
                for name, make in makers.items():
                    step = make(optimizer := groups(count, tensor))
                    optimizer.step()  # torch schedulers warn if no update came before
                    rows.append((name, lambda step=step: timed(step, 300)))  # type: ignore[misc]
                kind = "tensor" if tensor else "number"
                place = f"{count} group{'s' if count > 1 else ''}, the rate a {kind}"
                measure(f"step(): {title}; {place}", "µs", 1e6, rows, rounds=45)


if __name__ == "__main__":
    steps()
    rich.print(TABLE)
