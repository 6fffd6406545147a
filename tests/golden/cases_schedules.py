"""Record every preset case of the tests in plain Python, and the decisions of controllers.

The rates were recorded before the schedules were rewritten. They agree within 1e-12 of the peak,
and exactly at the joints of parts. A joint between two steps has no value at the end of a curve, so
only the tolerance of 1e-12 applies there; these joints were removed from the recording by hand.
"""

from __future__ import annotations

import itertools
from typing import Any

from golden_values import exact, rates
from preset_cases import CASES

import lehr
from lehr.schedule.inspect import joints

FAR = (10**5, 2**24 - 1, 2**24, 2**24 + 1, 10**9, 2**31 - 2)
LOSSES = (4.0, 3.0, 2.5, 2.5, 2.49, 2.6, float("nan"), 2.6, 2.4999, 2.0, 1.0, 1.0, float("inf"))
LOSSES += (1.0, 0.99995, 0.9999, 1.2, 1.2, 0.5, 0.25, -0.25, -0.25, -0.2501, -1.0, -1.0, -1.0)
CONTROLLERS = {
    "plateau": lehr.Plateau(patience=2),
    "plateau: cooldown, min_factor": lehr.Plateau(
        patience=1, factor=0.3, threshold=0.01, cooldown=2, min_factor=0.05
    ),
    "plateau: max, absolute": lehr.Plateau(
        patience=2, mode="max", threshold=0.1, threshold_mode="absolute"
    ),
    "plateau: average": lehr.Plateau(patience=1, average=3, factor=0.7),
    "greedy": lehr.Greedy(patience=2, factor=0.6),
    "greedy: cooldown, max_factor": lehr.Greedy(
        patience=1, factor=0.3, cooldown=1, max_factor=2.0, min_factor=0.2
    ),
}


def record(recorded: dict[str, Any]) -> dict[str, Any]:
    presets = recorded.get("presets", {})
    return {
        "presets": {name: _preset(s, presets.get(name, {})) for name, s in CASES.items()},
        "controllers": {name: exact(_factors(c)) for name, c in CONTROLLERS.items()},
    }


def _preset(schedule: lehr.Schedule, recorded: dict[str, Any]) -> dict[str, Any]:
    """Record 60 steps, all joints (100 for periodic schedules) with neighbours, and far steps."""
    steps = [*map(int, recorded["steps"].split())] if recorded else _chosen(schedule)
    at = [*map(int, recorded["joints"].split())] if recorded else joints(schedule, 100)
    return {
        "steps": " ".join(map(str, steps)),
        "values": rates(schedule(step) for step in steps),
        "joints": " ".join(map(str, at)),
        "values at joints": exact(schedule(step) for step in at),
    }


def _chosen(schedule: lehr.Schedule) -> list[int]:
    around = {j + i for j in joints(schedule, 100) for i in (-1, 0, 1) if j + i >= 0}
    return sorted({*range(60), *around, *FAR})


def _factors(controller: Any) -> list[float]:
    update = controller.update
    states = itertools.accumulate(LOSSES, update, initial=controller.init())
    return [state.factor for state in states]
