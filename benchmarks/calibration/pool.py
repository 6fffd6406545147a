"""Train the runs that the calibration resamples: one policy, many seeds; a few more, paired.

    nice python benchmarks/calibration/pool.py

Goes on where it stopped; about half an hour of one core. Each line of a pool: the seed, and the
final accuracy on validation and test data.
"""

import json
from pathlib import Path

import lehr

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
    for name, kind in POOLS.items():
        lines = [json.dumps(run) + "\n" for run in pool(*kind)]
        (HERE / f"{name}.jsonl").write_text("".join(lines))


if __name__ == "__main__":
    main()
