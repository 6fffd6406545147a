"""A study whose trials last long enough to be killed while they run."""

from pathlib import Path

import lehr
from lehr.study import Arm, Study

ARMS = {
    "fixed": Arm(1.0, tune="constant"),
    "one-cycle": Arm(lehr.one_cycle(1.0), tune="one-cycle"),
    "plateau": lehr.Policy(lr=0.02, control=lehr.Plateau(patience=1, factor=0.5)),
}


def slow_study(folder: str | Path, task: str = "toys:slow") -> Study:
    """A study whose trials last long enough to be killed in their middle."""
    return Study(task, ARMS, epochs=(2, 4), seeds=2, tuning_seeds=1, peaks=3, storage=folder)
