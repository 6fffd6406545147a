"""Common parts of all figures: size, colours, labels, files."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

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
}
# Okabe and Ito's colours, which colour-blind readers can distinguish; then dashes
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#333333")
MOST_POINTS = 2000


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


def legend(axes: Axes) -> None:
    """Add a legend if there are labels."""
    if any(axes.get_legend_handles_labels()[1]):
        axes.legend(fontsize=8, frameon=True, framealpha=0.8, edgecolor="none")


def finite(values: Iterable[float]) -> list[float]:
    """Return the values that are finite."""
    return [value for value in values if math.isfinite(value)]
