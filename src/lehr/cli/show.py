"""``lehr show``: print a policy, its values and the findings of its lint."""

from __future__ import annotations

import contextlib
import json
import re
import types
from collections.abc import Iterator
from typing import Annotated, Any

import rich
import typer
from rich.table import Table

import lehr
from lehr.cli.common import AsJson, Out, check_drawable
from lehr.parser import parse_policy
from lehr.policy import Policy, as_policy, flat
from lehr.schedule.base import Schedule
from lehr.schedule.errors import fail, one_of
from lehr.schedule.run import RUN_SIZES
from lehr.tasks.find import module_of

PolicyText = Annotated[
    str | None,
    typer.Argument(help="JSON, a .json file, a number or a call such as 'one-cycle(peak=0.05)'."),
]
Published = Annotated[
    bool,
    typer.Option(
        "--published", help="POLICY is the name of a published policy; without a name, list them."
    ),
]
From = Annotated[
    str | None,
    typer.Option(
        "--from",
        help="module:object, in place of POLICY: a scheduler of PyTorch or Transformers, or a "
        "function without arguments that returns one.",
    ),
]
_SIZE_HELP = "{} per update: a number or a schedule such as 'linear(32e3, 3.2e6, 5000)'."


def show(
    policy: PolicyText = None,
    published: Published = False,
    from_: From = None,
    steps: Annotated[
        str | None, typer.Option(help="Length of the run: updates, '90 epochs' or '2T tokens'.")
    ] = None,
    steps_per_epoch: Annotated[float | None, typer.Option(help="Updates per epoch.")] = None,
    samples_per_step: Annotated[str | None, typer.Option(help=_SIZE_HELP.format("Samples"))] = None,
    tokens_per_step: Annotated[str | None, typer.Option(help=_SIZE_HELP.format("Tokens"))] = None,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Show a policy: its shape and values over a run, and probable mistakes."""
    if from_ is not None and (policy is not None or published):
        fail("--from", "given without POLICY and --published", from_)
    if published and policy is None:
        _list_published(as_json)
        return
    entry = None
    if from_ is not None:
        parsed = _read(from_)
    elif policy is None:
        raise ValueError(
            "Missing argument 'POLICY'; list the published policies with lehr show --published"
        )
    else:
        entry = lehr.published(policy) if published else None
        parsed = parse_policy(policy) if entry is None else entry.policy
    check_drawable(out)
    given = {
        "steps": _number(steps),
        "steps_per_epoch": steps_per_epoch,
        "samples_per_step": _size("--samples-per-step", samples_per_step),
        "tokens_per_step": _size("--tokens-per-step", tokens_per_step),
    }
    run: dict[str, Any] = {name: size for name, size in given.items() if size is not None}
    if entry is not None:
        run = entry.sizes | run  # command-line options override the published sizes
    with _names_as_options():
        summary = parsed.summary(**run)
        run = {"steps": summary.steps} | run
        findings, resolved = parsed.lint(**run), parsed.resolve(**run)
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
        if entry is not None:
            shown["published"] = _facts(entry)
        print(json.dumps(shown))
        return
    if entry is not None:
        print(f"{_description(entry)}\n")
    print(f"{summary}\n\n{resolved.draw(summary.steps)}\n")
    table = Table("step", *values)
    for t, *row in zip(at, *values.values(), strict=True):
        table.add_row(str(t), *(f"{value:.6g}" for value in row))
    rich.print(table)
    for finding in findings:
        print(f"{finding.where}: {finding.name}: {finding.advice}")
    if out is not None:
        print(f"figure: {out}")


def _read(name: str) -> Policy:
    """Return the policy of ``module:object``: a scheduler, or a function that returns one."""
    module, attribute = module_of("--from", "module:object, such as train:scheduler", name)
    if not hasattr(module, attribute):
        known = [name for name in vars(module) if name[0] != "_"]
        one_of(f"object of {module.__name__}", attribute, known)
    value = getattr(module, attribute)
    if isinstance(value, types.FunctionType):
        value = value()
    return as_policy(value) if isinstance(value, Policy | Schedule) else lehr.read(value)


def _size(option: str, text: str | None) -> float | Schedule | None:
    """Parse the number or schedule of samples or tokens per step."""
    number = _number(text)
    if not isinstance(number, str):
        return number
    parsed = parse_policy(number)
    if not isinstance(parsed.lr, Schedule) or parsed != Policy(lr=parsed.lr):
        fail(option, "a number or a schedule", text)
    return parsed.lr


def _number(text: str | None) -> int | float | str | None:
    """Parse a number; return the text unchanged if it is not a number."""
    for kind in (int, float):
        with contextlib.suppress(TypeError, ValueError):
            return kind(text)  # type: ignore[arg-type]
    return text


@contextlib.contextmanager
def _names_as_options() -> Iterator[None]:
    """Replace names of run sizes in error messages by options, such as ``--tokens-per-step``."""
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
