"""The results of a study: scores, comparisons, budgets, sensitivity; each is computed once."""

from __future__ import annotations

import itertools
import json
import math
import os
import statistics
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lehr.study.stats.paired import Comparison, compare
from lehr.study.stats.sequential import judge

if TYPE_CHECKING:
    import pandas
    from rich.table import Table

    from lehr.finder import Sweep
    from lehr.study.definition import Study
    from lehr.study.storage import Record

_CLOSE = 0.01  # absolute for a share, relative to the best for other metrics


@dataclass(frozen=True)
class Tuning:
    """How an arm's peak was chosen.

    Attributes:
        peak: the one chosen.
        scores: for each peak tried its validation scores, one per tuning seed, NaN where it
            diverged; empty if the range test's suggestion was used.
        seconds: of training for it.
    """

    peak: float
    scores: dict[float, list[float]]
    seconds: float = 0.0


@dataclass(frozen=True)
class Sensitivity:
    """How much an arm's score depends on its peak.

    Attributes:
        low: lowest of the neighbouring peaks whose mean validation score is within one point of
            the best (of a metric that is no share: within one percent).
        high: highest of them.
        edge: whether the range reaches an end of the grid, and may be wider.
    """

    low: float
    high: float
    edge: bool

    @property
    def factor(self) -> float:
        """Ratio of the two: the larger, the less a wrong peak costs."""
        return self.high / self.low


@dataclass(frozen=True)
class Target:
    """When an arm's validation metric reached a target.

    Attributes:
        reached: on how many judging seeds it did.
        seeds: of how many.
        updates: median number of updates until then; None if fewer than half reached it.
        seconds: median seconds of training and validation until then, likewise.
    """

    reached: int
    seeds: int
    updates: float | None
    seconds: float | None


@dataclass(frozen=True)
class Stop:
    """Why an arm was stopped early.

    Attributes:
        seeds: how many it had been trained on.
        beaten_by: the best arm then, which it cannot beat.
    """

    seeds: int
    beaten_by: str


@dataclass(frozen=True)
class Results:
    """The results of a study.

    Attributes:
        study: its definition.
        sweeps: the range tests on the tuning seeds, by optimizer (None: the task's own).
        tuning: how each tuned arm got its peak.
        trials: the record of each (arm, budget, seed).
        stopped: the arms that were stopped early.
    """

    study: Study
    sweeps: dict[str | None, tuple[Sweep, ...]]
    tuning: dict[str, Tuning]
    trials: dict[tuple[str, int, int], Record]
    stopped: dict[str, Stop]

    @property
    def reference(self) -> str:
        """The first arm: the others are compared with it."""
        return self.study.reference

    @property
    def peaks(self) -> dict[str, float | None]:
        """Each arm's tuned peak, None where it is untuned."""
        return {a: self.tuning[a].peak if a in self.tuning else None for a in self.study.arms}

    def label(self, arm: str) -> str:
        """Return an arm's name as it is shown: an untuned one says so."""
        tuned = self.study.arms[arm].tune is not None
        return arm if tuned or "untuned" in arm else f"{arm} (untuned)"

    def seeds(self, arm: str) -> range:
        """Return the judging seeds that an arm has been trained on."""
        return range(self.stopped[arm].seeds if arm in self.stopped else self.study.seeds)

    def records(self, arm: str, budget: int | None = None) -> list[Record]:
        """Return an arm's trials at a budget, the largest if left out, one a seed."""
        return [self.trials[arm, self._budget(budget), seed] for seed in self.seeds(arm)]

    def scores(self, arm: str, budget: int | None = None) -> list[float]:
        """Return an arm's scores on test data, one per judging seed; NaN where not finite."""
        return list(self._scores[arm, self._budget(budget)])

    def diverged(self, arm: str, budget: int | None = None) -> int:
        """Return on how many judging seeds an arm has no finite score."""
        return sum(not math.isfinite(score) for score in self.scores(arm, budget))

    def comparisons(self, budget: int | None = None) -> dict[str, Comparison]:
        """Return the comparison of every other arm, but for diverged ones, with the reference.

        There are none if the reference diverged.
        """
        return dict(self._comparisons[self._budget(budget)])

    def leaders(self) -> dict[int, str]:
        """Return for each budget the arm with the best mean score of those not stopped."""
        return {budget: self._leader(budget) for budget in self.study.budgets}

    def crossings(self) -> list[tuple[float, str, str]]:
        """Return where the leader changes: about which budget, from which arm to which.

        A change counts only if each of the two is significantly better than the other at its end:
        paired tests, corrected for all pairs of neighbouring budgets. Between two budgets the
        means are interpolated linearly over the budget's logarithm.
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
        stopped = ends if study.stop_early else None
        found: dict[int, dict[str, Comparison]] = {}
        for budget in study.budgets:
            scores = {arm: self.scores(arm, budget) for arm in study.arms}
            found[budget] = (
                {}
                if self.diverged(self.reference, budget)
                else judge(scores, self.reference, study.mode, stopped=stopped, seeds=study.seeds)
            )
        return found

    @cached_property
    def _crossings(self) -> list[tuple[float, str, str]]:
        found = []
        pairs = list(itertools.pairwise(self.leaders().items()))
        for (low, before), (high, after) in pairs:
            if before == after or not all(map(self._finite, (before, after), (high, low))):
                continue
            gaps = []
            for budget in (low, high):
                scores = {after: self.scores(after, budget)}
                compared = compare(
                    self.scores(before, budget), scores, self.study.mode, family=2 * len(pairs)
                )
                gaps.append(compared[after])
            if [gap.verdict for gap in gaps] == ["worse", "better"]:
                share = gaps[0].difference / (gaps[0].difference - gaps[1].difference)
                found.append((low * (high / low) ** share, before, after))
        return found

    def _finite(self, arm: str, budget: int) -> bool:
        return not self.diverged(arm, budget)

    def sensitivity(self, arm: str) -> Sensitivity | None:
        """Return how much an arm's score depends on its peak; None if only one was tried."""
        tuning = self.tuning.get(arm)
        if tuning is None or len(tuning.scores) < 2:
            return None
        peaks = sorted(tuning.scores)
        means = [statistics.fmean(tuning.scores[peak]) for peak in peaks]
        best = peaks.index(tuning.peak)
        margin = _CLOSE if self.percent else _CLOSE * abs(means[best])

        def last(way: range) -> int:
            found = best
            for i in way:
                if not abs(means[i] - means[best]) <= margin:
                    break
                found = i
            return found

        low, high = last(range(best - 1, -1, -1)), last(range(best + 1, len(peaks)))
        return Sensitivity(peaks[low], peaks[high], low == 0 or high == len(peaks) - 1)

    def target(self) -> float:
        """Return the validation metric of "updates to the target"."""
        study = self.study
        if study.target is not None:
            return study.target
        finals = [_at_end(study.metric, r.metadata) for r in self.records(self.reference)]
        return statistics.fmean(finals)

    def to_target(self, arm: str) -> Target:
        """Return when an arm's validation metric reached the target, over the largest budget."""
        study, target = self.study, self.target()
        steps, seconds = [], []
        for record in self.records(arm):
            for entry in record.metadata["history"]:
                value = entry["validation"][study.metric]
                if value is not None and (
                    value >= target if study.mode == "max" else value <= target
                ):
                    steps.append(entry["step"])
                    seconds.append(entry["seconds"])
                    break
        count, reached = len(self.seeds(arm)), len(steps)
        if 2 * reached < count:
            return Target(reached, count, None, None)
        never = [math.inf] * (count - reached)
        middle = statistics.median([*steps, *never])
        if not math.isfinite(middle):
            return Target(reached, count, None, None)
        return Target(reached, count, middle, statistics.median([*seconds, *never]))

    @property
    def percent(self) -> bool:
        """Whether the metric is a share that is shown in percent and points."""
        return self.study.metric.endswith("accuracy")

    def verdict(self) -> str:
        """Return the answer in sentences."""
        from lehr.study.text import verdict

        return verdict(self)

    def table(self) -> Table:
        """Return the table for the terminal; ``rich.print`` it."""
        from lehr.study.text import table

        return table(self)

    def frames(self) -> dict[str, pandas.DataFrame]:
        """Return pandas frames: "trials", "history", "curves", "comparisons", "peaks"."""
        from lehr.study.frames import frames

        return frames(self)

    def to_dict(self) -> dict[str, Any]:
        """Return scores, comparisons, verdict and definition as plain data."""
        study = self.study
        return {
            "verdict": self.verdict(),
            "reference": self.reference,
            "scores": {arm: [_plain(value) for value in self.scores(arm)] for arm in study.arms},
            "comparisons": {arm: vars(c) for arm, c in self.comparisons().items()},
            "peaks": self.peaks,
            "tuning": {
                arm: {f"{peak:g}": [_plain(x) for x in some] for peak, some in t.scores.items()}
                for arm, t in self.tuning.items()
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
        """Write the report: one HTML file that opens offline."""
        from lehr.report import write_report

        write_report(self, path)

    def figures(self, folder: str | os.PathLike[str]) -> list[Path]:
        """Write the report's figures as SVG and PNG files, and return their paths."""
        from lehr.report import write_figures

        return write_figures(self, folder)

    def tensorboard(self, folder: str | os.PathLike[str]) -> None:
        """Write TensorBoard event files: a run for each trial and one for each arm's mean."""
        from lehr.study.tensorboard import write_events

        write_events(self, folder)

    def _budget(self, budget: int | None) -> int:
        return self.study.budgets[-1] if budget is None else budget

    def _leader(self, budget: int) -> str:
        running = [arm for arm in self.study.arms if arm not in self.stopped]
        means = {arm: statistics.fmean(self.scores(arm, budget)) for arm in running}
        finite = {arm: mean for arm, mean in means.items() if math.isfinite(mean)}
        if not finite:
            return self.reference
        return (max if self.study.mode == "max" else min)(finite, key=finite.__getitem__)


def score(study: Study, metadata: dict[str, Any], split: str) -> float:
    """Return a trial's judged score on a split; NaN if it, or the last loss, is not finite."""
    if study.judge == "final":
        judged, last = metadata[split], metadata["history"][-1]
        if last["loss"] is None or last["validation"].get("loss", 0.0) is None:
            return math.nan  # accuracy is finite even where the weights are not
    else:
        judged = metadata["best"][split] if metadata["best"] else {}
    value = judged.get(study.metric)
    return math.nan if value is None else float(value)


def _at_end(metric: str, metadata: dict[str, Any]) -> float:
    value = metadata["validation"][metric]
    return math.nan if value is None else float(value)


def _plain(value: float) -> float | None:
    return value if math.isfinite(value) else None
