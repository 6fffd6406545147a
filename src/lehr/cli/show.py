"""``lehr show``: a policy, its values, what looks wrong with it."""

from __future__ import annotations

import json
from typing import Annotated

import rich
import typer
from rich.table import Table

import lehr
from lehr.cli.common import AsJson, Out, check_drawable
from lehr.parser import parse_policy
from lehr.schedule.base import Schedule
from lehr.schedule.errors import fail, whole

PolicyText = Annotated[
    str, typer.Argument(help="JSON, a file, a number or a call such as 'one-cycle(peak=0.05)'.")
]


def show(
    policy: PolicyText,
    steps: Annotated[int | None, typer.Option(help="Updates in the run.")] = None,
    steps_per_epoch: Annotated[int | None, typer.Option(help="Updates in an epoch.")] = None,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Show a policy: its shape and values over a run, and what looks wrong with it."""
    parsed = parse_policy(policy)
    if not parsed.resolved:
        if steps is None and steps_per_epoch is None:
            fail("--steps", "given for this policy", None, "say how long the run is: --steps 10000")
        parsed = parsed.resolve(steps, steps_per_epoch=steps_per_epoch)
    check_drawable(out)
    schedules = _named_schedules(parsed)
    length = whole("--steps", steps) if steps is not None else _length(schedules)
    if out is not None:
        from lehr.figures import draw_policy, save

        save(draw_policy(parsed, length), out)
    at = sorted({round(i * length / 10) for i in range(11)})
    values = {name: [s(t) for t in at] for name, s in schedules.items()}
    findings = {n: s.lint(length, steps_per_epoch=steps_per_epoch) for n, s in schedules.items()}
    if as_json:
        definition = parsed.to_dict()
        found = {name: [vars(finding) for finding in some] for name, some in findings.items()}
        shown = {"definition": definition, "steps": at, "values": values, "findings": found}
        print(json.dumps(shown))
        return
    for name, schedule in schedules.items():
        print(f"{name}: {schedule.summary(length)}\n{schedule.draw(length)}\n")
    table = Table("step", *values)
    for t, *row in zip(at, *values.values(), strict=True):
        table.add_row(str(t), *(f"{value:.6g}" for value in row))
    rich.print(table)
    for name, some in findings.items():
        for finding in some:
            print(f"{name}: {finding.name}: {finding.advice}")
    if out is not None:
        print(f"drawn to {out}")


def _named_schedules(policy: lehr.Policy) -> dict[str, Schedule]:
    named: dict[str, Schedule] = {}
    for name, target in policy.targets.items():
        if isinstance(target, dict):
            named |= {f"{name} of {group}": schedule for group, schedule in target.items()}
        else:
            named[name] = target
    return named


def _length(schedules: dict[str, Schedule]) -> int:
    lengths = [s.length for s in schedules.values() if isinstance(s.length, int)]
    if not lengths:
        fail("--steps", "given for a policy without an end", None, "for instance --steps 10000")
    return max(lengths)
