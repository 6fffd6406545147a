"""Tuning: the grid of peaks of an arm and the choice of the best, equal for all arms."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence

from lehr.finder import Sweep, agree
from lehr.schedule.errors import fail
from lehr.study.definition import Study
from lehr.study.jobs import SWEEP, Job, make_job, tuning_seeds

FACTOR = 2.0  # between neighbouring peaks
_MOST_PEAKS_MORE = 8


def sweep_jobs(study: Study) -> dict[tuple[str | None, int], Job]:
    """Return the range tests of the tuned arms, by optimizer (None: the default) and seed."""
    optimizers = dict.fromkeys(arm.optimizer for arm in study.arms.values() if arm.tune)
    return {
        (optimizer, seed): make_job("sweep", study.task, study.options, seed, optimizer) | SWEEP
        for seed in tuning_seeds(study.tuning_seeds)
        for optimizer in optimizers
    }


def centre(arm: str, sweeps: tuple[Sweep, ...], use: str, alone: bool) -> float:
    """Return the centre of an arm's grid: the median of the range tests' suggestions.

    With ``alone=True``, for a single peak, more than half of the range tests must have a
    suggestion; for a grid, one suggestion is sufficient.
    """
    usable = [sweep for sweep in sweeps if alone or sweep.suggest(use).lr is not None]
    suggestion = agree(usable or sweeps, use)
    if suggestion.lr is None:
        fix = "set the arm's rate with tune=None"
        fail(f"peak of {arm}", "suggested by a range test", suggestion.reason, fix)
    return suggestion.lr


def peak_grid(centre: float, peaks: int) -> list[float]:
    """Return peaks around a centre with a ratio of 2, rounded to three significant digits.

    >>> peak_grid(0.1, 5)
    [0.025, 0.05, 0.1, 0.2, 0.4]
    """
    half = peaks // 2
    return [_short(centre * FACTOR**k) for k in range(-half, half + 1)]


def wider(grid: Sequence[float], best: float, peaks: int) -> list[float]:
    """Return two more peaks for a grid whose best peak is at an edge, otherwise none.

    A grid is widened by at most 8 peaks. A single peak is not widened.

    >>> wider([0.05, 0.1, 0.2], best=0.2, peaks=3), wider([0.05, 0.1, 0.2], best=0.1, peaks=3)
    ([0.4, 0.8], [])
    """
    if peaks == 1 or len(grid) >= peaks + _MOST_PEAKS_MORE:
        return []
    signs = {max(grid): 1, min(grid): -1}
    return [_short(best * FACTOR ** (signs[best] * k)) for k in (1, 2)] if best in signs else []


def best_peak(scores: Mapping[float, Sequence[float]], mode: str) -> float | None:
    """Return the peak with the best smoothed mean score; None if all peaks diverged.

    The weights are 1/4, 1/2 and 1/4 for the lower neighbour, the peak and the upper neighbour. At
    an end of the grid, the missing neighbour is replaced by the peak itself. Smoothing is needed
    because, with few tuning seeds, the best peak may be just below a peak at which other seeds
    diverge. A peak with a score that is not finite is not chosen; as a neighbour it counts as the
    worst finite mean.

    >>> best_peak({0.1: [0.85], 0.2: [0.87], 0.4: [0.88], 0.8: [0.89], 1.6: [0.1]}, "max")
    0.4
    >>> best_peak({0.1: [0.8, 0.9], 0.2: [0.9, float("nan")]}, "max")
    0.1
    """
    peaks, better = sorted(scores), max if mode == "max" else min
    means = [statistics.fmean(scores[peak]) for peak in peaks]
    finite = [mean for mean in means if math.isfinite(mean)]
    if not finite:
        return None
    worst = min(finite) if mode == "max" else max(finite)
    filled = [mean if math.isfinite(mean) else worst for mean in means]
    around = [filled[0], *filled, filled[-1]]
    smooth = {
        peak: (around[i] + 2 * filled[i] + around[i + 2]) / 4
        for i, peak in enumerate(peaks)
        if math.isfinite(means[i])
    }
    return better(smooth, key=smooth.__getitem__)


def _short(peak: float) -> float:
    return float(f"{peak:.3g}")
