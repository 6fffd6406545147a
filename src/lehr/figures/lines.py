"""Figures of named lines, and of optimization paths over a loss landscape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from lehr.figures.style import legend, literal, new_figure, set_ticks, styles

_MANY = 5  # ticks of wider axes are integers
Line = tuple[Sequence[float], Sequence[float]]


def draw_lines(
    lines: Mapping[str, Line],
    x: str,
    y: str,
    *,
    log: str = "",
    top: float | None = None,
    second: Mapping[str, Line] | None = None,
    second_y: str = "",
) -> Figure:
    """Draw lines.

    Args:
        lines: x values and y values of each line on the left axis, by name.
        x: label of the horizontal axis, with its unit.
        y: label of the left axis, with its unit.
        log: axes with a logarithmic scale: "x", "y" or "xy".
        top: upper end of the left axis.
        second: lines on a second axis at the right, by name.
        second_y: label of the second axis, with its unit.

    >>> figure = draw_lines({"loss": ([0, 1, 2], [3.0, 2.0, 1.0])}, "epoch", "loss (no unit)")
    >>> figure.axes[0].get_ylabel()
    'loss (no unit)'
    """
    figure, axes = new_figure(x, y)
    fresh = iter(styles())
    for name, (across, up) in lines.items():
        axes.plot(across, up, label=name, **next(fresh))
    if second:
        right = axes.twinx()
        right.set_ylabel(second_y)
        literal(right.yaxis.label)
        right.spines["right"].set_visible(True)
        right.grid(visible=False)
        for name, (across, up) in second.items():
            style = next(fresh) | {"linestyle": ":"}
            right.plot(across, up, **style)
            axes.plot([], [], label=name, **style)
    axes.set(**{f"{axis}scale": "log" for axis in log})
    if top is not None:
        axes.set_ylim(top=top)
    drawn = [value for _, up in lines.values() for value in up if value is not None]
    if "y" not in log and min(drawn) >= 0:
        axes.set_ylim(bottom=0)  # otherwise small changes of a nearly constant rate look large
    low, high = axes.get_xlim()
    set_ticks(axes.xaxis, integer="x" not in log and high - low > _MANY)  # epochs, layers
    for panel in figure.axes:
        set_ticks(panel.yaxis)
    legend(axes)
    return figure


def draw_landscape(
    height: Any, paths: Mapping[str, Sequence[tuple[float, float]]], box: tuple[float, ...]
) -> Figure:
    """Draw the contours of a loss landscape over two weights, and optimization paths on it.

    Args:
        height: function of two NumPy arrays, the first and the second weight, to the loss.
        paths: points (first weight, second weight) of each path, by name.
        box: left, right, bottom and top end of the axes.

    >>> path = [(1.0, 1.0), (0.5, 0.2), (0.1, 0.0)]
    >>> figure = draw_landscape(lambda x, y: x**2 + y**2, {"sgd": path}, (-2, 2, -2, 2))
    >>> figure.axes[0].get_xlim()
    (np.float64(-2.0), np.float64(2.0))
    """
    figure, axes = new_figure("first weight (no unit)", "second weight (no unit)")
    left, right, low, high = box
    x, y = np.meshgrid(np.linspace(left, right, 200), np.linspace(low, high, 200))
    contours = axes.contour(x, y, height(x, y), levels=15, colors="#999999", linewidths=0.7)
    axes.clabel(contours, inline=True, fontsize=6)
    widths = range(len(paths) + 1, 0, -1)  # later paths are thinner, to show those below
    for (name, path), style, width in zip(paths.items(), styles(), widths, strict=False):
        across, up = zip(*path, strict=True)
        axes.plot(across, up, marker=".", markersize=3, label=name, **style, linewidth=width)
    axes.set(xlim=(left, right), ylim=(low, high))
    set_ticks(axes.xaxis)
    set_ticks(axes.yaxis)
    legend(axes)
    return figure
