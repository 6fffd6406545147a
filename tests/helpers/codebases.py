"""How a schedule of another codebase is held against its plainest lehr form.

A form is **one line** if it is one expression whose numbers are settings of the original or
simple arithmetic of settings; `with_end` and a shift by such a number count as plain. It is
**awkward** if a value or a place has to be worked out first, if cycles are written out one by one,
or if one part is moved against a chain that is moved back.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from oracles import FLOAT64, near, values

from lehr import Schedule

AWKWARD: dict[str, dict[str, str]] = {
    "toolkits": {
        "DeepSpeed WarmupCosineLR": "its cosine begins at its step 1, its warm-up one update late",
        "fairseq cosine: growing, with a floor": "the floor shrinks at restarts worked out by hand",
    },
    "speech": {
        "katsura-jp: growing": "growth leaves out the warm-up: cycles written out one by one",
    },
    "vision": {
        "DINOv3 trunc_extra": "a cosine cut off and stretched to its floor: its last value first",
        "hlb-CIFAR10 OneCycleLR": "its peak lies between two steps, and its fall ends above 0",
    },
}
"""Every awkward form by file and name, and what makes it so; all others are one line."""


@dataclass(frozen=True)
class Case:
    """One schedule: the original, in our own words and plain math, and the lehr form.

    Attributes:
        name: the codebase and its schedule.
        original: the value of update t, counted from 0.
        form: makes the lehr form; called by the test, so that one failure is one case.
        steps: the run, compared as a whole.
        run: what else `resolve` needs.
    """

    name: str
    original: Callable[[int], float]
    form: Callable[[], Schedule]
    steps: int = 200
    run: Mapping[str, Any] = field(default_factory=dict)

    def check(self) -> None:
        """Compare the whole run, relative to its largest value.

        No joint needs an exact comparison: one step off is above 1e-5 of the peak in every case.
        """
        ours = self.form().resolve(self.steps, **self.run)
        near(values(ours, self.steps), [self.original(t) for t in range(self.steps)], FLOAT64)


def line(start: float, end: float, u: float) -> float:
    """Return a straight line at the share u."""
    return start + (end - start) * u


def wave(start: float, end: float, u: float) -> float:
    """Return half a cosine at the share u, down or up."""
    return end + (start - end) * 0.5 * (1 + math.cos(math.pi * u))
