"""``lehr find``: run a range test of a task and print the suggested learning rates."""

from __future__ import annotations

import json
from typing import Annotated, Any

import rich
import typer
from rich.table import Table

from lehr.cli.common import AsJson, Out, TaskName, check_drawable, ensure_data, errors
from lehr.schedule.errors import integer


def find(
    task: TaskName,
    seed: Annotated[int, typer.Option(help="Seed of the weights and batches.")] = 1000,
    low: Annotated[float, typer.Option(help="Learning rate of the first update.")] = 1e-5,
    high: Annotated[float, typer.Option(help="Learning rate of the last update.")] = 10.0,
    steps: Annotated[int, typer.Option(help="Number of updates.")] = 100,
    spacing: Annotated[
        str, typer.Option(help="Spacing of the rates: geometric or linear.")
    ] = "geometric",
    objective: Annotated[
        str, typer.Option(help="Loss to record: training or validation.")
    ] = "training",
    rules: Annotated[bool, typer.Option(help="Also print the rules of other libraries.")] = False,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Find the learning rate for a task: run a range test, print its curve and suggestions."""
    from lehr.finder import RULES, range_test
    from lehr.finder.suggest import USES
    from lehr.finder.terminal import draw_text
    from lehr.tasks.find import find_task, make_learner

    check_drawable(out)
    find_task(task)
    ensure_data(task)
    with errors.status(f"range test of {task}, {steps} updates"):
        learner = make_learner(task, integer("--seed", seed, at_least=0))
        options: dict[str, Any] = {"spacing": spacing, "objective": objective}
        sweep = range_test(learner, low=low, high=high, steps=steps, **options)
    if out is not None:
        from lehr.figures import save

        save(sweep.plot(), out)
    suggestions = [sweep.suggest(use) for use in USES]
    others = [rule(sweep) for rule in RULES.values()] if rules else []
    if as_json:
        found = [vars(s) for s in suggestions + others]
        print(json.dumps({"sweep": sweep.to_dict(), "suggestions": found}))
        return
    marks = {s.rule[0]: s.lr for s in suggestions[:2] if s.lr is not None}
    print(f"smoothed {sweep.objective} loss over the learning rate\n{draw_text(sweep, marks)}")
    table = Table("use", "mark", "rate", "from", "to", "reason", title=f"{task}, seed {seed}")
    for s in suggestions + others:
        rates = ["none" if x is None else f"{x:.2g}" for x in (s.lr, s.low, s.high)]
        mark = s.rule[0] if s in suggestions[:2] and s.lr is not None else ""
        table.add_row(s.rule.replace("_", " "), mark, *rates, s.reason)
    rich.print(table)
    figure = "save a figure with --out find.svg" if out is None else f"figure: {out}"
    rich.print(f"{len(sweep.losses)} of {sweep.steps} updates; ended: {sweep.stopped}; {figure}")
