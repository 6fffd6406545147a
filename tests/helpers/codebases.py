"""Compare a schedule of another codebase with its simplest lehr form.

A form is **one line** if it is one expression whose numbers are settings of the original or simple
arithmetic of settings; `with_end` and a shift by one of these numbers are allowed. A form is
**awkward** if a value or a position has to be computed first, if cycles are written out one by one,
or if one part is shifted in a chain that is shifted back.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from oracles import FLOAT64, near, values

from lehr import Schedule

AWKWARD: dict[str, dict[str, str]] = {
    "toolkits": {
        "DeepSpeed WarmupCosineLR": "the cosine starts at its step 1, the warm-up one update late",
        "fairseq cosine: growing, with a floor": "the floor shrinks at restarts computed by hand",
    },
    "speech": {
        "katsura-jp: growing": "growth excludes the warm-up: cycles written out one by one",
    },
    "vision": {
        "DINOv3 trunc_extra": "a cosine cut and stretched to its floor: needs its last value",
        "hlb-CIFAR10 OneCycleLR": "the peak is between two steps, and the decay ends above 0",
    },
}
"""Every awkward form by file and name, with the reason; all other forms are one line."""


@dataclass(frozen=True)
class Case:
    """One schedule: the original, reimplemented in plain math, and the lehr form.

    Attributes:
        name: the codebase and its schedule.
        original: the value of update t, counted from 0.
        form: returns the lehr form; called in the test, so that an error fails only its case.
        steps: the length of the run; all its steps are compared.
        run: further arguments of `resolve`.
    """

    name: str
    original: Callable[[int], float]
    form: Callable[[], Schedule]
    steps: int = 200
    run: Mapping[str, Any] = field(default_factory=dict)

    def check(self) -> None:
        """Compare all steps of the run, relative to the largest value.

        Joints need no exact comparison: an offset of one step is above 1e-5 of the peak in each
        case.
        """
        ours = self.form().resolve(self.steps, **self.run)
        near(values(ours, self.steps), [self.original(t) for t in range(self.steps)], FLOAT64)


def line(start: float, end: float, u: float) -> float:
    """Return linear interpolation at the fraction u."""
    return start + (end - start) * u


def wave(start: float, end: float, u: float) -> float:
    """Return half-cosine interpolation at the fraction u."""
    return end + (start - end) * 0.5 * (1 + math.cos(math.pi * u))
