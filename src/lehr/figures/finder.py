"""Figures of range tests."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from lehr.figures.style import COLOURS, finite, legend, new_figure, set_ticks

if TYPE_CHECKING:
    from lehr.finder import Sweep


def draw_sweep(sweep: Sweep) -> Figure:
    """Draw a range test: raw losses, the smoothed line and the suggestions.

    >>> from lehr.finder import Sweep
    >>> rates = [10 ** (k / 10 - 4) for k in range(40)]
    >>> losses = [(math.log10(x) + 1) ** 2 for x in rates]
    >>> figure = draw_sweep(Sweep(rates, losses, "geometric", 40, "end"))
    >>> [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    ['raw losses', 'smoothed, centred', 'constant: 0.04', 'one-cycle: 0.08']
    """
    return draw_sweeps([sweep])


def draw_sweeps(sweeps: Sequence[Sweep]) -> Figure:
    """Draw range tests of one task over several seeds.

    The figure shows the raw losses, the mean and the range of the smoothed lines over the seeds,
    and the median suggestions for a constant rate and for one cycle.
    """
    from lehr.finder import agree, smoothed

    loss = {"training": "training loss of the batch", "validation": "validation loss"}
    figure, axes = new_figure("learning rate (log scale)", loss[sweeps[0].objective])
    axes.set_xscale("log")
    for sweep in sweeps:
        axes.plot(sweep.rates, sweep.losses, ".", color="#999999", markersize=3, alpha=0.7)
    axes.plot([], [], ".", color="#999999", label="raw losses")
    lines = [smoothed(sweep) for sweep in sweeps]
    rates = min((rates for rates, _ in lines), key=len)
    heights = [np.interp(rates, *line) for line in lines if line[0]]
    if heights:
        axes.plot(rates, np.mean(heights, 0), color=COLOURS[0], label="smoothed, centred")
    if len(heights) > 1:
        low, high = np.min(heights, 0), np.max(heights, 0)
        label = f"range over {len(heights)} seeds"
        axes.fill_between(rates, low, high, color=COLOURS[0], alpha=0.2, label=label)
    uses = (("constant", "-.", COLOURS[1]), ("one-cycle", "--", COLOURS[2]))
    for use, dashes, colour in uses:
        if (lr := agree(sweeps, use).lr) is not None:
            axes.axvline(lr, color=colour, linestyle=dashes, label=f"{use}: {lr:.2g}")
    ends = [sweep.rates[-1] for sweep in sweeps if sweep.stopped != "end"]
    if ends:
        axes.axvspan(min(ends), 2 * max(ends), color="#d62728", alpha=0.12, label="diverged")
    begin = statistics.median([s.losses[0] for s in sweeps])
    seen = [loss for s in sweeps for loss in finite(s.losses)]
    if seen and math.isfinite(begin) and min(seen) < begin:
        # losses far above the start have diverged and would compress the rest
        fall = begin - min(seen)
        axes.set_ylim(min(seen) - 0.05 * fall, begin + 0.6 * fall)
    set_ticks(axes.xaxis)
    set_ticks(axes.yaxis)
    legend(axes)
    return figure
