"""The command line: parse, call one library function, print."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

try:
    import rich
    import typer
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn
    from rich.table import Table
except ImportError as error:
    sys.stderr.write(f"lehr: error: the commands need more ({error}); pip install 'lehr[study]'\n")
    raise SystemExit(2) from None

import lehr
from lehr import cli_recipe
from lehr.schedule.base import Schedule
from lehr.schedule.check import fail, whole
from lehr.shortform import parse_policy

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Describe, find and compare learning-rate policies.",
)
app.add_typer(cli_recipe.app, name="recipe")
_errors = Console(stderr=True)
_INTERRUPTED = 130

PolicyText = Annotated[
    str, typer.Argument(help="JSON, a file, a number or a form such as 'one-cycle(peak=0.05)'.")
]
TaskName = Annotated[str, typer.Argument(help="A built-in task or module:function.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
Out = Annotated[Path | None, typer.Option(help="Draw it to this file: .svg, .png or .pdf.")]


def main() -> None:
    """Run the command line; bad input ends with one line and exit code 2."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends like Ctrl-C
    try:
        code = app(standalone_mode=False)
    except Exception as error:
        if hasattr(error, "format_message"):  # typer's own: unknown options and so on
            message = error.format_message()
            _end(message, 2) if message else sys.exit(2)
        if isinstance(error, ValueError | TypeError | ImportError | OSError):
            _end(str(error), 2)
        if isinstance(error, lehr.study.TrialError):
            _end(str(error), 1)
        raise
    if code == _INTERRUPTED:
        _end("interrupted; what had finished is kept, the same command goes on from there", code)


@app.command()
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
    _check_drawable(out)
    schedules = _named_schedules(parsed)
    length = whole("--steps", steps) if steps is not None else _length(schedules)
    if out is not None:
        from lehr.figures import draw_policy

        draw_policy(parsed, length).savefig(out)
    at = sorted({round(i * length / 10) for i in range(11)})
    values = {name: [s(t) for t in at] for name, s in schedules.items()}
    findings = {n: s.lint(length, steps_per_epoch=steps_per_epoch) for n, s in schedules.items()}
    if as_json:
        definition = json.loads(parsed.dumps())
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


@app.command()
def find(
    task: TaskName,
    seed: Annotated[int, typer.Option(help="Seed of weights and batches.")] = 1000,
    low: Annotated[float, typer.Option(help="First rate.")] = 1e-5,
    high: Annotated[float, typer.Option(help="Last rate.")] = 10.0,
    steps: Annotated[int, typer.Option(help="Updates.")] = 100,
    spacing: Annotated[str, typer.Option(help="exponential or linear.")] = "exponential",
    objective: Annotated[str, typer.Option(help="training or validation loss.")] = "training",
    rules: Annotated[bool, typer.Option(help="Show other people's rules too.")] = False,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Find the learning rate for a task: a range test, its curve and what it suggests."""
    from lehr.finder import RULES, range_test
    from lehr.finder.suggest import USES
    from lehr.finder.terminal import draw_text
    from lehr.recipes.tasks import find_task, make_learner

    _check_drawable(out)
    find_task(task)
    _ensure_data(task)
    with _errors.status(f"range test of {task}, {steps} updates"):
        learner = make_learner(task, whole("--seed", seed, at_least=0))
        options = {"low": low, "high": high, "steps": steps, "spacing": spacing}
        sweep = range_test(learner, **options, objective=objective)  # type: ignore[arg-type]
    if out is not None:
        sweep.plot().savefig(out)
    suggestions = [sweep.suggest(use) for use in USES]
    others = [rule(sweep) for rule in RULES.values()] if rules else []
    if as_json:
        found = [vars(s) for s in suggestions + others]
        print(json.dumps({"sweep": json.loads(sweep.to_json()), "suggestions": found}))
        return
    marks = {s.rule[0]: s.lr for s in suggestions[:2] if s.lr is not None}
    print(f"smoothed {sweep.objective} loss over the learning rate\n{draw_text(sweep, marks)}")
    table = Table("use", "mark", "rate", "from", "to", "why", title=f"{task}, seed {seed}")
    for s in suggestions + others:
        rates = ["none" if x is None else f"{x:.2g}" for x in (s.lr, s.low, s.high)]
        mark = s.rule[0] if s in suggestions[:2] and s.lr is not None else ""
        table.add_row(s.rule.replace("_", " "), mark, *rates, s.reason)
    rich.print(table)
    ended = f"{len(sweep.losses)} of {sweep.steps} updates; ended: {sweep.stopped}"
    rich.print(
        ended + (f"; drawn to {out}" if out is not None else "; draw it with --out find.svg")
    )


@app.command()
def compare(
    task: Annotated[
        str | None, typer.Argument(help="A task; else Fashion-MNIST or digits.")
    ] = None,
    arm: Annotated[
        list[str] | None, typer.Option(help="NAME=POLICY, as given; the first is the reference.")
    ] = None,
    epochs: Annotated[int, typer.Option(help="Passes over the training data.")] = 5,
    seeds: Annotated[int, typer.Option(help="Judging seeds.")] = 8,
    metric: Annotated[str, typer.Option(help="Judged metric of the task.")] = "accuracy",
    mode: Annotated[str, typer.Option(help="max or min: which is better.")] = "max",
    workers: Annotated[int | None, typer.Option(help="Processes at a time.")] = None,
    runs: Annotated[Path, typer.Option(help="Folder of the results.")] = Path("runs"),
    report: Annotated[Path | None, typer.Option(help="Report; runs/TASK.html if left out.")] = None,
    as_json: AsJson = False,
) -> None:
    """Compare policies on a task over paired seeds: verdict, table, report."""
    from lehr.recipes.arms import standard_arms
    from lehr.study import Arm, Study

    arms: dict[str, Any] = {}
    for text in arm or ():
        name, equals, policy = text.partition("=")
        if not equals or not name.strip():
            fail("--arm", "NAME=POLICY", text)
        if name.strip() in arms:
            fail("--arm", "a name used once", name.strip())
        arms[name.strip()] = Arm(parse_policy(policy))
    if len(arms) == 1:
        fail("--arm", "given at least twice, the reference first", arm)
    if workers is not None:
        whole("--workers", workers)
    if report is not None and report.is_dir():
        fail("--report", "a file", str(report))
    study = Study(
        task or "digits-mlp",
        arms or standard_arms(),
        epochs=epochs,
        seeds=seeds,
        metric=metric,
        mode=mode,
        storage=runs,
    )
    if task is None:
        study = dataclasses.replace(study, task=_available_task())
    else:
        _ensure_data(task)
    with _progress() as progress:
        results = study.run(workers=workers, progress=progress)
    target = report or runs / f"{_file_name(study, standard=not arms)}.html"
    results.report(target)
    if as_json:
        print(json.dumps(json.loads(results.to_json()) | {"report": str(target)}, indent=1))
        return
    rich.print(results.table())
    print(results.verdict())
    print(f"report: {target}")


def _file_name(study: lehr.Study, standard: bool) -> str:
    """Return a name that studies of other arms do not overwrite."""
    name = study.task.replace(":", "-")
    if standard:
        return name
    return f"{name}-{hashlib.sha256(json.dumps(study.to_dict()).encode()).hexdigest()[:8]}"


def _ensure_data(task: str) -> None:
    """Raise if a task's data is not here and cannot be had."""
    from lehr.recipes.data import ensure_fashion_mnist

    if task == "fashion-mnist-mlp" and (reason := ensure_fashion_mnist(_tell)):
        fail("task", "one whose data is here", task, f"{reason}; digits-mlp needs no download")


def _tell(text: str) -> None:
    _errors.print(text, highlight=False, soft_wrap=True)


def _available_task() -> str:
    """Return the task on Fashion-MNIST if Keras has or gets the data, else on digits."""
    from lehr.recipes.data import ensure_fashion_mnist

    reason = ensure_fashion_mnist(_tell)
    if not reason:
        _tell("data: Fashion-MNIST, from Keras's cache")
        return "fashion-mnist-mlp"
    _tell(f"data: scikit-learn's digits, because Fashion-MNIST is not here: {reason}")
    return "digits-mlp"


@contextlib.contextmanager
def _progress() -> Iterator[Callable[..., None]]:
    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=_errors) as bar:
        row = bar.add_task("starting", total=None)
        told = 0

        def progress(done: int, total: int, job: dict[str, Any] | None) -> None:
            nonlocal told
            words = {"sweep": "range tests", "trial": "trials"}
            description = words[job["kind"]] if job else "trials" if done else "range tests"
            bar.update(row, completed=done, total=total, description=description)
            if not _errors.is_terminal and (job is None or done * 10 // total > told):
                told = done * 10 // total
                _errors.print(f"{done} of {total} done")

        yield progress


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


def _check_drawable(path: Path | None) -> None:
    if path is not None and path.suffix not in (".svg", ".png", ".pdf"):
        fail("--out", "a file ending in .svg, .png or .pdf", str(path))


def _end(message: str, code: int) -> None:
    sys.stderr.write(f"lehr: {'' if code == _INTERRUPTED else 'error: '}{message}\n")
    raise SystemExit(code)


if __name__ == "__main__":
    main()
