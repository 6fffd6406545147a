"""Train the runs that the calibration resamples: a policy per task, and paired variants of it.

    nice python benchmarks/calibration/pool.py

An interrupted run resumes; all runs take about half an hour of one core. Each line of a pool has
the seed and the final accuracy on validation and test data.
"""

import json
from pathlib import Path

import lehr

HERE = Path(__file__).parent / "pools"

# name: task, epochs, constant rate, seeds
POOLS = {
    "fashion": ("fashion-mnist-mlp", 2, 0.02, 160),
    "fashion-x3": ("fashion-mnist-mlp", 2, 0.06, 40),
    "fashion-x1.5": ("fashion-mnist-mlp", 2, 0.03, 160),
    "digits": ("digits-mlp", 5, 0.05, 320),
    "digits-half": ("digits-mlp", 5, 0.025, 160),
    "digits-short": ("digits-mlp", 1, 0.05, 160),
}


def pool(task: str, epochs: int, rate: float, seeds: int) -> list[dict[str, float]]:
    """Return the scores of a policy on every seed."""
    results = lehr.Study(task, {"constant": rate}, epochs=epochs, seeds=seeds).run(workers=1)
    return [
        {
            "seed": seed,
            "validation": round(record.metadata["validation"]["accuracy"], 6),
            "test": round(record.metadata["test"]["accuracy"], 6),
        }
        for seed, record in enumerate(results.records("constant"))
    ]


def main() -> None:
    HERE.mkdir(exist_ok=True)
    for name, settings in POOLS.items():
        lines = [json.dumps(run) + "\n" for run in pool(*settings)]
        (HERE / f"{name}.jsonl").write_text("".join(lines))


if __name__ == "__main__":
    main()
