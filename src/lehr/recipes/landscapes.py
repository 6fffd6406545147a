"""Gradient descent on a loss of two weights at several learning rates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lehr.schedule.base import Schedule, as_schedule
from lehr.schedule.presets.cycles import triangular

_CURVATURES = (1.0, 10.0)
HEIGHTS: dict[str, Callable[[Any, Any], Any]] = {
    "bowl": lambda x, y: (_CURVATURES[0] * x * x + _CURVATURES[1] * y * y) / 2,
    "saddle": lambda x, y: x * x / 2 - y * y / 2 + y**4 / 4,
}
_SLOPES: dict[str, Callable[[float, float], tuple[float, float]]] = {
    "bowl": lambda x, y: (_CURVATURES[0] * x, _CURVATURES[1] * y),
    "saddle": lambda x, y: (x, -y + y**3),
}


def three_rates(seed: int) -> dict[str, Any]:
    """Make 20 updates at each of three rates on a bowl of curvatures 1 and 10.

    The seed is not used.

    Returns:
        "numbers" by name, and the data of the "figure".
    """
    rates = {"too small: 0.01": 0.01, "right: 0.15": 0.15, "too large: 0.205": 0.205}
    paths = {name: descend("bowl", rate, (-3.0, 0.8), 20) for name, rate in rates.items()}
    height = HEIGHTS["bowl"]
    numbers = {f"loss after 20 updates, {name}": height(*path[-1]) for name, path in paths.items()}
    numbers["largest rate that converges"] = 2 / max(_CURVATURES)
    return {"numbers": numbers, "figure": _figure("bowl", paths, (-3.2, 3.2, -1.6, 1.6))}


def saddle(seed: int) -> dict[str, Any]:
    """Count the updates that leave a saddle at a cyclical rate, its mean and its floor.

    The seed is not used.

    Returns:
        "numbers" by name, and the data of the "figure".
    """
    low, high, start, steps = 0.01, 0.19, (1.0, 1e-3), 1000
    rates: dict[str, Schedule | float] = {
        f"cyclical, {low:g} to {high:g}": triangular(low, high, 20),
        f"fixed at its mean, {(low + high) / 2:g}": (low + high) / 2,
        f"fixed at its floor, {low:g}": low,
    }
    paths = {name: descend("saddle", rate, start, steps) for name, rate in rates.items()}
    numbers, named = {}, {}
    for name, path in paths.items():
        left = next(t for t, (_, y) in enumerate(path) if abs(y) > 0.5)
        numbers[f"updates to leave, {name}"] = float(left)
        named[f"{name}: leaves after {left} updates"] = path
    return {"numbers": numbers, "figure": _figure("saddle", named, (-0.2, 1.2, -0.2, 1.4))}


def descend(
    name: str, rate: Schedule | float, start: tuple[float, float], steps: int
) -> list[tuple[float, float]]:
    """Return the points of gradient descent, the starting point first.

    Args:
        name: of the loss: "bowl" or "saddle".
        rate: the learning rate, a number or a schedule.
        start: the starting point.
        steps: number of updates.

    >>> descend("bowl", 0.1, (1.0, 1.0), steps=1)
    [(1.0, 1.0), (0.9, 0.0)]
    """
    schedule, path = as_schedule("rate", rate), [start]
    for step in range(steps):
        x, y = path[-1]
        across, up = _SLOPES[name](x, y)
        path.append((x - schedule(step) * across, y - schedule(step) * up))
    return path


def _figure(name: str, paths: dict[str, Any], box: tuple[float, ...]) -> dict[str, Any]:
    return {"landscape": name, "paths": paths, "box": box}
