"""Measure the overhead of a study: 8 arms x 5 peaks x 5 seeds of fashion-mnist-mlp.

    python benchmarks/study.py [--epochs 5] [--folder runs-benchmark]

Measures the throughput of two workers against one on the same trials, then the share of the
workers' time in the 200 trials that is not training or validation.
"""

import argparse
import tempfile
import time
from pathlib import Path

import lehr
from lehr.study import Arm, Study

ARMS = {
    "fixed": Arm(lehr.constant(1.0), tune="constant"),
    "plateau": Arm(lehr.Policy(1.0, control=lehr.Plateau(patience=1)), tune="constant"),
    "triangular2": Arm(lehr.triangular2(0.1, 1.0, "1 epoch"), tune="cyclical"),
    "one-cycle": Arm(lehr.one_cycle(1.0), tune="one-cycle"),
    "linear": Arm(lehr.linear(1.0, 0.0), tune="one-cycle"),
    "cosine": Arm(lehr.cosine(1.0), tune="one-cycle"),
    "wsd": Arm(lehr.wsd(1.0, "5%", "20%"), tune="one-cycle"),
    "flat cosine": Arm(lehr.flat_cosine(1.0, "50%"), tune="one-cycle"),
}
SMALL = {name: Arm(arm.policy) for name, arm in ARMS.items() if name in ("one-cycle", "cosine")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", default="fashion-mnist-mlp")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--folder", default=None)
    options = parser.parse_args()
    throughput(options.task, options.epochs)
    full_study(
        options.task, options.epochs, options.folder or tempfile.mkdtemp(prefix="lehr-benchmark-")
    )


def throughput(task: str, epochs: int) -> None:
    """Run 16 trials at fixed peaks with one worker and with two, each in an empty folder."""
    arms = {
        f"{name} {peak}": Arm(arm.at(peak)) for name, arm in SMALL.items() for peak in (0.03, 0.1)
    }
    seconds = {}
    for workers in (1, 2):
        with tempfile.TemporaryDirectory() as folder:
            study = Study(task, arms, epochs=epochs, seeds=4, storage=folder)
            begun = time.perf_counter()
            study.run(workers=workers)
            seconds[workers] = time.perf_counter() - begun
            print(f"{workers} worker(s): 16 trials in {seconds[workers]:.1f} s")
    print(f"throughput of two workers: {seconds[1] / seconds[2]:.2f} times that of one")


def full_study(task: str, epochs: int, folder: str) -> None:
    """Run the 200 trials that choose the peaks, then the fewest judging trials allowed."""
    study = Study(task, ARMS, epochs=epochs, seeds=2, tuning_seeds=5, peaks=5, storage=folder)
    begun, parts = time.perf_counter(), {}

    def note(progress: lehr.study.runner.Progress) -> None:
        parts.setdefault(progress.part, time.perf_counter() - begun)

    results = study.run(workers=2, progress=note)
    took = time.perf_counter() - begun
    trained = sum(tuning.seconds for tuning in results.tuning.values())
    trials = sum(len(t.scores) for t in results.tuning.values()) * study.tuning_seeds
    tuned = parts["trials"] - parts["peaks"]
    print(f"{trials} trials in {tuned:.0f} s with two workers, the study in {took:.0f} s")
    print(f"share of the two workers' time outside training: {1 - trained / (2 * tuned):.1%}")
    print(results.verdict())
    print(f"results: {Path(folder).absolute()}")


if __name__ == "__main__":
    main()
