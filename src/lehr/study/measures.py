"""What results are made of: how an arm got its peak, how much that matters, how soon."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tuning:
    """How an arm got its peak.

    Attributes:
        peak: the one it got.
        scores: for each peak tried its validation scores, one a tuning seed, NaN where it
            diverged; empty if the range test's word was taken.
        seconds: of training that this took.
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
        edge: whether that reaches an end of what was tried, so that it may go further.
    """

    low: float
    high: float
    edge: bool

    @property
    def factor(self) -> float:
        """Between the two: the larger, the less a wrong peak costs."""
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
