"""Figures of schedules and policies."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lehr.figures.style import (
    MOST_POINTS,
    SIZE,
    STYLE,
    legend,
    literal,
    new_figure,
    set_ticks,
    styles,
)
from lehr.policy import Policy
from lehr.schedule import Constant, Schedule
from lehr.schedule.errors import fail, integer

_LABEL_WIDTH = 16  # characters per line of a vertical label


def draw_schedules(schedules: dict[str, Schedule], steps: int | None = None) -> Figure:
    """Draw schedules over the steps of a run.

    Args:
        schedules: resolved schedules by name; the names are shown in the legend.
        steps: number of steps to draw; default: the length of the longest schedule.

    Raises:
        ValueError: if a schedule is not resolved, or ``steps`` is missing for a schedule without
            an end.

    >>> import lehr
    >>> figure = draw_schedules({"cosine": lehr.cosine(0.1, steps=100)})
    >>> figure.axes[0].get_xlabel()
    'step'
    """
    steps = _span(schedules.values(), steps)
    figure, axes = new_figure("step", "value")
    _draw_over_steps(axes, schedules, steps)
    return figure


def draw_policy(policy: Policy, steps: int | None = None) -> Figure:
    """Draw a policy: one panel for each hyperparameter or value of the training loop.

    Args:
        policy: a resolved policy.
        steps: number of steps to draw; default: the length of the longest schedule.

    Raises:
        ValueError: if a schedule is not resolved, or ``steps`` is missing for a schedule without
            an end.

    >>> import lehr
    >>> figure = draw_policy(lehr.Policy(lr=lehr.cosine(0.1, steps=100), momentum=0.9))
    >>> [panel.get_ylabel() for panel in figure.axes]
    ['learning rate', 'momentum']
    """
    panels = {
        name: target if isinstance(target, dict) else {"": target}
        for name, target in (policy.targets | (policy.values or {})).items()
    }
    steps = _span([s for panel in panels.values() for s in panel.values()], steps)
    with mpl.rc_context(STYLE):
        figure = Figure((SIZE[0], SIZE[1] * (1 + len(panels)) / 2), layout="constrained")
        grid = figure.subplots(len(panels), sharex=True, squeeze=False)
    for axes, (name, panel) in zip(grid[:, 0], panels.items(), strict=True):
        _draw_over_steps(axes, panel, steps)
        label = {"lr": "learning rate"}.get(name, name.replace("_", " "))
        axes.set_ylabel(textwrap.fill(label, _LABEL_WIDTH))
        literal(axes.yaxis.label)
    axes.set_xlabel("step")
    return figure


def _span(schedules: Iterable[Schedule], steps: int | None) -> int:
    """Return the number of steps to draw; raise if a schedule is not resolved or has no end."""
    lengths = []
    for schedule in schedules:
        if not schedule.resolved:
            fix = "call .resolve(steps=...) first"
            fail("schedule", "in integer steps before it is drawn", schedule, fix)
        if isinstance(schedule.length, int):
            lengths.append(schedule.length)
        elif steps is None and not isinstance(schedule, Constant):
            fail("steps", "given for a schedule without an end", None, "pass steps=")
    if steps is None and not lengths:
        fail("steps", "given for a schedule without an end", None, "pass steps=")
    return max(lengths) if steps is None else integer("steps", steps)


def _draw_over_steps(axes: Axes, schedules: dict[str, Schedule], steps: int) -> None:
    at = sorted({round(i * steps / MOST_POINTS) for i in range(MOST_POINTS + 1)})
    for (name, schedule), style in zip(schedules.items(), styles(), strict=False):
        axes.plot(at, [schedule(t) for t in at], drawstyle="steps-post", label=name, **style)
    set_ticks(axes.xaxis, integer=True)
    set_ticks(axes.yaxis)
    legend(axes)
