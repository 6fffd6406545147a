"""``lehr show``: a policy, its values, what looks wrong with it."""

from __future__ import annotations

import json
from typing import Annotated, Any

import rich
import typer
from rich.table import Table

import lehr
from lehr.cli.common import AsJson, Out, check_drawable
from lehr.parser import parse_policy
from lehr.schedule.base import Schedule
from lehr.schedule.errors import fail, whole
from lehr.schedule.run import make_run

PolicyText = Annotated[
    str | None,
    typer.Argument(help="JSON, a file, a number or a call such as 'one-cycle(peak=0.05)'."),
]
Published = Annotated[
    bool,
    typer.Option(
        "--published", help="POLICY is the name of a published one; without a name, list them."
    ),
]


def show(
    policy: PolicyText = None,
    published: Published = False,
    steps: Annotated[int | None, typer.Option(help="Updates in the run.")] = None,
    steps_per_epoch: Annotated[float | None, typer.Option(help="Updates in an epoch.")] = None,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Show a policy: its shape and values over a run, and what looks wrong with it."""
    if published and policy is None:
        _list_published(as_json)
        return
    if policy is None:
        raise ValueError("Missing argument 'POLICY'; lehr show --published lists published ones")
    entry = lehr.published(policy) if published else None
    if entry is None:
        parsed = parse_policy(policy)
    else:
        parsed, steps = _in_its_run(entry, steps=steps, steps_per_epoch=steps_per_epoch)
        steps_per_epoch = steps_per_epoch or entry.steps_per_epoch
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
        if entry is not None:
            shown["published"] = _facts(entry)
        print(json.dumps(shown))
        return
    if entry is not None:
        print(f"{_description(entry)}\n")
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


def _in_its_run(entry: lehr.PublishedPolicy, **given: Any) -> tuple[lehr.Policy, int]:
    """Return a published policy in steps, and the steps of its run; options replace its sizes."""
    sizes = entry.sizes | {name: size for name, size in given.items() if size is not None}
    return entry.policy.resolve(**sizes), int(make_run(**sizes).steps or 0)


def _list_published(as_json: bool) -> None:
    entries = [lehr.published(name) for name in lehr.published()]
    if as_json:
        print(json.dumps({entry.name: _facts(entry) for entry in entries}))
        return
    table = Table("name", "run", "batch")
    for entry in entries:
        table.add_row(entry.name, _facts(entry)["run"], entry.batch)
    rich.print(table)


def _facts(entry: lehr.PublishedPolicy) -> dict[str, str]:
    run = f"{entry.run} steps" if isinstance(entry.run, int) else str(entry.run)
    names = ("batch", "optimizer", "source", "omitted")
    return {"run": run} | {name: getattr(entry, name) for name in names}


def _description(entry: lehr.PublishedPolicy) -> str:
    lines = [f"{name}: {value}" for name, value in _facts(entry).items() if value]
    return "\n".join([entry.name, *lines])
