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
        """Return an arm's final scores on test data, one a judging seed."""
        metric = self.study.metric
        scores = []
        for seed in range(self.study.seeds):
            test = self.trials[arm, seed]["test"]
            if metric not in test:
                fail("metric", "one of " + ", ".join(test), metric)
            if test[metric] is None:
                way_out = "the run diverged: lower the arm's rate, or judge by another metric"
                fail(f"{metric} of {arm}, seed {seed},", "finite", math.nan, way_out)
            scores.append(test[metric])
        return scores

    def comparisons(self) -> dict[str, Comparison]:
        """Return the comparison of every other arm with the reference."""
        others = {arm: self.scores(arm) for arm in self.study.arms if arm != self.reference}
        return compare(self.scores(self.reference), others, self.study.mode)

    def verdict(self) -> str:
        """Return the answer in sentences."""
        study = self.study
        compared = self.comparisons()
        sentences = []
        for word in ("better", "worse"):
            found = [(arm, c) for arm, c in compared.items() if c.verdict == word]
            found.sort(key=lambda pair: -abs(pair[1].difference))
            if found:
                arms = ", ".join(f"{self.label(a)} by {self._difference(c)}" for a, c in found)
                sentences.append(f"{word.capitalize()} than {self.label(self.reference)}: {arms}.")
        undecided = [self.label(arm) for arm, c in compared.items() if c.verdict == "undecided"]
        if undecided:
            sentences.append(f"Undecided with {study.seeds} seeds: {', '.join(undecided)}.")
        return " ".join(sentences)

    def rows(self) -> list[dict[str, str]]:
        """Return the table's rows as text, the reference first."""
        compared = self.comparisons()
        unit = " (points)" if self.percent else ""
        rows = []
        for arm in self.study.arms:
            peak, c = self.peaks[arm], compared.get(arm)
            rows.append(
                {
                    "arm": self.label(arm),
                    "peak rate": "as given" if peak is None else f"{peak:g}",
                    f"test {self.study.metric}": self._score(statistics.fmean(self.scores(arm))),
                    f"difference{unit}": self._points(c.difference) if c else "",
                    "95 % interval": self._interval(c) if c else "",
                    "verdict": c.verdict if c else "reference",
                }
            )
        return rows

    def table(self) -> Table:
        """Return the table for the terminal; ``rich.print`` it."""
        from rich.table import Table

        study, rows = self.study, self.rows()
        caption = f"difference: paired over seeds, to {self.label(self.reference)}; Holm-adjusted"
        title = f"{study.task}, {study.epochs} epochs, {study.seeds} paired seeds"
        table = Table(title=title, caption=caption)
        for name in rows[0]:
            table.add_column(name, justify="left" if name in ("arm", "verdict") else "right")
        styles = {"better": "green", "worse": "red"}
        for row in rows:
            table.add_row(*row.values(), style=styles.get(row["verdict"], ""))
        return table

    def to_json(self) -> str:
        """Return scores, comparisons, verdict and definition as JSON for machines."""
        compared = {arm: vars(c) for arm, c in self.comparisons().items()}
        data = {
            "verdict": self.verdict(),
            "reference": self.reference,
            "scores": {arm: self.scores(arm) for arm in self.study.arms},
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
