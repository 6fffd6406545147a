"""Figures of the results of studies."""

from __future__ import annotations

import itertools
import math
import statistics
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lehr.figures.style import MOST_POINTS, SIZE, finite, legend, new_figure, set_ticks, styles
from lehr.study.jobs import stored_number

_LABEL_WIDTH, _NAME_WIDTH = 44, 24  # characters per line
_DIVERGED = 1e30  # losses from here on are not drawn

if TYPE_CHECKING:
    from lehr.study.results import Results


def draw_rates(results: Results, name: str = "lr") -> Figure:
    """Draw the applied values of a hyperparameter, from the ledger of seed 0 of each arm."""
    words = {"lr": "applied learning rate (log scale)", "momentum": "applied momentum"}
    figure, axes = new_figure("epoch", words.get(name, name))
    largest = 0.0
    for arm, style in _arms(results):
        first = results.records(arm)[0]
        for used, values in first.trace.rates.items():
            if used.partition("/")[0] != name:
                continue
            every = max(1, len(values) // MOST_POINTS)
            epochs = [i / first.metadata["steps_per_epoch"] for i in range(0, len(values), every)]
            group = used.removeprefix(name).replace("/", " ")
            axes.plot(epochs, values[::every], label=results.label(arm) + group, **style)
            largest = max(largest, *values)
    if name == "lr" and largest > 0:
        axes.set_yscale("log")
        axes.set_ylim(bottom=largest * 1e-4)
    _finish(axes)
    return figure


def draw_losses(results: Results) -> Figure:
    """Draw the training loss: mean and standard deviation over seeds."""
    figure, axes = new_figure("epoch", "training loss (log scale)")
    for arm, style in _arms(results):
        records = results.records(arm)
        steps_per_epoch = records[0].metadata["steps_per_epoch"]
        size = min(max(1, steps_per_epoch // 10), records[0].metadata["steps"])
        curves = []
        for record in records:
            losses = record.trace.losses
            starts = range(0, len(losses) - size + 1, size)
            means = (statistics.fmean(losses[i : i + size]) for i in starts)
            curves.append([mean if abs(mean) < _DIVERGED else math.nan for mean in means])
        epochs = [(i + 0.5) * size / steps_per_epoch for i in range(len(curves[0]))]
        _band(axes, epochs, curves, results.label(arm), style)
    drawn = finite(y for line in axes.lines for y in np.asarray(line.get_ydata(), float).tolist())
    if drawn and min(drawn) > 0:
        axes.set_yscale("log")
    else:  # negative losses, or no run with a finite loss
        axes.set_ylabel("training loss")
    _finish(axes)
    return figure


def draw_metric(results: Results) -> Figure:
    """Draw the validation metric after each epoch: mean and std over seeds."""
    metric = results.study.metric
    figure, axes = new_figure("epoch", f"validation {_unit(results)}")
    for arm, style in _arms(results):
        records = results.records(arm)
        curves = [
            [_shown(results, entry["validation"][metric]) for entry in record.metadata["history"]]
            for record in records
        ]
        steps_per_epoch = records[0].metadata["steps_per_epoch"]
        epochs = [entry["step"] / steps_per_epoch for entry in records[0].metadata["history"]]
        _band(axes, epochs, curves, results.label(arm), style)
    _finish(axes)
    return figure


def draw_differences(results: Results) -> Figure:
    """Draw the paired differences to the reference, with their intervals."""
    unit = "points" if results.percent else results.study.metric
    reference = results.label(results.reference)
    label = f"difference to {reference} on test data ({unit})"
    figure, axes = new_figure(textwrap.fill(label, _LABEL_WIDTH), "")
    scale = 100 if results.percent else 1
    compared = results.comparisons()
    for place, c in enumerate(reversed(compared.values())):
        colour = {"better": "#009E73", "worse": "#D55E00"}.get(c.verdict, "#777777")
        ends = [[scale * (c.difference - c.low)], [scale * (c.high - c.difference)]]
        axes.errorbar([scale * c.difference], [place], xerr=ends, fmt="o", color=colour, capsize=4)
    axes.axvline(0, color="black", linewidth=1)
    set_ticks(axes.xaxis)
    names = [textwrap.fill(results.label(arm), _NAME_WIDTH) for arm in reversed(compared)]
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set_ylim(-0.6, len(compared) - 0.4)
    lines = 1 + max((name.count("\n") for name in names), default=0)
    figure.set_figheight(max(SIZE[1], 1.0 + len(names) * (0.1 + 0.15 * lines)))
    axes.grid(visible=False, axis="y")
    return figure


def draw_peaks(results: Results) -> Figure:
    """Draw the sensitivity to the peak: validation scores of every peak tried."""
    figure, axes = new_figure("peak learning rate (log scale)", f"validation {_unit(results)}")
    axes.set_xscale("log")
    means = []
    for arm, style in _arms(results):
        if arm not in results.tuning or not results.tuning[arm].scores:
            continue
        tuning = results.tuning[arm]
        peaks = sorted(tuning.scores)
        curves = [
            [_shown(results, tuning.scores[peak][i]) for peak in peaks]
            for i in range(len(tuning.scores[peaks[0]]))
        ]
        _band(axes, peaks, curves, results.label(arm), style)
        mean = statistics.fmean(_shown(results, x) for x in tuning.scores[tuning.peak])
        axes.plot([tuning.peak], [mean], "o", color=style["color"], markersize=7)
        means += [statistics.fmean(finite(at)) for at in zip(*curves, strict=True) if finite(at)]
    if results.percent and means:
        # limit the axis: the scores of runs with a poor peak would compress the rest
        top, middle = max(means), statistics.median(means)
        axes.set_ylim(max(min(means) - 1, top - 4 * max(top - middle, 1)), top + 1)
    set_ticks(axes.xaxis)
    set_ticks(axes.yaxis)
    legend(axes)
    return figure


def draw_budgets(results: Results) -> Figure:
    """Draw the test metric over the budget: mean and std over seeds."""
    study = results.study
    unit = "updates" if study.unit == "steps" else study.unit
    figure, axes = new_figure(f"budget ({unit}, log scale)", f"test {_unit(results)}")
    axes.set_xscale("log")
    for arm, style in _arms(results):
        by_budget = [results.scores(arm, budget) for budget in study.budgets]
        curves = [[_shown(results, x) for x in seed] for seed in zip(*by_budget, strict=True)]
        _band(axes, [float(b) for b in study.budgets], curves, results.label(arm), style)
    set_ticks(axes.xaxis, integer=True, at=study.budgets)
    set_ticks(axes.yaxis)
    legend(axes)
    return figure


def _finish(axes: Axes) -> None:
    """Set the ticks of a panel over epochs, and add the legend."""
    set_ticks(axes.xaxis, integer=axes.get_xlim()[1] >= 1)
    set_ticks(axes.yaxis)
    legend(axes)


def _unit(results: Results) -> str:
    return f"{results.study.metric}{' (%)' if results.percent else ''}"


def _shown(results: Results, value: float | None) -> float:
    return stored_number(value) * (100 if results.percent else 1)


def _arms(results: Results) -> list[tuple[str, dict[str, Any]]]:
    """Return each arm and its style; the reference is a wide pale line below the others."""
    styled = list(zip(results.study.arms, itertools.cycle(styles()), strict=False))
    styled[0][1].update(linewidth=4, alpha=0.45)
    return styled


def _band(
    axes: Axes,
    x: Sequence[float],
    curves: Sequence[Sequence[float]],
    label: str,
    style: dict[str, Any],
) -> None:
    """Draw the mean of the curves, up to the shortest, and a band of one standard deviation."""
    points = [finite(values) for values in zip(*curves, strict=False)]  # diverged runs are omitted
    x = x[: len(points)]
    mean = [statistics.fmean(values) if values else math.nan for values in points]
    std = [statistics.stdev(values) if len(values) > 1 else 0.0 for values in points]
    axes.plot(x, mean, label=label, **style)
    low, high = np.subtract(mean, std), np.add(mean, std)
    axes.fill_between(x, low, high, color=style["color"], alpha=0.15, linewidth=0)
