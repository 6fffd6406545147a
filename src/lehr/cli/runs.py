"""``lehr runs``: list, show, export and delete the studies of a folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import rich
import typer
from rich.markup import escape
from rich.table import Table

from lehr._atomic import atomic_write
from lehr.cli.common import AsJson, check_writable
from lehr.schedule.errors import one_of

app = typer.Typer(no_args_is_help=True, help="List, show, export and delete studies.")

Runs = Annotated[Path, typer.Option(help="Folder of the results.")]
Id = Annotated[str, typer.Argument(help="Id of a study, listed by `lehr runs list`.")]


@app.command("list")
def list_studies(runs: Runs = Path("runs"), as_json: AsJson = False) -> None:
    """List the studies of a folder."""
    studies = _studies(runs)
    if as_json:
        print(json.dumps(studies))
        return
    table = Table("id", "task", "arms", "budgets", "seeds", "finished jobs", "started")
    for study in studies:
        d = study["definition"]
        unit = "epochs" if "epochs" in d else "steps"
        budgets = f"{', '.join(map(str, d[unit]))} {unit}"
        seeds = str(len(d["judging seeds"]))
        cells = (study["id"], d["task"], ", ".join(d["arms"]), budgets, seeds)
        table.add_row(*map(escape, (*cells, str(study["finished"]), study["begun"])))
    rich.print(table)


@app.command()
def show(study: Id, runs: Runs = Path("runs"), as_json: AsJson = False) -> None:
    """Print the table and the verdict of a finished study."""
    results = _results(study, runs)
    if as_json:
        print(results.to_json())
        return
    rich.print(results.table())
    print(results.verdict())


@app.command()
def export(
    study: Id,
    out: Annotated[Path, typer.Option(help="Folder of the exported files.")],
    runs: Runs = Path("runs"),
) -> None:
    """Write a finished study to a folder: definition, results, CSV, events, figures, report."""
    from lehr.study.yaml import dump_study

    check_writable("--out", out, folder=True)
    results = _results(study, runs)
    out.mkdir(parents=True, exist_ok=True)
    texts = {"study.yaml": dump_study(results.study), "results.json": results.to_json()}
    texts |= {f"{name}.csv": frame.to_csv(index=False) for name, frame in results.frames().items()}
    for name, text in texts.items():
        with atomic_write(out / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
    results.figures(out / "figures")
    results.tensorboard(out / "tensorboard")
    results.report(out / "report.html")
    print(f"exported to {out}")


@app.command()
def delete(
    study: Id,
    runs: Runs = Path("runs"),
    yes: Annotated[bool, typer.Option("--yes", help="Delete without confirmation.")] = False,
) -> None:
    """Delete a study, and its jobs that are not part of another study."""
    from lehr.study.storage import Storage

    found = _find_study(study, runs)
    if not yes:
        question = f"delete study {found['id']} on {found['definition']['task']}?"
        try:
            confirmed = typer.confirm(question)
        except typer.Abort:  # no input
            confirmed = False
        if not confirmed:
            print(f"kept study {found['id']}")
            raise typer.Exit(1)
    with Storage(runs) as storage:
        jobs = storage.delete(found["id"])
    print(f"deleted study {found['id']} and {jobs} jobs")


def _studies(runs: Path) -> list[dict[str, Any]]:
    from lehr.study.storage import Storage

    with Storage(runs, readonly=True) as storage:
        return storage.studies()


def _find_study(study: str, runs: Path) -> dict[str, Any]:
    known = {found["id"]: found for found in _studies(runs)}
    return known[one_of("study", study, known, f"list them with `lehr runs list --runs {runs}`")]


def _results(study: str, runs: Path) -> Any:
    from lehr.study.yaml import study_of

    return study_of(_find_study(study, runs)["definition"], runs).results()
