"""The report of a study: one HTML file that opens offline, on a phone and on paper."""

from __future__ import annotations

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
from lehr.study.stats.paired import SIGN_FLIP_FROM
from lehr.study.text import arm_rows, budget_rows, judged, peak_rows, rows, target_rows
from lehr.study.yaml import dump_study

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lehr.study.results import Results


def write_report(results: Results, path: str | os.PathLike[str]) -> None:
    """Write the report of a study to an HTML file; the write is atomic."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(target) as temporary:
        temporary.write_text(render(results), encoding="utf-8")


def write_figures(results: Results, folder: str | os.PathLike[str]) -> list[Path]:
    """Write the report's figures to a folder, each as SVG and PNG."""
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    written = []
    for name, (_, draw) in _figures(results).items():
        figure = draw()
        for suffix in (".svg", ".png"):
            path = place / f"{name}{suffix}"
            figures.save(figure, path)
            written.append(path)
    return written


def render(results: Results) -> str:
    """Return the report as HTML."""
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
        drawn=[(text, figures.to_svg(draw())) for text, draw in _figures(results).values()],
        definition=dump_study(study),
        versions=next(iter(results.trials.values())).metadata["versions"],
        python=platform.python_version(),
        machine=f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        trials=len(results.trials),
        tried=sum(len(t.scores) * study.tuning_seeds for t in results.tuning.values()),
        minutes=(judging + choosing) / 60,
        written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    )


def _tables(results: Results) -> list[tuple[str, str, list[dict[str, str]]]]:
    """Return the tables: heading, note, rows. The first is the verdict's and has no heading."""
    study, reference = results.study, results.label(results.reference)
    note = (
        "Each seed trains every policy from the same initial weights on the same batches in the "
        f"same order; differences are taken seed by seed, to {reference}. The intervals are those "
        f"of {'sign-flip' if study.seeds >= SIGN_FLIP_FROM else 'paired t'} tests, stepped down "
        "by Holm for the number of comparisons: each has at least 95 % coverage and leaves out "
        "zero exactly when the verdict is better or worse. The effect size is the mean difference "
        "over the standard deviation of the differences. Peaks were chosen on other seeds by "
        "validation data; a policy marked untuned was used as given."
    )
    if study.stop_early:
        note += (
            " Looks on the way stop arms that can no longer win; the looks share the error of 5 %, "
            "and the intervals allow for it."
        )
    tables = [("", note, rows(results))]
    if len(study.budgets) > 1:
        note = f"Mean {judged(study)} test {study.metric} at each budget. Peaks are those chosen "
        note += f"for {study.budgets[-1]} {study.unit}."
        tables.append(("Budgets", note, budget_rows(results)))
    if peaks := peak_rows(results):
        note = (
            f"Every tuned policy tried its peaks on {study.tuning_seeds} tuning seeds, each peak "
            "twice the one before, more where the best stood at the edge. The wider the range, "
            "the less a wrong peak costs."
        )
        tables.append(("How much the peak matters", note, peaks))
    note = (
        "Median over seeds of the first validation that met the target"
        f"{', the mean final validation score of the reference' if study.target is None else ''}."
        " Validation data: it was not used for the verdict."
    )
    if targets := target_rows(results):
        tables.append(("How soon", note, targets))
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
    caption = f"Validation {metric} after each epoch: {band}. It was not used for the verdict."
    add("validation", caption, figures.draw_metric)
    caption = f"Training loss, averaged over tenths of an epoch: {band}."
    add("losses", caption, figures.draw_losses)
    caption = "Learning rates really used in each update, read back from the optimizer (seed 0)."
    add("rates", caption, figures.draw_rates)
    if any("momentum" in record.trace.rates for record in results.trials.values()):
        caption = "Momentum really used in each update, where a policy moves it (seed 0)."
        add("momentum", caption, figures.draw_rates, "momentum")
    if any(tuning.scores for tuning in results.tuning.values()):
        caption = f"Validation {metric} of every peak tried, on the tuning seeds: mean, band of one"
        add("peaks", f"{caption} standard deviation. Points: the peaks chosen.", figures.draw_peaks)
    for optimizer, sweeps in results.sweeps.items():
        name = "range-test" if optimizer is None else f"range-test-{optimizer}"
        caption = (
            f"Range tests on the {len(sweeps)} tuning seeds: where the grids of peaks begin. "
            "Lines stand at the median suggestions."
        )
        if optimizer is not None:
            caption += f" Optimizer: {optimizer}."
        drawn[name] = caption, partial(figures.draw_sweeps, sweeps)
    return drawn
