"""Every figure, drawn with matplotlib from records: schedules, sweeps, results of studies."""

from __future__ import annotations

import io
import itertools
import math
import statistics
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from lehr.policy import Policy
from lehr.schedule import Constant, Schedule
from lehr.schedule.check import fail, whole

try:
    import matplotlib as mpl
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
except ImportError as error:
    raise ImportError(f"figures need matplotlib ({error}); pip install 'lehr[plot]'") from error

if TYPE_CHECKING:
    from lehr.finder import Sweep
    from lehr.study.results import Results

_SIZE = (4.8, 3.3)  # inches: readable at its own size on a phone, two abreast on a desk
_STYLE = {
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
# Okabe and Ito's colours, told apart by colour-blind readers too; then dashes
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#333333")
_MOST_POINTS = 2000


def draw_schedules(schedules: dict[str, Schedule], steps: int | None = None) -> Figure:
    """Return a figure of schedules by name over ``steps`` steps, or over their own lengths."""
    steps = _span(schedules.values(), steps)
    figure, axes = _figure("step", "value")
    _draw_over_steps(axes, schedules, steps)
    return figure


def draw_policy(policy: Policy, steps: int | None = None) -> Figure:
    """Return a figure of a policy: one panel for each hyperparameter that it moves."""
    panels = {
        name: target if isinstance(target, dict) else {"": target}
        for name, target in policy.targets.items()
    }
    steps = _span([s for panel in panels.values() for s in panel.values()], steps)
    with mpl.rc_context(_STYLE):
        figure = Figure((_SIZE[0], _SIZE[1] * (1 + len(panels)) / 2), layout="constrained")
        grid = figure.subplots(len(panels), sharex=True, squeeze=False)
    for axes, (name, panel) in zip(grid[:, 0], panels.items(), strict=True):
        _draw_over_steps(axes, panel, steps)
        axes.set_ylabel({"lr": "learning rate"}.get(name, name.replace("_", " ")))
    axes.set_xlabel("step")
    return figure


def draw_sweep(sweep: Sweep) -> Figure:
    """Return a figure of a range test: raw losses, the smoothed line, the suggestions."""
    return draw_sweeps([sweep])


def draw_sweeps(sweeps: Sequence[Sweep]) -> Figure:
    """Return a figure of range tests on one task: a line and a band, what they suggest."""
    from lehr.finder import agree, smoothed

    whole = {"training": "training loss of the batch", "validation": "validation loss"}
    figure, axes = _figure("learning rate (log scale)", whole[sweeps[0].objective])
    axes.set_xscale("log")
    for sweep in sweeps:
        axes.plot(sweep.rates, sweep.losses, ".", color="#999999", markersize=3, alpha=0.7)
    axes.plot([], [], ".", color="#999999", label="as measured")
    lines = [smoothed(sweep) for sweep in sweeps]
    rates = min((rates for rates, _ in lines), key=len)
    heights = [np.interp(rates, *line) for line in lines if line[0]]
    if heights:
        axes.plot(rates, np.mean(heights, 0), color=_COLOURS[0], label="smoothed, centred")
    if len(heights) > 1:
        low, high = np.min(heights, 0), np.max(heights, 0)
        label = f"the {len(heights)} seeds"
        axes.fill_between(rates, low, high, color=_COLOURS[0], alpha=0.2, label=label)
    uses = (("constant", "-."), ("one-cycle", "--"))
    for (use, dashes), colour in zip(uses, _COLOURS[1:], strict=False):
        lr = agree(sweeps, use).lr
        if lr is not None:
            axes.axvline(lr, color=colour, linestyle=dashes, label=f"{use}: {lr:.2g}")
    ends = [sweep.rates[-1] for sweep in sweeps if sweep.stopped != "end"]
    if ends:
        axes.axvspan(min(ends), 2 * max(ends), color="#d62728", alpha=0.12, label="diverged")
    begin = statistics.median([s.losses[0] for s in sweeps])
    finite = [loss for s in sweeps for loss in _finite(s.losses)]
    if finite and math.isfinite(begin) and min(finite) < begin:
        # what lies far above the start has diverged; it would squeeze the rest
        fall = begin - min(finite)
        axes.set_ylim(min(finite) - 0.05 * fall, begin + 0.6 * fall)
    _legend(axes)
    return figure


def draw_rates(results: Results, name: str = "lr") -> Figure:
    """Return a figure of the values really used, from the ledger, seed 0 of each arm."""
    words = {"lr": "learning rate used (log scale)", "momentum": "momentum used"}
    figure, axes = _figure("epoch", words.get(name, name))
    largest = 0.0
    for (arm, style), trial in zip(_arms(results), _first_trials(results), strict=True):
        for used, values in trial["rates"].items():
            if used.partition("/")[0] != name:
                continue
            every = max(1, len(values) // _MOST_POINTS)
            epochs = [i / trial["steps_per_epoch"] for i in range(0, len(values), every)]
            group = used.removeprefix(name).replace("/", " ")
            axes.plot(epochs, values[::every], label=results.label(arm) + group, **style)
            largest = max(largest, *values)
    if name == "lr" and largest > 0:
        axes.set_yscale("log")
        axes.set_ylim(bottom=largest * 1e-4)
    _legend(axes)
    return figure


def draw_losses(results: Results) -> Figure:
    """Return a figure of the training loss: mean over seeds, and the spread as a band."""
    figure, axes = _figure("epoch", "training loss (log scale)")
    for arm, style in _arms(results):
        curves = []
        for seed in range(results.study.seeds):
            trial = results.trials[arm, seed]
            size = max(1, trial["steps_per_epoch"] // 10)
            losses = [math.nan if x is None else x for x in trial["losses"]]
            starts = range(0, len(losses) - size + 1, size)
            curves.append([statistics.fmean(losses[i : i + size]) for i in starts])
        per_epoch = trial["steps_per_epoch"] / size
        epochs = [(i + 0.5) / per_epoch for i in range(len(curves[0]))]
        _band(axes, epochs, curves, results.label(arm), style)
    axes.set_yscale("log")
    for formatted in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
        formatted(lambda value, _: f"{value:g}")
    _legend(axes)
    return figure


def draw_metric(results: Results) -> Figure:
    """Return a figure of the validation metric after each epoch: mean over seeds, and spread."""
    metric = results.study.metric
    figure, axes = _figure("epoch", f"validation {metric}{' (%)' if results.percent else ''}")
    scale = 100 if results.percent else 1
    for arm, style in _arms(results):
        curves = [
            [
                scale * _number(epoch[f"val_{metric}"])
                for epoch in results.trials[arm, seed]["history"]
            ]
            for seed in range(results.study.seeds)
        ]
        epochs = [float(i) for i in range(1, len(curves[0]) + 1)]
        _band(axes, epochs, curves, results.label(arm), style)
    axes.set_xticks(range(1, results.study.epochs + 1, math.ceil(results.study.epochs / 10)))
    _legend(axes)
    return figure


def draw_differences(results: Results) -> Figure:
    """Return a figure of the intervals of the paired differences to the reference."""
    unit = "points" if results.percent else results.study.metric
    reference = results.label(results.reference)
    figure, axes = _figure(f"difference to {reference} on test data ({unit})", "")
    scale = 100 if results.percent else 1
    compared = results.comparisons()
    for place, c in enumerate(reversed(compared.values())):
        colour = {"better": "#009E73", "worse": "#D55E00"}.get(c.verdict, "#777777")
        ends = [[scale * (c.difference - c.low)], [scale * (c.high - c.difference)]]
        axes.errorbar([scale * c.difference], [place], xerr=ends, fmt="o", color=colour, capsize=4)
    axes.axvline(0, color="black", linewidth=1)
    axes.set_yticks(range(len(compared)), [results.label(arm) for arm in reversed(compared)])
    axes.set_ylim(-0.6, len(compared) - 0.4)
    axes.grid(visible=False, axis="y")
    return figure


def to_svg(figure: Figure) -> str:
    """Return a figure as an SVG element to put into a page."""
    text = io.StringIO()
    with mpl.rc_context(_STYLE):
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(text, format="svg", metadata=nothing)
    return text.getvalue()[text.getvalue().index("<svg") :]


def _span(schedules: Iterable[Schedule], steps: int | None) -> int:
    """Return how many steps to draw, or raise if a schedule does not tell."""
    lengths = []
    for schedule in schedules:
        if not schedule.resolved:
            way_out = "call .resolve(steps=...) first"
            fail("schedule", "in whole steps before it is drawn", schedule, way_out)
        if isinstance(schedule.length, int):
            lengths.append(schedule.length)
        elif steps is None and not isinstance(schedule, Constant):
            fail("steps", "given for a schedule without an end", None, "pass steps=")
    if steps is None and not lengths:
        fail("steps", "given for a schedule without an end", None, "pass steps=")
    return max(lengths) if steps is None else whole("steps", steps)


def _draw_over_steps(axes: Axes, schedules: dict[str, Schedule], steps: int) -> None:
    at = sorted({round(i * steps / _MOST_POINTS) for i in range(_MOST_POINTS + 1)})
    for (name, schedule), style in zip(schedules.items(), _styles(), strict=False):
        axes.plot(at, [schedule(t) for t in at], drawstyle="steps-post", label=name, **style)
    _legend(axes)


def _figure(x: str, y: str) -> tuple[Figure, Axes]:
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=_SIZE, layout="constrained")
        axes = figure.add_subplot()
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    return figure, axes


def _styles() -> Iterable[dict[str, Any]]:
    dashes = itertools.chain.from_iterable(itertools.repeat(d, len(_COLOURS)) for d in ("-", "--"))
    return (
        {"color": c, "linestyle": d}
        for c, d in zip(itertools.cycle(_COLOURS), dashes, strict=False)
    )


def _arms(results: Results) -> list[tuple[str, dict[str, Any]]]:
    """Return each arm's style; the reference is a broad pale line that others can lie upon."""
    styled = list(zip(results.study.arms, itertools.cycle(_styles()), strict=False))
    styled[0][1].update(linewidth=4, alpha=0.45)
    return styled


def _first_trials(results: Results) -> list[dict[str, Any]]:
    return [results.trials[arm, 0] for arm in results.study.arms]


def _band(
    axes: Axes, x: list[float], curves: list[list[float]], label: str, style: dict[str, Any]
) -> None:
    """Draw the mean of the curves and a band of one standard deviation."""
    points = [_finite(values) for values in zip(*curves, strict=True)]  # diverged runs drop out
    mean = [statistics.fmean(values) if values else math.nan for values in points]
    spread = [statistics.stdev(values) if len(values) > 1 else 0.0 for values in points]
    axes.plot(x, mean, label=label, **style)
    low = [m - s for m, s in zip(mean, spread, strict=True)]
    high = [m + s for m, s in zip(mean, spread, strict=True)]
    axes.fill_between(x, low, high, color=style["color"], alpha=0.15, linewidth=0)


def _legend(axes: Axes) -> None:
    if any(axes.get_legend_handles_labels()[1]):
        axes.legend(fontsize=8, frameon=False)


def _finite(values: Iterable[float]) -> list[float]:
    return [value for value in values if math.isfinite(value)]


def _number(value: float | None) -> float:
    return math.nan if value is None else value
