"""What a study found: scores, comparisons, verdicts, in words and as a table."""

from __future__ import annotations

import json
import math
import os
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lehr.schedule.check import fail
from lehr.study.statistics import Comparison, compare

if TYPE_CHECKING:
    from rich.table import Table

    from lehr.finder import Sweep
    from lehr.study.definition import Study


@dataclass(frozen=True)
class Results:
    """The results of a study.

    Attributes:
        study: its definition.
        sweeps: the range tests on the tuning seeds.
        peaks: each arm's tuned peak, None where it is untuned.
        trials: for each (arm, seed) what its trial recorded; see `lehr.study.trials`.
    """

    study: Study
    sweeps: tuple[Sweep, ...]
    peaks: dict[str, float | None]
    trials: dict[tuple[str, int], dict[str, Any]]

    @property
    def reference(self) -> str:
        """The first arm: the others are compared with it."""
        return next(iter(self.study.arms))

    def label(self, arm: str) -> str:
        """Return an arm's name as it is shown: an untuned one says so."""
        tuned = self.study.arms[arm].tune is not None
        return arm if tuned or "untuned" in arm else f"{arm} (untuned)"

    def scores(self, arm: str) -> list[float]:
        """Return an arm's final scores on test data, one a judging seed; NaN where not finite."""
        tests = [self.trials[arm, seed]["test"] for seed in range(self.study.seeds)]
        scores = [test[self.study.metric] for test in tests]
        return [math.nan if score is None else score for score in scores]

    def diverged(self, arm: str) -> int:
        """Return on how many judging seeds an arm has no finite score."""
        return sum(not math.isfinite(score) for score in self.scores(arm))

    def comparisons(self) -> dict[str, Comparison]:
        """Return the comparison of every other arm, but for diverged ones, with the reference.

        Raises:
            ValueError: if the reference diverged.
        """
        if failed := self.diverged(self.reference):
            way_out = "lower its rate, or put another arm first"
            rule = f"finite on all seeds for the reference {self.reference}"
            fail(self.study.metric, rule, f"not finite on {failed}", way_out)
        finite = [arm for arm in self.study.arms if not self.diverged(arm)]
        others = {arm: self.scores(arm) for arm in finite if arm != self.reference}
        return compare(self.scores(self.reference), others, self.study.mode)

    def verdict(self) -> str:
        """Return the answer in sentences."""
        compared = self.comparisons()
        sentences = []
        for word in ("better", "worse"):
            found = [(arm, c) for arm, c in compared.items() if c.verdict == word]
            found.sort(key=lambda pair: -abs(pair[1].difference))
            if found:
                arms = ", ".join(f"{self.label(a)} by {self._difference(c)}" for a, c in found)
                sentences.append(f"{word.capitalize()} than {self.label(self.reference)}: {arms}.")
        undecided = {arm: c for arm, c in compared.items() if c.verdict == "undecided"}
        if undecided:
            arms = ", ".join(f"{self.label(arm)} ({_more(c)})" for arm, c in undecided.items())
            sentences.append(f"Undecided with {self.study.seeds} seeds: {arms}.")
        for arm in self.study.arms:
            if failed := self.diverged(arm):
                sentences.append(f"{self.label(arm)} {_failed(failed, self.study.seeds)}.")
        return " ".join(sentences)

    def rows(self) -> list[dict[str, str]]:
        """Return the table's rows as text, the reference first."""
        compared = self.comparisons()
        unit = " (points)" if self.percent else ""
        rows = []
        for arm in self.study.arms:
            peak, c, failed = self.peaks[arm], compared.get(arm), self.diverged(arm)
            verdict = c.verdict if c else "reference"
            rows.append(
                {
                    "arm": self.label(arm),
                    "peak rate": "as given" if peak is None else f"{peak:g}",
                    f"test {self.study.metric}": self._score(statistics.fmean(self.scores(arm))),
                    f"difference{unit}": self._points(c.difference) if c else "",
                    "interval": self._interval(c) if c else "",
                    "verdict": _failed(failed, self.study.seeds) if failed else verdict,
                }
            )
        return rows

    def table(self) -> Table:
        """Return the table for the terminal; ``rich.print`` it."""
        from rich.markup import escape
        from rich.table import Table

        study, rows = self.study, self.rows()
        reference = self.label(self.reference)
        caption = f"difference to {reference}, paired over seeds; intervals of at least 95 % (Holm)"
        title = f"{study.task}, {study.epochs} epochs, {study.seeds} paired seeds"
        table = Table(title=escape(title), caption=escape(caption))
        for name in rows[0]:
            table.add_column(name, justify="left" if name in ("arm", "verdict") else "right")
        styles = {"better": "green", "worse": "red"}
        for row in rows:
            table.add_row(*map(escape, row.values()), style=styles.get(row["verdict"], ""))
        return table

    def to_json(self) -> str:
        """Return scores, comparisons, verdict and definition as JSON for machines."""
        compared = {arm: vars(c) for arm, c in self.comparisons().items()}
        data = {
            "verdict": self.verdict(),
            "reference": self.reference,
            "scores": {
                arm: [score if math.isfinite(score) else None for score in self.scores(arm)]
                for arm in self.study.arms
            },
            "comparisons": compared,
            "peaks": self.peaks,
            "definition": self.study.to_dict(),
        }
        return json.dumps(data, indent=1, allow_nan=False)

    def report(self, path: str | os.PathLike[str]) -> None:
        """Write the report: one HTML file that opens offline."""
        from lehr.report import write_report

        write_report(self, path)

    @property
    def percent(self) -> bool:
        """Whether the metric is a share that is shown in percent and points."""
        return self.study.metric.endswith("accuracy")

    def _score(self, value: float) -> str:
        return f"{100 * value:.2f} %" if self.percent else f"{value:.4g}"

    def _points(self, value: float) -> str:
        return f"{100 * value:+.2f}" if self.percent else f"{value:+.4g}"

    def _interval(self, c: Comparison) -> str:
        return f"{self._points(c.low)} to {self._points(c.high)}"

    def _difference(self, c: Comparison) -> str:
        unit = " points" if self.percent else ""
        return f"{self._points(c.difference)}{unit} ({self._interval(c)})"


def _more(c: Comparison) -> str:
    if c.low == c.high == 0:
        return "the same on every seed"
    if c.more_seeds is None:
        return "over 1000 seeds would be needed"
    return f"about {c.more_seeds} more would tell"


def _failed(count: int, seeds: int) -> str:
    return f"diverged on {count} of {seeds} seeds"
