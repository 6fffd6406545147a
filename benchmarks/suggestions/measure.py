"""Train every task at every rate of a dense grid, and run the range tests.

    LEHR_CIFAR10=cifar10.npz python benchmarks/suggestions/measure.py [TASK ...]

Appends to ``results/``; stored jobs are skipped.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from tasks import TASKS, Task

import lehr

RESULTS = Path(__file__).parent / "results"
SEEDS = range(5)
RATES = [10 ** (i / 3) for i in range(-15, 4)]  # 1e-5 to 10, three to a decade
MODES = ("constant", "one-cycle")
LENGTHS = (100, 200, 500)


def policy(mode: str, rate: float, task: Task) -> lehr.Policy:
    """Return the policy of a rate; for plain SGD, one cycle does not set the momentum."""
    if mode == "constant":
        return lehr.Policy(lr=rate)
    plain = task.optimizer([torch.nn.Parameter(torch.zeros(1))], 0.1).defaults.get("momentum") == 0
    cycle = {"momentum": None} if plain else {}
    return lehr.one_cycle(rate, task.steps, **cycle)


def truth(name: str, mode: str, rate: float, seed: int) -> dict[str, object]:
    task = TASKS[name]
    learner = task.learner(seed)
    learner.train(
        policy(mode, rate, task), task.steps, until=lambda t: not math.isfinite(t.losses[-1])
    )
    return {"score": round(task.judge(learner.model, task.splits()[2]), 3)}


def sweep(name: str, steps: int, seed: int) -> dict[str, object]:
    """Run a range test that stops only at a loss that is not finite."""
    found = lehr.range_test(TASKS[name].learner(seed), steps=steps, divergence=1e30)
    return {"sweep": found.to_dict()}


def jobs(name: str) -> Iterator[dict[str, object]]:
    for seed in SEEDS:
        yield from ({"task": name, "steps": steps, "seed": seed} for steps in LENGTHS)
        for mode in MODES:
            yield from (
                {"task": name, "mode": mode, "rate": float(f"{rate:.6g}"), "seed": seed}
                for rate in RATES
            )


def main(names: list[str]) -> None:
    torch.set_num_threads(1)
    RESULTS.mkdir(exist_ok=True)
    for name in names:
        path = RESULTS / f"{name}.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        done = [json.loads(line)["job"] for line in lines]
        with path.open("a") as file:
            for job in jobs(name):
                if job in done:
                    continue
                found = (
                    truth(**{"name": name}, **_but_task(job))
                    if "mode" in job
                    else sweep(**{"name": name}, **_but_task(job))
                )
                file.write(json.dumps({"job": job} | found) + "\n")
                file.flush()
        print(name, "done", flush=True)


def _but_task(job: dict[str, object]) -> dict[str, object]:
    return {key: value for key, value in job.items() if key != "task"}


if __name__ == "__main__":
    main(sys.argv[1:] or list(TASKS))
