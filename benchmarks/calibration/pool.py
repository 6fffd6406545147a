"""Train the runs that the calibration resamples: one policy, many seeds; a few more, paired.

    nice python benchmarks/calibration/pool.py

Goes on where it stopped; about half an hour of one core. Each line of a pool: the seed, and the
final accuracy on validation and test data.
"""

import json
from pathlib import Path

from lehr.policy import as_policy
from lehr.study.trials import run_job

HERE = Path(__file__).parent / "pools"

# pool: task, epochs, constant rate, seeds
POOLS = {
    "fashion": ("fashion-mnist-mlp", 2, 0.02, 160),
    "fashion-x3": ("fashion-mnist-mlp", 2, 0.06, 40),
    "fashion-x1.5": ("fashion-mnist-mlp", 2, 0.03, 160),
    "digits": ("digits-mlp", 5, 0.05, 320),
    "digits-half": ("digits-mlp", 5, 0.025, 160),
    "digits-short": ("digits-mlp", 1, 0.05, 160),
}


def run(task: str, epochs: int, rate: float, seed: int) -> dict[str, float]:
    policy = json.loads(as_policy(rate).dumps())
    job = {"kind": "trial", "task": task, "policy": policy, "epochs": epochs, "seed": seed}
    result = run_job(job | {"metric": "accuracy", "peak": None})
    validation, test = result["history"][-1]["val_accuracy"], result["test"]["accuracy"]
    return {"seed": seed, "validation": round(validation, 6), "test": round(test, 6)}


def main() -> None:
    HERE.mkdir(exist_ok=True)
    for name, (task, epochs, rate, seeds) in POOLS.items():
        path = HERE / f"{name}.jsonl"
        done = len(path.read_text().splitlines()) if path.exists() else 0
        with path.open("a") as file:
            for seed in range(done, seeds):
                file.write(json.dumps(run(task, epochs, rate, seed)) + "\n")
                file.flush()


if __name__ == "__main__":
    main()
