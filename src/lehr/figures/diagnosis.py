"""Figure of a diagnosis."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from lehr.figures.style import COLOURS, SIZE, STYLE, legend, literal, set_ticks

_MOST_NAMES, _LONGEST_NAME = 12, 24

if TYPE_CHECKING:
    from lehr.diagnosis import Diagnosis


def draw_diagnosis(diagnosis: Diagnosis) -> Figure:
    """Draw the activations, the share of saturated units and the gradient norm of each layer."""
    layers, at = diagnosis.layers, range(len(diagnosis.layers))
    with mpl.rc_context(STYLE):
        figure = Figure((SIZE[0], 2 * SIZE[1]), layout="constrained")
        top, middle, bottom = figure.subplots(3, sharex=True)
    mean = np.array([layer.mean for layer in layers])
    std = np.array([layer.std for layer in layers])
    blue, red, green = COLOURS[:3]
    top.plot(at, mean, "o-", color=blue, markersize=3, label="mean")
    top.fill_between(at, mean - std, mean + std, color=blue, alpha=0.2, label="± std")
    top.set_ylabel("activation")
    legend(top)
    shares = [math.nan if s is None else 100 * s for s in (layer.saturated for layer in layers)]
    middle.bar(at, shares, color=red)
    middle.set(ylabel="saturated (%)", ylim=(0, 100))
    norms = {i: layer.gradient for i, layer in enumerate(layers) if layer.gradient}
    bottom.plot(list(norms), list(norms.values()), "o-", color=green, markersize=3)
    bottom.set(xlabel="layer", ylabel="gradient norm\n(log scale)")
    if norms:
        bottom.set_yscale("log")
    for axes in (top, middle, bottom):
        set_ticks(axes.yaxis)
    set_ticks(bottom.xaxis, integer=True)
    if len(layers) <= _MOST_NAMES:
        names = [layer.name[-_LONGEST_NAME:] for layer in layers]  # names differ at the end
        bottom.set_xticks(at, names, rotation=90, fontsize=7)
        literal(*bottom.get_xticklabels())
    return figure
