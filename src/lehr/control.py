"""Closed loop: controllers turn metrics into a factor on the schedule. Pure state machines."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from lehr.schedule.check import fail, number, one_of, whole
from lehr.schedule.codec import Definition


@dataclass(frozen=True)
class State:
    """What a controller remembers between metrics; plain numbers.

    Attributes:
        factor: multiplies the scheduled learning rate.
        best: best metric so far, None before the first finite one.
        waited: metrics in a row without improvement.
        resting: metrics still ignored by the cooldown.
    """

    factor: float = 1.0
    best: float | None = None
    waited: int = 0
    resting: int = 0


@dataclass(frozen=True)
class Plateau(Definition, kind="plateau"):
    """Multiply the rate by ``factor`` when a metric has stopped improving.

    After ``patience`` metrics in a row without improvement (Keras's and optax's meaning; torch
    waits for one more) the rate is reduced and the count starts again. A metric improves if it
    is better than the best so far by more than ``threshold`` times the size of that best, which
    holds for negative metrics too. NaN and infinity do not improve.

    Args:
        monitor: name of the metric, as in Keras's logs or a learner's evaluation.
        factor: above 0 and below 1.
        patience: metrics without improvement before a reduction, at least 1.
        threshold: relative improvement that counts, at least 0.
        mode: "min" or "max": which direction is better.
        cooldown: metrics ignored after a reduction.
        floor: smallest factor, from 0 to 1.

    >>> plateau = Plateau(patience=2, factor=0.5)
    >>> state = plateau.init()
    >>> for loss in (1.0, 0.9, 0.9, 0.9):
    ...     state = plateau.update(state, loss)
    >>> state.factor
    0.5
    """

    monitor: str = "val_loss"
    factor: float = 0.5
    patience: int = 5
    threshold: float = 1e-4
    mode: str = "min"
    cooldown: int = 0
    floor: float = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.monitor, str) or not self.monitor:
            fail("monitor", "the name of a metric", self.monitor, error=TypeError)
        one_of("mode", self.mode, ("min", "max"))
        checked = {
            "factor": number("factor", self.factor, above=0, below=1),
            "patience": whole("patience", self.patience),
            "threshold": number("threshold", self.threshold, at_least=0),
            "cooldown": whole("cooldown", self.cooldown, at_least=0),
            "floor": number("floor", self.floor, at_least=0, at_most=1),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    def init(self) -> State:
        """Return the state before the first metric."""
        return State()

    def update(self, state: State, metric: float) -> State:
        """Return the state after one more metric."""
        metric = float(metric)
        if self._improves(state.best, metric):
            state = replace(state, best=metric, waited=0)
        else:
            state = replace(state, waited=state.waited + 1)
        if state.resting:
            return replace(state, resting=state.resting - 1, waited=0)
        if state.waited < self.patience:
            return state
        factor = max(state.factor * self.factor, self.floor)
        return replace(state, factor=factor, waited=0, resting=self.cooldown)

    def _improves(self, best: float | None, metric: float) -> bool:
        if not math.isfinite(metric) or best is None:
            return math.isfinite(metric)
        gain = best - metric if self.mode == "min" else metric - best
        return gain > self.threshold * abs(best)
