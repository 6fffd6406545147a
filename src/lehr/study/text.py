"""A study's results as text: the verdict and the rows of the tables."""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING

from lehr.study.results import Results
from lehr.study.stats.paired import Comparison

if TYPE_CHECKING:
    from rich.table import Table

    from lehr.study.definition import Study


def verdict(results: Results) -> str:
    """Return the verdict in sentences."""
    compared = results.comparisons()
    reference = results.label(results.reference)
    sentences = []
    if results.diverged(results.reference):
        sentences.append(
            f"The reference {reference} diverged, so there is no comparison: lower its rate, or "
            "put another arm first."
        )
    for word in ("better", "worse"):
        found = [(results.label(arm), c) for arm, c in compared.items() if c.verdict == word]
        found.sort(key=lambda pair: -abs(pair[1].difference))
        if arms := ", ".join(f"{arm} by {_difference(results, c)}" for arm, c in found):
            sentences.append(f"{word.capitalize()} than {reference}: {arms}.")
    undecided = {arm: c for arm, c in compared.items() if c.verdict == "undecided"}
    for seeds in sorted({c.n for c in undecided.values()}, reverse=True):
        some = {results.label(arm): c for arm, c in undecided.items() if c.n == seeds}
        arms = ", ".join(f"{arm} ({_more_seeds(c)})" for arm, c in some.items())
        sentences.append(f"Undecided with {seeds} seeds: {arms}.")
    for arm, stop in results.stopped.items():
        after, best = f"stopped after {stop.seeds} seeds", results.label(stop.beaten_by)
        sentences.append(f"{results.label(arm)} was {after}: it cannot beat {best}.")
    for arm in results.study.arms:
        if failed := results.diverged(arm):
            sentences.append(f"{results.label(arm)} {_failed(failed, len(results.seeds(arm)))}.")
    if not compared and len(results.study.arms) == 1:
        sentences.append(
            f"{reference}: {_mean(results, results.reference)}; no other arm to compare."
        )
    for budget, before, after in results.crossings():
        first, then = results.label(before), results.label(after)
        where = f"about {budget:.3g} {results.study.unit}"
        sentences.append(f"Up to {where} {first} leads, then {then}.")
    return " ".join(sentences)


def judged(study: Study) -> str:
    """Return the judged score of a trial in words."""
    return "final" if study.judge == "final" else "best checkpoint's"


def rows(results: Results, budget: int | None = None) -> list[dict[str, str]]:
    """Return the rows of the main table as text, the reference first."""
    compared = results.comparisons(budget)
    study, unit = results.study, " (points)" if results.percent else ""
    found = []
    for arm in study.arms:
        peak, c, failed = results.peaks[arm], compared.get(arm), results.diverged(arm, budget)
        outcome = c.verdict if c else "reference" if arm == results.reference else "not compared"
        size = None if c is None else c.effect_size
        seeds = len(results.seeds(arm))
        if arm in results.stopped:
            outcome = f"{outcome}, stopped after {seeds} seeds"
        found.append(
            {
                "arm": results.label(arm),
                "peak rate": "untuned" if peak is None else f"{peak:g}",
                f"{judged(study)} test {study.metric}": _mean(results, arm, budget),
                f"difference{unit}": _points(results, c.difference) if c else "",
                "interval": _interval(results, c) if c else "",
                "effect size": "" if size is None else f"{size:+.1f}",
                "verdict": _failed(failed, seeds) if failed else outcome,
            }
        )
    return found


def table(results: Results) -> Table:
    """Return the main table for the terminal."""
    from rich.markup import escape
    from rich.table import Table

    study = results.study
    found = [{k: v for k, v in row.items() if k != "effect size"} for row in rows(results)]
    reference = results.label(results.reference)
    caption = f"difference to {reference}, paired by seed; intervals of at least 95 % (Holm)"
    title = f"{study.task}, {study.budgets[-1]} {study.unit}, {study.seeds} paired seeds"
    drawn = Table(title=escape(title), caption=escape(caption))
    for name in found[0]:
        drawn.add_column(name, justify="left" if name in ("arm", "verdict") else "right")
    styles = {"better": "green", "worse": "red"}
    for row in found:
        style = styles.get(row["verdict"].partition(",")[0], "")
        drawn.add_row(*map(escape, row.values()), style=style)
    return drawn


def arm_rows(results: Results) -> list[dict[str, str]]:
    """Return one row per arm: policy, rule for the peak, optimizer."""
    arms = results.study.arms
    found = []
    for name, arm in arms.items():
        row = {"arm": name, "policy": repr(arm.given), "tune": arm.tune or "untuned"}
        if any(other.optimizer for other in arms.values()):
            row["optimizer"] = arm.optimizer or "default"
        found.append(row)
    return found


def budget_rows(results: Results) -> list[dict[str, str]]:
    """Return one row per budget: the mean of each arm, and the leader."""
    study, leaders = results.study, results.leaders()
    return [
        {"budget": f"{budget} {study.unit}"}
        | {results.label(arm): _mean(results, arm, budget) for arm in study.arms}
        | {"leads": results.label(leaders[budget])}
        for budget in study.budgets
    ]


def peak_rows(results: Results) -> list[dict[str, str]]:
    """Return one row per arm with several peaks tried: its sensitivity to the peak."""
    found = []
    near = "within 1 point" if results.percent else "within 1 %"
    for arm, tuning in results.tuning.items():
        wide = results.sensitivity(arm)
        if wide is None:
            continue
        tried = f"{len(tuning.scores)} from {min(tuning.scores):g} to {max(tuning.scores):g}"
        reach = f"{wide.low:g} to {wide.high:g}: a factor of {wide.factor:.3g}"
        found.append(
            {
                "arm": arm,
                "peak rate": f"{tuning.peak:g}",
                "tried": tried,
                near: f"{reach}{' or more' if wide.edge else ''}",
            }
        )
    return found


def target_rows(results: Results) -> list[dict[str, str]]:
    """Return one row per arm: updates and seconds until the validation metric met the target.

    The list is empty if the target is the final metric of a reference that diverged.
    """
    target, found = number(results, results.target()), []
    if not math.isfinite(results.target()):
        return []
    for arm in results.study.arms:
        t = results.to_target(arm)
        found.append(
            {
                "arm": results.label(arm),
                f"reached {target}": f"{t.reached} of {t.seeds} seeds",
                "updates": "" if t.updates is None else f"{t.updates:,.0f}",
                "seconds": "" if t.seconds is None else f"{t.seconds:.3g}",
            }
        )
    return found


def number(results: Results, value: float) -> str:
    """Format a value of the metric."""
    if not math.isfinite(value):
        return "not finite"
    return f"{100 * value:.2f} %" if results.percent else f"{value:.4g}"


def _mean(results: Results, arm: str, budget: int | None = None) -> str:
    return number(results, statistics.fmean(results.scores(arm, budget)))


def _points(results: Results, value: float) -> str:
    return f"{100 * value:+.2f}" if results.percent else f"{value:+.4g}"


def _interval(results: Results, c: Comparison) -> str:
    return f"{_points(results, c.low)} to {_points(results, c.high)}"


def _difference(results: Results, c: Comparison) -> str:
    unit = " points" if results.percent else ""
    return f"{_points(results, c.difference)}{unit} ({_interval(results, c)})"


def _more_seeds(c: Comparison) -> str:
    if c.low == c.high == 0:
        return "the same on every seed"
    if c.more_seeds is None:
        return "more than 1000 seeds needed"
    return f"a new study needs about {c.n + c.more_seeds} seeds"


def _failed(count: int, seeds: int) -> str:
    return f"diverged on {count} of {seeds} seeds"
