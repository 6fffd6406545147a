"""The report of a study: one self-contained HTML file, readable on phones and printable."""

from __future__ import annotations

import html
import math
import os
import platform
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

try:
    import jinja2
except ImportError as error:
    raise ImportError(f"reports need jinja2 ({error}); pip install 'lehr[study]'") from error

from lehr import figures
from lehr._atomic import atomic_write
from lehr.schedule.errors import check_path
from lehr.study.stats.paired import SIGN_FLIP_FROM
from lehr.study.text import arm_rows, budget_rows, judged, peak_rows, rows, target_rows
from lehr.study.yaml import dump_study

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lehr.study.results import Results


def write_report(results: Results, path: str | os.PathLike[str]) -> None:
    """Write the report of a study to an HTML file; the write is atomic.

    Missing folders of the path are created.
    """
    check_path("path", path, "the path of an HTML file")
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(target) as temporary:
        temporary.write_text(render(results), encoding="utf-8")


def write_figures(results: Results, folder: str | os.PathLike[str]) -> list[Path]:
    """Write the figures of the report to a folder as SVG and PNG files; return their paths."""
    check_path("folder", folder, "the path of a folder")
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    written = []
    for name, (_, draw) in _figures(results).items():
        figure = draw()
        for suffix in (".svg", ".png"):
            path = target / f"{name}{suffix}"
            figures.save(figure, path)
            written.append(path)
    return written


def render(results: Results) -> str:
    """Return the report of a study as HTML."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("lehr.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    study = results.study
    judging = math.fsum(record.metadata["seconds"] for record in results.trials.values())
    choosing = math.fsum(tuning.seconds for tuning in results.tuning.values())
    return environment.get_template("template.html").render(
        study=study,
        budget=f"{study.budgets[-1]} {study.unit}",
        verdict=results.verdict(),
        reference=results.label(results.reference),
        arms=arm_rows(results),
        tables=_tables(results),
        drawn=[(text, _svg(draw)) for text, draw in _figures(results).values()],
        definition=dump_study(study),
        versions=next(iter(results.trials.values())).metadata["versions"],
        python=platform.python_version(),
        machine=f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        trials=len(results.trials),
        tried=sum(len(t.scores) * study.tuning_seeds for t in results.tuning.values()),
        minutes=(judging + choosing) / 60,
        written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    )


def _svg(draw: Callable[[], Figure]) -> str:
    """Return a figure as SVG, or the error: a figure must not prevent the report."""
    try:
        return figures.to_svg(draw())
    except Exception as error:
        return f"<p>This figure was not drawn: {html.escape(repr(error))}</p>"


def _tables(results: Results) -> list[tuple[str, str, list[dict[str, str]]]]:
    """Return the tables: heading, note, rows. The first table has the verdicts and no heading."""
    study, reference = results.study, results.label(results.reference)
    note = (
        "For each seed, all policies start from the same initial weights and use the same batches "
        f"in the same order; differences to {reference} are paired by seed. The intervals are from "
        f"{'sign-flip' if study.seeds >= SIGN_FLIP_FROM else 'paired t'} tests with Holm's "
        "step-down correction for the number of comparisons: each interval has at least 95 % "
        "coverage and excludes zero if and only if the verdict is better or worse. The effect size "
        "is the mean difference divided by the standard deviation of the differences. Peaks were "
        "chosen on other seeds with validation data; policies marked untuned were used unchanged."
    )
    if study.stop_early:
        note += (
            " Interim looks stop arms that can no longer win. The looks share the error "
            "probability of 5 %, and the intervals are corrected for them."
        )
    tables = [("", note, rows(results))]
    if len(study.budgets) > 1:
        note = (
            f"Mean {judged(study)} test {study.metric} at each budget. All budgets use the peaks "
        )
        note += f"chosen for {study.budgets[-1]} {study.unit}."
        tables.append(("Budgets", note, budget_rows(results)))
    if peaks := peak_rows(results):
        note = (
            f"The peaks of each tuned policy were tried on {study.tuning_seeds} tuning seeds, with "
            "a ratio of 2 between neighbours; more peaks were tried if the best was at an edge. "
            "With a wider range, a wrong peak reduces the score less."
        )
        tables.append(("Sensitivity to the peak", note, peaks))
    note = (
        "Median over seeds of the first validation that met the target"
        f"{', the mean final validation score of the reference' if study.target is None else ''}."
        " The validation data was not used for the verdict."
    )
    if targets := target_rows(results):
        tables.append(("Updates to the target", note, targets))
    return tables


def _figures(results: Results) -> dict[str, tuple[str, Callable[[], Figure]]]:
    """Return the figures by file name: caption and drawing function."""
    study, metric = results.study, results.study.metric
    band = "mean over seeds, band of one standard deviation"
    drawn: dict[str, tuple[str, Callable[[], Figure]]] = {}

    def add(name: str, caption: str, draw: Callable[..., Figure], *options: str) -> None:
        drawn[name] = caption, partial(draw, results, *options)

    if len(study.arms) > 1:
        caption = f"Paired differences of the {judged(study)} test {metric}, with their intervals."
        caption += " Green: better, orange: worse, grey: undecided."
        add("differences", caption, figures.draw_differences)
    if len(study.budgets) > 1:
        add("budgets", f"Test {metric} over the budget: {band}.", figures.draw_budgets)
    caption = f"Validation {metric} after each epoch: {band}. Not used for the verdict."
    add("validation", caption, figures.draw_metric)
    caption = f"Training loss, averaged over tenths of an epoch: {band}."
    add("losses", caption, figures.draw_losses)
    caption = "Applied learning rate of each update, read from the optimizer (seed 0)."
    add("rates", caption, figures.draw_rates)
    if any("momentum" in record.trace.rates for record in results.trials.values()):
        caption = "Applied momentum of each update, for policies that change it (seed 0)."
        add("momentum", caption, figures.draw_rates, "momentum")
    if any(tuning.scores for tuning in results.tuning.values()):
        caption = f"Validation {metric} of each peak tried, on the tuning seeds: mean, band of one"
        add("peaks", f"{caption} standard deviation. Points: chosen peaks.", figures.draw_peaks)
    for optimizer, sweeps in results.sweeps.items():
        name = "range-test" if optimizer is None else f"range-test-{optimizer}"
        caption = (
            f"Range tests on the {len(sweeps)} tuning seeds, which suggest the centres of the "
            "grids of peaks. Vertical lines: median suggestions."
        )
        if optimizer is not None:
            caption += f" Optimizer: {optimizer}."
        drawn[name] = caption, partial(figures.draw_sweeps, sweeps)
    return drawn
