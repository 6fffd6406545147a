"""``lehr show``: a policy, its values, what looks wrong with it."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from typing import Annotated, Any

import rich
import typer
from rich.table import Table

from lehr.cli.common import AsJson, Out, check_drawable
from lehr.parser import parse_policy
from lehr.policy import Policy, flat
from lehr.schedule.base import Schedule
from lehr.schedule.errors import fail
from lehr.schedule.run import RUN_SIZES

PolicyText = Annotated[
    str, typer.Argument(help="JSON, a file, a number or a call such as 'one-cycle(peak=0.05)'.")
]
_SIZE_HELP = "{} in an update: a number or a schedule such as 'linear(32e3, 3.2e6, 5000)'."


def show(
    policy: PolicyText,
    steps: Annotated[
        str | None, typer.Option(help="Length of the run: updates, '90 epochs' or '2T tokens'.")
    ] = None,
    steps_per_epoch: Annotated[float | None, typer.Option(help="Updates in an epoch.")] = None,
    samples_per_step: Annotated[str | None, typer.Option(help=_SIZE_HELP.format("Samples"))] = None,
    tokens_per_step: Annotated[str | None, typer.Option(help=_SIZE_HELP.format("Tokens"))] = None,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Show a policy: its shape and values over a run, and what looks wrong with it."""
    parsed = parse_policy(policy)
    check_drawable(out)
    run: dict[str, Any] = {
        "steps_per_epoch": steps_per_epoch,
        "samples_per_step": _size("--samples-per-step", samples_per_step),
        "tokens_per_step": _size("--tokens-per-step", tokens_per_step),
    }
    with _names_as_options():
        length = _number(steps)
        summary = parsed.summary(length, **run)
        length = summary.steps if length is None else length
        findings = parsed.lint(length, **run)
        resolved = parsed.resolve(length, **run)
    if out is not None:
        from lehr.figures import save

        save(resolved.plot(summary.steps), out)
    at = sorted({round(i * summary.steps / 10) for i in range(11)})
    schedules: dict[str, Schedule] = flat(resolved.targets | (resolved.values or {}))
    values = {name: [s(t) for t in at] for name, s in schedules.items()}
    if as_json:
        found: dict[str, list[dict[str, str]]] = {name: [] for name in schedules}
        for finding in findings:
            found[finding.where].append({"name": finding.name, "advice": finding.advice})
        shown = {"definition": resolved.to_dict(), "steps": at, "values": values, "findings": found}
        print(json.dumps(shown))
        return
    print(f"{summary}\n\n{resolved.draw(summary.steps)}\n")
    table = Table("step", *values)
    for t, *row in zip(at, *values.values(), strict=True):
        table.add_row(str(t), *(f"{value:.6g}" for value in row))
    rich.print(table)
    for finding in findings:
        print(f"{finding.where}: {finding.name}: {finding.advice}")
    if out is not None:
        print(f"drawn to {out}")


def _size(option: str, text: str | None) -> float | Schedule | None:
    """Return the number or schedule that was typed for samples or tokens in a step."""
    number = _number(text)
    if not isinstance(number, str):
        return number
    parsed = parse_policy(number)
    if not isinstance(parsed.lr, Schedule) or parsed != Policy(lr=parsed.lr):
        fail(option, "a number or a schedule", text)
    return parsed.lr


def _number(text: str | None) -> int | float | str | None:
    """Return the number that was typed, or the text if it is none."""
    for kind in (int, float):
        with contextlib.suppress(TypeError, ValueError):
            return kind(text)  # type: ignore[arg-type]
    return text


@contextlib.contextmanager
def _names_as_options() -> Iterator[None]:
    """Spell the sizes of the run in errors as options: ``--tokens-per-step``."""
    try:
        yield
    except ValueError as error:
        message = str(error)
    else:
        return
    for name in ("steps", *RUN_SIZES):
        option = f"--{name.replace('_', '-')}"
        message = re.sub(rf"^{name}(?= must be)|\b{name}(?= must be given)", option, message)
        message = message.replace(f"pass {name}=", f"pass {option}")
    raise ValueError(message)
