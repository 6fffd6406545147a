"""A study with slow trials, for tests that kill processes. The program runs it with two workers.

The program prints a line "JOB STEP" for each chunk of training that a worker reports.
"""

import sys
from pathlib import Path

import lehr
import lehr.study.runner
from lehr.study import Arm, Study
from lehr.study.runner import Progress

ARMS = {
    "fixed": Arm(1.0, tune="constant"),
    "one-cycle": Arm(lehr.one_cycle(1.0), tune="one-cycle"),
    "plateau": lehr.Policy(lr=0.02, control=lehr.Plateau(patience=1, factor=0.5)),
}


def slow_study(folder: str | Path, task: str = "toys:slow") -> Study:
    return Study(task, ARMS, epochs=(2, 4), seeds=2, tuning_seeds=1, peaks=3, storage=folder)


def main(folder: str, task: str) -> None:
    # checkpoint after each chunk of training: the trials end before the default of 10 s
    lehr.study.runner._CHECKPOINT_SECONDS = 0.0
    seen: dict[str, dict] = {}

    def write(now: Progress) -> None:
        for job, report in now.running.items():
            if "step" in report and report is not seen.get(job):
                print(job, report["step"], flush=True)
                seen[job] = report

    slow_study(folder, task).run(workers=2, progress=write)


if __name__ == "__main__":
    main(*sys.argv[1:])
