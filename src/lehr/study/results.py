"""The results of a study: scores, comparisons, budgets, sensitivity; computed values are cached."""

from __future__ import annotations

import itertools
import json
import math
import os
import statistics
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lehr.study.jobs import json_data, stored_number
from lehr.study.stats.paired import Comparison, compare
from lehr.study.stats.sequential import judge

if TYPE_CHECKING:
    import pandas
    from rich.table import Table

    from lehr.finder import Sweep
    from lehr.study.definition import Study
    from lehr.study.storage import Record

_CLOSE = 0.01  # absolute for accuracies, relative to the best for other metrics


@dataclass(frozen=True)
class Tuning:
    """The choice of an arm's peak.

    Attributes:
        peak: the chosen peak learning rate.
        scores: validation scores of each peak tried, one per tuning seed; NaN for a run that
            diverged. Empty if the range test's suggestion was used.
        seconds: training time of all tuning runs.
    """

    peak: float
    scores: dict[float, list[float]]
    seconds: float = 0.0


@dataclass(frozen=True)
class Sensitivity:
    """The sensitivity of an arm's score to its peak: the range of peaks with a score near the best.

    Attributes:
        low: lowest of the neighbouring peaks whose mean validation score is within one point
            (for metrics other than accuracy: one percent) of the best.
        high: highest of these peaks.
        edge: whether the range reaches an end of the grid, so that it may be wider.
    """

    low: float
    high: float
    edge: bool

    @property
    def factor(self) -> float:
        """``high / low``; with a larger factor, a wrong peak reduces the score less."""
        return self.high / self.low


@dataclass(frozen=True)
class Target:
    """The updates and seconds until an arm's validation metric reached a target.

    Attributes:
        reached: number of judging seeds that reached the target.
        seeds: number of judging seeds.
        updates: median number of updates to the target; None if fewer than half of the seeds
            reached it.
        seconds: median seconds of training and validation to the target; None likewise.
    """

    reached: int
    seeds: int
    updates: float | None
    seconds: float | None


@dataclass(frozen=True)
class Stop:
    """Early stopping of an arm.

    Attributes:
        seeds: number of judging seeds before the stop.
        beaten_by: the best arm at this look, which the stopped arm cannot beat.
    """

    seeds: int
    beaten_by: str


@dataclass(frozen=True, repr=False)
class Results:
    """The results of a study.

    Attributes:
        study: definition of the study.
        sweeps: range tests on the tuning seeds, by optimizer (None: the task's default).
        tuning: choice of the peak, by tuned arm.
        trials: records by (arm, budget, seed).
        stopped: arms that were stopped early.

    Returned by `Study.run` and `Study.results`; docs/studies.md has an example.
    """

    study: Study
    sweeps: dict[str | None, tuple[Sweep, ...]]
    tuning: dict[str, Tuning]
    trials: dict[tuple[str, int, int], Record]
    stopped: dict[str, Stop]

    def __repr__(self) -> str:
        study = self.study
        arms = f"{len(study.arms)} arm{'s' if len(study.arms) > 1 else ''}"
        seeds = f"{study.seeds} seed{'s' if study.seeds > 1 else ''}"
        return f"<Results: {study.task}, {arms}, {seeds}, reference {self.reference!r}>"

    @property
    def reference(self) -> str:
        """The first arm, with which the others are compared."""
        return self.study.reference

    @property
    def peaks(self) -> dict[str, float | None]:
        """The tuned peak of each arm; None for an untuned arm."""
        return {a: self.tuning[a].peak if a in self.tuning else None for a in self.study.arms}

    def label(self, arm: str) -> str:
        """Return an arm's name for display; untuned arms are marked."""
        tuned = self.study.arms[arm].tune is not None
        return arm if tuned or "untuned" in arm else f"{arm} (untuned)"

    def seeds(self, arm: str) -> range:
        """Return the judging seeds on which an arm was trained."""
        return range(self.stopped[arm].seeds if arm in self.stopped else self.study.seeds)

    def records(self, arm: str, budget: int | None = None) -> list[Record]:
        """Return an arm's trials at a budget (default: the largest), one per seed."""
        return [self.trials[arm, self._budget(budget), seed] for seed in self.seeds(arm)]

    def scores(self, arm: str, budget: int | None = None) -> list[float]:
        """Return an arm's test scores, one per judging seed; NaN for a run that diverged."""
        return list(self._scores[arm, self._budget(budget)])

    def diverged(self, arm: str, budget: int | None = None) -> int:
        """Return the number of judging seeds without a finite score of an arm."""
        return sum(not math.isfinite(score) for score in self.scores(arm, budget))

    def comparisons(self, budget: int | None = None) -> dict[str, Comparison]:
        """Compare the arms with the reference; diverged arms are omitted.

        The result is empty if the reference diverged.
        """
        return dict(self._comparisons[self._budget(budget)])

    def leaders(self) -> dict[int, str]:
        """Return, for each budget, the arm with the best mean score; stopped arms are omitted."""
        best = max if self.study.mode == "max" else min
        running = [arm for arm in self.study.arms if arm not in self.stopped]
        found = {}
        for budget in self.study.budgets:
            means = {arm: statistics.fmean(self.scores(arm, budget)) for arm in running}
            finite = [arm for arm, mean in means.items() if math.isfinite(mean)]
            found[budget] = best(finite, key=means.__getitem__, default=self.reference)
        return found

    def crossings(self) -> list[tuple[float, str, str]]:
        """Return the changes of the leader: approximate budget, leader before, leader after.

        A change is returned only if each of the two arms is significantly better at its budget:
        paired tests, corrected for all pairs of neighbouring budgets. Means are interpolated
        linearly over the logarithm of the budget.
        """
        return list(self._crossings)

    @cached_property
    def _scores(self) -> dict[tuple[str, int], list[float]]:
        study = self.study
        return {
            (arm, budget): [score(study, r.metadata, "test") for r in self.records(arm, budget)]
            for arm in study.arms
            for budget in study.budgets
        }

    @cached_property
    def _comparisons(self) -> dict[int, dict[str, Comparison]]:
        study = self.study
        ends = {arm: stop.seeds for arm, stop in self.stopped.items()}
        judged = partial(judge, stopped=ends if study.stop_early else None, seeds=study.seeds)
        found: dict[int, dict[str, Comparison]] = {budget: {} for budget in study.budgets}
        for budget in study.budgets:
            if not self.diverged(self.reference, budget):
                scores = {arm: self.scores(arm, budget) for arm in study.arms}
                found[budget] = judged(scores, self.reference, study.mode)
        return found

    @cached_property
    def _crossings(self) -> list[tuple[float, str, str]]:
        found = []
        pairs = list(itertools.pairwise(self.leaders().items()))
        for (low, before), (high, after) in pairs:
            if before == after or self.diverged(before, high) or self.diverged(after, low):
                continue
            gaps = []
            for budget in (low, high):
                base, scores = self.scores(before, budget), {after: self.scores(after, budget)}
                compared = compare(base, scores, self.study.mode, family=2 * len(pairs))
                gaps.append(compared[after])
            if [gap.verdict for gap in gaps] == ["worse", "better"]:
                share = gaps[0].difference / (gaps[0].difference - gaps[1].difference)
                found.append((low * (high / low) ** share, before, after))
        return found

    def sensitivity(self, arm: str) -> Sensitivity | None:
        """Return the sensitivity of an arm's score to its peak; None if one peak was tried."""
        tuning = self.tuning.get(arm)
        if tuning is None or len(tuning.scores) < 2:
            return None
        peaks = sorted(tuning.scores)
        means = [statistics.fmean(tuning.scores[peak]) for peak in peaks]
        best = peaks.index(tuning.peak)
        margin = _CLOSE if self.percent else _CLOSE * abs(means[best])
        close = [abs(mean - means[best]) <= margin for mean in means]
        low = best - len(list(itertools.takewhile(bool, reversed(close[:best]))))
        high = best + len(list(itertools.takewhile(bool, close[best + 1 :])))
        return Sensitivity(peaks[low], peaks[high], low == 0 or high == len(peaks) - 1)

    def target(self) -> float:
        """Return the target value of the validation metric for `to_target`."""
        return self._target

    @cached_property
    def _target(self) -> float:
        study = self.study
        if study.target is not None:
            return study.target
        records = self.records(self.reference)
        return statistics.fmean(
            stored_number(record.metadata["validation"][study.metric]) for record in records
        )

    def to_target(self, arm: str) -> Target:
        """Return the updates and seconds of an arm to the target, at the largest budget."""
        metric, sign = self.study.metric, 1 if self.study.mode == "max" else -1
        target = sign * self.target()
        found = []
        for record in self.records(arm):
            met = (
                (entry["step"], entry["seconds"])
                for entry in record.metadata["history"]
                if sign * stored_number(entry["validation"][metric]) >= target
            )
            found.append(next(met, (math.inf, math.inf)))
        updates, seconds = map(statistics.median, zip(*found, strict=True))
        reached = sum(math.isfinite(step) for step, _ in found)
        if not math.isfinite(updates):
            return Target(reached, len(found), None, None)
        return Target(reached, len(found), updates, seconds)

    @property
    def percent(self) -> bool:
        """Whether the metric is an accuracy, displayed in percent and points."""
        return self.study.metric.endswith("accuracy")

    def verdict(self) -> str:
        """Return the verdict in sentences."""
        from lehr.study.text import verdict

        return verdict(self)

    def table(self) -> Table:
        """Return the table of the arms, for ``rich.print``."""
        from lehr.study.text import table

        return table(self)

    def frames(self) -> dict[str, pandas.DataFrame]:
        """Return pandas frames by name.

        Rows: "trials", one per trial; "history", one per validation; "curves", one per update;
        "comparisons", one per arm and budget; "peaks", one per tuning run.
        """
        from lehr.study.frames import frames

        return frames(self)

    def to_dict(self) -> dict[str, Any]:
        """Return scores, comparisons, verdict and definition as plain data."""
        study = self.study
        return {
            "verdict": self.verdict(),
            "reference": self.reference,
            "scores": {arm: json_data(self.scores(arm)) for arm in study.arms},
            "comparisons": {arm: vars(c) for arm, c in self.comparisons().items()},
            "peaks": self.peaks,
            "tuning": {
                arm: {f"{peak:g}": json_data(scores) for peak, scores in tuning.scores.items()}
                for arm, tuning in self.tuning.items()
            },
            "stopped": {arm: vars(stop) for arm, stop in self.stopped.items()},
            "budgets": {
                budget: {arm: vars(c) for arm, c in self.comparisons(budget).items()}
                for budget in study.budgets
            },
            "definition": study.to_dict(),
        }

    def to_json(self) -> str:
        """Return scores, comparisons, verdict and definition as JSON text."""
        return json.dumps(self.to_dict(), indent=1, allow_nan=False)

    def report(self, path: str | os.PathLike[str]) -> None:
        """Write the report to one self-contained HTML file."""
        from lehr.report import write_report

        write_report(self, path)

    def figures(self, folder: str | os.PathLike[str]) -> list[Path]:
        """Write the figures of the report as SVG and PNG files; return their paths."""
        from lehr.report import write_figures

        return write_figures(self, folder)

    def tensorboard(self, folder: str | os.PathLike[str]) -> None:
        """Write TensorBoard event files: one run per trial, and one per arm for the mean."""
        from lehr.study.tensorboard import write_events

        write_events(self, folder)

    def _budget(self, budget: int | None) -> int:
        return self.study.budgets[-1] if budget is None else budget


def score(study: Study, metadata: dict[str, Any], split: str) -> float:
    """Return a trial's judged score on a split; NaN if the score or the last loss is not finite."""
    if study.judge == "final":
        judged, last = metadata[split], metadata["history"][-1]
        if last["loss"] is None or last["validation"].get("loss", 0.0) is None:
            return math.nan  # the accuracy is finite even with weights that are not
    else:
        judged = metadata["best"][split] if metadata["best"] else {}
    return stored_number(judged.get(study.metric))
