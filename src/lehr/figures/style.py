"""Common parts of all figures: size, colours, labels, files."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import (
    EngFormatter,
    FixedLocator,
    LogFormatterSciNotation,
    LogLocator,
    MaxNLocator,
    NullFormatter,
    NullLocator,
    ScalarFormatter,
)

from lehr._atomic import atomic_write

SIZE = (4.8, 3.3)  # inches: readable at its own size on a phone, two abreast on a desk
STYLE = {
    "svg.fonttype": "none",  # text stays text: small, searchable
    "svg.hashsalt": "lehr",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "xtick.major.pad": 6,  # apart from the lowest label of the vertical axis
}
# Okabe and Ito's colours, which colour-blind readers can distinguish; then dashes
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#333333")
MOST_POINTS = 2000
_MOST_TICKS = 6
_MOST_INSIDE, _INCHES_OF_LABEL = 8, 0.17  # of a legend
_LEAST_SHORTENED = 10_000  # from here on counts are labelled 10K, 2M


def to_svg(figure: Figure) -> str:
    """Return a figure as an SVG element to put into a page."""
    text = io.StringIO()
    with mpl.rc_context(STYLE):
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(text, format="svg", metadata=nothing)
    return text.getvalue()[text.getvalue().index("<svg") :]


def save(figure: Figure, path: Path) -> None:
    """Save a figure in the format of the file's suffix; the write is atomic."""
    with atomic_write(path) as beside, mpl.rc_context(STYLE):
        figure.savefig(beside, format=path.suffix.removeprefix("."), dpi=200)


def new_figure(x: str, y: str) -> tuple[Figure, Axes]:
    """Return a figure with one panel and the labels of its axes."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=SIZE, layout="constrained")
        axes = figure.add_subplot()
    axes.set(xlabel=x, ylabel=y)
    return figure, axes


def styles() -> Iterable[dict[str, Any]]:
    """Return 14 line styles: each colour solid, then dashed."""
    return [{"color": c, "linestyle": d} for d in ("-", "--") for c in COLOURS]


def set_ticks(axis: Axis, *, integer: bool = False, at: Sequence[float] = ()) -> None:
    """Set few ticks with short labels, so that labels do not overlap; call it after drawing.

    Args:
        axis: an axis of a panel, linear or logarithmic.
        whole: whether the values are counts: ticks are integers, labels 500, 20K, 1.5M.
        at: positions of the ticks, thinned where they are too close; default: round values.
    """
    low, high = sorted(axis.get_view_interval())
    log = axis.get_scale() == "log"
    decades = math.log10(high / low) if log else 0.0
    labels: Any = ScalarFormatter(useOffset=False)
    if integer and high >= _LEAST_SHORTENED:
        labels = EngFormatter(sep="")
        labels.ENG_PREFIXES = {0: "", 3: "K", 6: "M", 9: "B"}  # as in lengths
    if at:
        ticks: Any = FixedLocator(_thinned(axis, at))
    elif decades > 2:
        ticks, labels = LogLocator(numticks=_MOST_TICKS), LogFormatterSciNotation()
    elif decades > 0.7:  # a factor of 5: at least two of 1, 2, 5
        ticks, labels = LogLocator(subs=(1, 2, 5)), "{x:g}"
    else:
        ticks = MaxNLocator(4 if log else _MOST_TICKS, steps=[1, 2, 2.5, 5, 10], integer=integer)
        labels = "{x:g}" if log else labels
    axis.set_major_locator(ticks)
    axis.set_major_formatter(labels)
    if log:
        axis.set_minor_formatter(NullFormatter())
        if decades <= 2:
            axis.set_minor_locator(NullLocator())


def _thinned(axis: Axis, at: Sequence[float]) -> list[float]:
    """Return the positions that are far enough from the next larger one."""
    places = dict(zip(at, axis.get_transform().transform(at), strict=True))
    low, high = axis.get_transform().transform(axis.get_view_interval())
    chosen: list[float] = []
    for value in sorted(at, reverse=True):
        if not chosen or places[chosen[-1]] - places[value] >= abs(high - low) / _MOST_TICKS:
            chosen.append(value)
    return chosen


def legend(axes: Axes) -> None:
    """Add a legend if there are labels: inside the panel, or below it if there are many."""
    handles, labels = axes.get_legend_handles_labels()
    if len(labels) > _MOST_INSIDE:
        figure: Any = axes.figure
        figure.set_figheight(figure.get_figheight() + _INCHES_OF_LABEL * len(labels))
        figure.legend(handles, labels, loc="outside lower center", fontsize=8)
    elif any(labels):
        axes.legend(fontsize=8, frameon=True, framealpha=0.8, edgecolor="none")


def finite(values: Iterable[float]) -> list[float]:
    """Return the values that are finite."""
    return [value for value in values if math.isfinite(value)]
