"""Show the progress of a study and its running trials in the terminal."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from rich.console import Group
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn
from rich.table import Table

from lehr.cli.common import errors, print_status

if TYPE_CHECKING:
    from lehr.study import Study
    from lehr.study.runner import Progress as StudyProgress


@contextlib.contextmanager
def show_progress(study: Study) -> Iterator[Callable[[StudyProgress], None]]:
    """Show a study's progress: a live table in a terminal, else one line per tenth of the jobs."""
    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=errors)
    row = bar.add_task("starting", total=None)
    if not errors.is_terminal:
        yield _lines()
        return
    with Live(bar, console=errors, refresh_per_second=4, transient=True) as live:

        def progress(now: StudyProgress) -> None:
            bar.update(row, completed=now.done, total=now.total, description=now.part)
            live.update(Group(bar, _running(now)))

        yield progress


def _running(now: StudyProgress) -> Table:
    table = Table("running", "step", "rate", "loss", box=None, padding=(0, 2))
    for trial in now.running.values():
        if "step" not in trial:
            table.add_row(escape(trial["label"]), "starting")
            continue
        loss = "not finite" if trial["loss"] is None else f"{trial['loss']:.4g}"
        step = f"{trial['step']:,} of {trial['steps']:,}"
        table.add_row(escape(trial["label"]), step, f"{trial['lr']:.3g}", loss)
    return table


def _lines() -> Callable[[StudyProgress], None]:
    printed = -1

    def progress(now: StudyProgress) -> None:
        nonlocal printed
        if (tenth := now.done * 10 // now.total) > printed:
            printed = tenth
            print_status(f"{now.done} of {now.total} done ({now.part})")

    return progress
