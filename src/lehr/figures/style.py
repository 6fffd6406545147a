"""Size, colours, ticks, legend and file output, common to all figures."""

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
from matplotlib.text import Text
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

SIZE = (4.8, 3.3)  # inches: readable on a phone; two fit side by side on a desktop
STYLE = {
    "svg.fonttype": "none",  # text elements: smaller files, searchable
    "svg.hashsalt": "lehr",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "xtick.major.pad": 6,  # no overlap with the lowest label of the vertical axis
}
# Okabe and Ito's palette, distinguishable by colour-blind readers
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#333333")
MOST_POINTS = 2000
_MOST_TICKS = 6
_MOST_INSIDE, _INCHES_OF_LABEL = 8, 0.17  # number and height of the labels of a legend
_LEAST_SHORTENED = 10_000  # larger counts are labelled 10K, 2M


def to_svg(figure: Figure) -> str:
    """Return a figure as an SVG element that can be embedded in HTML.

    >>> figure, axes = new_figure("step", "value")
    >>> to_svg(figure)[:4]
    '<svg'
    """
    text = io.StringIO()
    with mpl.rc_context(STYLE):
        omitted = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(text, format="svg", metadata=omitted)
    return text.getvalue()[text.getvalue().index("<svg") :]


def save(figure: Figure, path: Path) -> None:
    """Save a figure in the format given by the suffix of the path; the write is atomic."""
    with atomic_write(path) as temporary, mpl.rc_context(STYLE):
        figure.savefig(temporary, format=path.suffix.removeprefix("."), dpi=200)


def new_figure(x: str, y: str) -> tuple[Figure, Axes]:
    """Return a figure with one panel, and the panel, with axis labels ``x`` and ``y``."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=SIZE, layout="constrained")
        axes = figure.add_subplot()
    axes.set(xlabel=x, ylabel=y)
    literal(axes.xaxis.label, axes.yaxis.label)
    return figure, axes


def literal(*texts: Text) -> None:
    """Draw texts unchanged: a ``$`` in a user's name does not start a formula."""
    for text in texts:
        text.set_parse_math(False)


def styles() -> Iterable[dict[str, Any]]:
    """Return 14 line styles: all colours solid, then all colours dashed."""
    return [{"color": c, "linestyle": d} for d in ("-", "--") for c in COLOURS]


def set_ticks(axis: Axis, *, integer: bool = False, at: Sequence[float] = ()) -> None:
    """Set a few ticks with short labels that do not overlap; call it after drawing.

    Args:
        axis: an axis of a panel, linear or logarithmic.
        integer: whether the values are counts: ticks are integers, labels 500, 20K, 1.5M.
        at: positions of the ticks; positions too close to the next are omitted. Default: round
            values.
    """
    low, high = sorted(axis.get_view_interval())
    log = axis.get_scale() == "log"
    decades = math.log10(high / low) if log else 0.0
    labels: Any = ScalarFormatter(useOffset=False)
    if integer and high >= _LEAST_SHORTENED:
        labels = EngFormatter(sep="")
        labels.ENG_PREFIXES = {0: "", 3: "K", 6: "M", 9: "B"}  # suffixes as in run lengths
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
    """Return the positions at a sufficient distance from the next larger one."""
    position = dict(zip(at, axis.get_transform().transform(at), strict=True))
    low, high = axis.get_transform().transform(axis.get_view_interval())
    chosen: list[float] = []
    for value in sorted(at, reverse=True):
        if not chosen or position[chosen[-1]] - position[value] >= abs(high - low) / _MOST_TICKS:
            chosen.append(value)
    return chosen


def legend(axes: Axes) -> None:
    """Add a legend if there are labels: inside the panel, or below it for more than 8 labels."""
    handles, labels = axes.get_legend_handles_labels()
    if len(labels) > _MOST_INSIDE:
        figure: Any = axes.figure
        figure.set_figheight(figure.get_figheight() + _INCHES_OF_LABEL * len(labels))
        shown = figure.legend(handles, labels, loc="outside lower center", fontsize=8)
        literal(*shown.get_texts())
    elif any(labels):
        shown = axes.legend(fontsize=8, frameon=True, framealpha=0.8, edgecolor="none")
        literal(*shown.get_texts())


def finite(values: Iterable[float]) -> list[float]:
    """Return the finite values."""
    return [value for value in values if math.isfinite(value)]
