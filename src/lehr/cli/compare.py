"""``lehr compare``: run a study, print its verdict and write its report."""

from __future__ import annotations

import dataclasses
import json
import os
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import rich
import typer
from rich.table import Table

from lehr.cli.common import AsJson, check_writable, ensure_data, print_status
from lehr.cli.live import show_progress
from lehr.parser import parse_policy
from lehr.schedule.errors import fail, integer

if TYPE_CHECKING:
    from lehr.study import Study

_SUFFIXES = (".yaml", ".yml")


def compare(
    task: Annotated[
        str | None,
        typer.Argument(help="A task or a study's YAML file; default: Fashion-MNIST or digits."),
    ] = None,
    arm: Annotated[
        list[str] | None,
        typer.Option(help="NAME=POLICY, without tuning; the first arm is the reference."),
    ] = None,
    epochs: Annotated[
        list[int] | None, typer.Option(help="Budget in passes over the training data; repeatable.")
    ] = None,
    steps: Annotated[
        list[int] | None, typer.Option(help="Budget in updates, instead of epochs.")
    ] = None,
    seeds: Annotated[int | None, typer.Option(help="Number of judging seeds; default: 8.")] = None,
    peaks: Annotated[
        int | None,
        typer.Option(help="Peaks per tuned arm; default: 5; 1: the range test's peak."),
    ] = None,
    metric: Annotated[str | None, typer.Option(help="Judged metric; default: accuracy.")] = None,
    mode: Annotated[
        str | None, typer.Option(help="Better direction of the metric: max or min.")
    ] = None,
    judge: Annotated[
        str | None, typer.Option(help="final: the end of the run; best: the best checkpoint.")
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(help="With --judge best: stop after this many epochs without improvement."),
    ] = None,
    backend: Annotated[
        str | None, typer.Option(help="Keras backend of the trials: jax, tensorflow or torch.")
    ] = None,
    stop_early: Annotated[
        bool | None, typer.Option("--stop-early", help="Stop arms that can no longer win.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Worker processes; default: one per GPU, else per core.")
    ] = None,
    runs: Annotated[Path | None, typer.Option(help="Folder of the results; default: runs.")] = None,
    report: Annotated[
        Path | None, typer.Option(help="File of the report; default: runs/TASK.html.")
    ] = None,
    figures: Annotated[
        Path | None, typer.Option(help="Folder for the figures (SVG and PNG).")
    ] = None,
    tensorboard: Annotated[
        Path | None, typer.Option(help="Folder for TensorBoard event files.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the jobs and their estimated time; run none.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Compare policies on a task over paired seeds: verdict, table, report.

    Run the same command again to resume an interrupted study.
    """
    if workers is not None:
        integer("--workers", workers)
    if report is not None:
        check_writable("--report", report)
    for option, folder in (("--figures", figures), ("--tensorboard", tensorboard)):
        if folder is not None:
            check_writable(option, folder, folder=True)
    given: dict[str, Any] = {
        "epochs": epochs,
        "steps": steps,
        "seeds": seeds,
        "peaks": peaks,
        "metric": metric,
        "mode": mode,
        "judge": judge,
        "patience": patience,
        "backend": backend,
        "stop_early": stop_early,
        "storage": runs,
    }
    given = {name: value for name, value in given.items() if value is not None}
    study, standard = _study(task, arm or [], given)
    if dry_run:
        _print_plan(study, workers, as_json)
        return
    target = report or Path(study.storage, f"{_file_name(study, standard)}.html")
    check_writable("--report", target)
    import_module("lehr.report")  # raises if a package is missing, before the training
    if tensorboard is not None:
        import_module("lehr.study.tensorboard")
    with show_progress(study) as progress:
        results = study.run(workers=workers, progress=progress)
    results.report(target)
    if figures is not None:
        results.figures(figures)
    if tensorboard is not None:
        results.tensorboard(tensorboard)
    if as_json:
        print(json.dumps(results.to_dict() | {"report": str(target)}, indent=1))
        return
    rich.print(results.table())
    print(results.verdict())
    print(f"report: {target}")


def _study(task: str | None, arms: list[str], given: dict[str, Any]) -> tuple[Study, bool]:
    """Return the study of the arguments, and whether its arms are the standard ones."""
    from lehr.recipes.arms import standard_arms
    from lehr.study import Study, load_study

    if task is not None and task.endswith(_SUFFIXES):
        if arms:
            fail("--arm", "omitted with a study file", arms, "put the arms into the file")
        for name in given.keys() - {"storage"}:
            fail(f"--{name.replace('_', '-')}", "omitted with a study file", given[name])
        study = dataclasses.replace(load_study(task), **given)
        ensure_data(study.task)
        return study, False
    named = _named_arms(arms)
    study = Study(task or "digits-mlp", named or standard_arms(), **given)
    if task is None:
        study = dataclasses.replace(study, task=_available_task())
    else:
        ensure_data(task)
    return study, not named


def _named_arms(texts: list[str]) -> dict[str, Any]:
    from lehr.study import Arm

    arms: dict[str, Any] = {}
    for text in texts:
        name, equals, policy = text.partition("=")
        if not equals or not name.strip() or "(" in name:
            fail("--arm", "NAME=POLICY", text, "write for instance 'mine=cosine(0.1)'")
        if name.strip() in arms:
            fail("--arm", "a unique name", name.strip())
        arms[name.strip()] = Arm(parse_policy(policy))
    if len(arms) == 1:
        fail("--arm", "given at least twice, the reference first", texts)
    return arms


def _print_plan(study: Study, workers: int | None, as_json: bool) -> None:
    plan = study.plan(workers=workers)
    if as_json:
        print(json.dumps(dataclasses.asdict(plan)))
        return
    table = Table("part", "jobs", "finished", title=f"{study.task}: jobs of the study")
    for name, (total, finished) in plan.parts.items():
        table.add_row(name, str(total), str(finished))
    rich.print(table)
    left = sum(total - finished for total, finished in plan.parts.values())
    minutes = plan.seconds / 60
    time = f"{minutes:.1f} minutes" if minutes >= 1 else f"{plan.seconds:.0f} seconds"
    print(f"{left} jobs missing, about {time} of training with {plan.workers} processes.")
    print("Two more peaks are tried if the best one is at an edge; budgets share common updates.")


def _file_name(study: Study, standard: bool) -> str:
    """Return the report's file name, with the study's id unless the arms are the standard ones."""
    from lehr.study.cache_key import study_id

    name = study.task.replace(":", "-").replace(os.sep, "-")
    return name if standard else f"{name}-{study_id(study.to_dict())}"


def _available_task() -> str:
    """Return the Fashion-MNIST task if its data is cached or can be downloaded, else digits."""
    from lehr.tasks.data import ensure_fashion_mnist

    reason = ensure_fashion_mnist(print_status)
    if not reason:
        print_status("data: Fashion-MNIST, from Keras's cache")
        return "fashion-mnist-mlp"
    print_status(f"data: scikit-learn's digits, because Fashion-MNIST is not available: {reason}")
    return "digits-mlp"
