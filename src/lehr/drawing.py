"""More figures, in the style of `lehr.figures`: lines by name, a diagnosis, a landscape."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lehr import figures  # first: it says how to get matplotlib

# isort: split
import matplotlib as mpl
import numpy as np
from matplotlib import ticker
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from lehr.diagnosis import Diagnosis

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
    """Return a figure of lines by name.

    Args:
        lines: name to (x values, y values).
        x: what the horizontal axis shows, with its unit.
        y: what the vertical axis shows, with its unit.
        log: the axes with a logarithmic scale: "x", "y" or "xy".
        top: upper end of the vertical axis.
        second: lines on a second axis, at the right.
        second_y: what that axis shows.
    """
    figure, axes = figures._figure(x, y)
    styles = iter(figures._styles())
    for name, (across, up) in lines.items():
        axes.plot(across, up, label=name, **next(styles))
    if second:
        right = axes.twinx()
        right.set_ylabel(second_y)
        right.spines["right"].set_visible(True)
        right.grid(visible=False)
        for name, (across, up) in second.items():
            style = next(styles) | {"linestyle": ":"}
            right.plot(across, up, **style)
            axes.plot([], [], label=name, **style)
    if "x" in log:
        axes.set_xscale("log")
    if "y" in log:
        axes.set_yscale("log")
    if top is not None:
        axes.set_ylim(top=top)
    figures._legend(axes)
    return figure


def draw_diagnosis(diagnosis: Diagnosis) -> Figure:
    """Return a figure: activations, saturated share and gradient norm by layer, one below other."""
    layers, at = diagnosis.layers, range(len(diagnosis.layers))
    with mpl.rc_context(figures._STYLE):
        height = figures._SIZE[1] * 2
        figure = Figure((figures._SIZE[0], height), layout="constrained")
        top, middle, bottom = figure.subplots(3, sharex=True)
    mean = np.array([layer.mean for layer in layers])
    spread = np.array([layer.spread for layer in layers])
    blue, red, green = figures._COLOURS[:3]
    top.plot(at, mean, "o-", color=blue, markersize=3, label="mean")
    top.fill_between(at, mean - spread, mean + spread, color=blue, alpha=0.2, label="± spread")
    top.set_ylabel("activation")
    figures._legend(top)
    shares = [math.nan if s is None else 100 * s for s in (layer.saturated for layer in layers)]
    middle.bar(at, shares, color=red)
    middle.set_ylabel("saturated (%)")
    middle.set_ylim(0, 100)
    norms = [(i, g) for i, g in enumerate(layer.gradient for layer in layers) if g]
    bottom.plot([i for i, _ in norms], [g for _, g in norms], "o-", color=green, markersize=3)
    if norms:
        bottom.set_yscale("log")
    bottom.set_ylabel("gradient norm\n(log scale)")
    bottom.set_xlabel("layer")
    if len(layers) <= 12:
        bottom.set_xticks(at, [layer.name for layer in layers], rotation=45, ha="right", fontsize=7)
    else:
        bottom.xaxis.set_major_locator(ticker.MaxNLocator(integer=True))
    return figure


def draw_landscape(
    height: Any, paths: Mapping[str, Sequence[tuple[float, float]]], box: tuple[float, ...]
) -> Figure:
    """Return a figure of a function of two weights as contours, and of paths over it.

    Args:
        height: ``f(x, y)`` on arrays.
        paths: name to the points visited.
        box: left, right, bottom and top end of what is drawn.
    """
    figure, axes = figures._figure("first weight (no unit)", "second weight (no unit)")
    left, right, low, high = box
    x, y = np.meshgrid(np.linspace(left, right, 200), np.linspace(low, high, 200))
    contours = axes.contour(x, y, height(x, y), levels=15, colors="#999999", linewidths=0.7)
    axes.clabel(contours, inline=True, fontsize=6)
    for (name, path), style in zip(paths.items(), figures._styles(), strict=False):
        across, up = zip(*path, strict=True)
        axes.plot(across, up, marker=".", markersize=3, label=name, **style)
    axes.set_xlim(left, right)
    axes.set_ylim(low, high)
    figures._legend(axes)
    return figure
