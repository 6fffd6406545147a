"""Controllers: pure state machines that turn metrics into a factor on the learning rate.

The same code runs on numbers and, in JAX, on arrays under ``jit``. Metrics and all that is computed
from them are rounded to float32, so that every framework decides alike.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, fields, replace
from typing import Any

from lehr.schedule import scalar
from lehr.schedule.codec import Definition
from lehr.schedule.errors import fail, number, one_of, whole


@dataclass(frozen=True)
class State:
    """State of a controller: plain numbers, or in JAX scalar arrays.

    Attributes:
        factor: multiplies the scheduled learning rate.
        best: best metric so far, if ``seen`` is above 0.
        seen: finite metrics so far; one mean of ``average`` metrics counts as one.
        waited: metrics in a row without improvement.
        improved: metrics in a row with improvement.
        resting: metrics that the cooldown still ignores.
        total: sum of the ``count`` metrics that are not averaged yet.
        count: their number.
    """

    factor: float = 1.0
    best: float = 0.0
    seen: int = 0
    waited: int = 0
    improved: int = 0
    resting: int = 0
    total: float = 0.0
    count: int = 0


@dataclass(frozen=True, repr=False)
class Controller(Definition):
    """Base class: decides whether a metric improves on the best so far by more than the threshold.

    A relative threshold is a share of the absolute value of the best. NaN and infinity never
    improve.
    """

    monitor: str = "val_loss"
    factor: float = 0.5
    patience: int = 5
    threshold: float = 1e-4
    mode: str = "min"
    cooldown: int = 0
    floor: float = 0.0
    threshold_mode: str = "relative"
    average: int = 1

    def __post_init__(self) -> None:
        if not isinstance(self.monitor, str) or not self.monitor:
            fail("monitor", "the name of a metric", self.monitor, error=TypeError)
        one_of("mode", self.mode, ("min", "max"))
        one_of("threshold_mode", self.threshold_mode, ("relative", "absolute"))
        self._derive(
            factor=number("factor", self.factor, above=0, below=1),
            patience=whole("patience", self.patience),
            threshold=number("threshold", self.threshold, at_least=0),
            cooldown=whole("cooldown", self.cooldown, at_least=0),
            floor=number("floor", self.floor, at_least=0, at_most=1),
            average=whole("average", self.average),
        )

    def init(self) -> State:
        """Return the state before the first metric."""
        return State()

    def update(self, state: State, metric: Any) -> State:
        """Return the state after one more metric: numbers, or arrays in a state of arrays."""
        xp = scalar.namespace(state.factor) or scalar
        metric = xp.float32(float(metric) if xp is scalar else metric)
        count, total = state.count + 1, xp.float32(state.total + metric)
        collected = replace(state, total=total, count=count)
        judged = self._judge(state, xp.float32(total / count), xp)
        return _choose(count >= self.average, judged, collected, xp)

    def _judge(self, state: State, metric: Any, xp: Any) -> State:
        gain = xp.float32(state.best - metric if self.mode == "min" else metric - state.best)
        size = abs(state.best) if self.threshold_mode == "relative" else 1.0
        finite = xp.isfinite(metric)
        better = finite & (
            (state.seen == 0) | (gain > xp.float32(xp.float32(self.threshold) * size))
        )
        awake = state.resting == 0
        judged = replace(
            state,
            best=xp.where(better, metric, state.best),
            seen=state.seen + xp.where(finite, 1, 0),
            waited=xp.where(better | (state.resting > 0), 0, state.waited + 1),
            improved=xp.where(better & awake, state.improved + 1, 0),
            resting=xp.where(awake, 0, state.resting - 1),
            total=0.0 if xp is scalar else xp.zeros_like(state.total),
            count=state.count * 0,
        )
        return self._act(judged, xp)

    @abstractmethod
    def _act(self, state: State, xp: Any) -> State:
        """Return the state with the factor moved, if it is time to."""

    def _lowered(self, state: State, xp: Any) -> State:
        lower = state.factor * self.factor
        lower = xp.where(lower > self.floor, lower, self.floor)
        lower = xp.where(lower < state.factor, lower, state.factor)  # a person may have set it
        return replace(state, factor=lower, **self._rest(state))

    def _rest(self, state: State) -> dict[str, Any]:
        zero = state.waited * 0
        return {"waited": zero, "improved": zero, "resting": zero + self.cooldown}


@dataclass(frozen=True, repr=False)
class Plateau(Controller, kind="plateau"):
    """Multiply the rate by ``factor`` when a metric has stopped improving.

    After ``patience`` metrics in a row without improvement (Keras's and optax's meaning; torch
    waits for one more) the rate is reduced and the count starts again.

    Args:
        monitor: name of the metric, as in Keras's logs or a learner's evaluation.
        factor: above 0 and below 1.
        patience: metrics without improvement before a reduction, at least 1.
        threshold: improvement that counts, at least 0.
        mode: "min" or "max": which direction is better.
        cooldown: metrics ignored after a reduction.
        floor: smallest factor, from 0 to 1.
        threshold_mode: "relative" to the absolute value of the best metric, or "absolute".
        average: number of metrics whose mean counts as one.
        restore_best: restore the weights of the best metric at each reduction, see the drivers.

    Raises:
        ValueError: if a value is out of range.
        TypeError: if a value has the wrong type.

    >>> plateau = Plateau(patience=2, factor=0.5)
    >>> state = plateau.init()
    >>> for loss in (1.0, 0.9, 0.9, 0.9):
    ...     state = plateau.update(state, loss)
    >>> state.factor
    0.5
    """

    restore_best: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.restore_best, bool):
            fail("restore_best", "True or False", self.restore_best, error=TypeError)

    def _act(self, state: State, xp: Any) -> State:
        return _choose(state.waited >= self.patience, self._lowered(state, xp), state, xp)


@dataclass(frozen=True, repr=False)
class Greedy(Controller, kind="greedy"):
    """Raise the rate while a metric improves, lower it while it does not.

    After ``patience`` metrics in a row with improvement the rate is divided by ``factor``; after as
    many without, it is multiplied by it.

    Source: the idea of Hugging Face's ``GreedyLR``, which waits for one metric more.

    Args:
        monitor: name of the metric, as in Keras's logs or a learner's evaluation.
        factor: above 0 and below 1.
        patience: metrics in a row before a change, at least 1.
        threshold: improvement that counts, at least 0.
        mode: "min" or "max": which direction is better.
        cooldown: metrics ignored after a change.
        floor: smallest factor, from 0 to 1.
        threshold_mode: "relative" or "absolute", as for `Plateau`.
        average: the mean of so many metrics counts as one.
        ceiling: largest factor, at least 1.

    Raises:
        ValueError: if a value is out of range.
        TypeError: if a value has the wrong type.

    >>> greedy = Greedy(patience=2, factor=0.5, ceiling=4.0)
    >>> state = greedy.init()
    >>> for loss in (1.0, 0.9, 0.8, 0.7, 0.7, 0.7):
    ...     state = greedy.update(state, loss)
    ...     print(state.factor, end=" ")
    1.0 2.0 2.0 4.0 4.0 2.0
    """

    ceiling: float = 10.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._derive(ceiling=number("ceiling", self.ceiling, at_least=1))

    def _act(self, state: State, xp: Any) -> State:
        higher = state.factor / self.factor
        higher = xp.where(higher < self.ceiling, higher, self.ceiling)
        higher = xp.where(higher > state.factor, higher, state.factor)
        raised = replace(state, factor=higher, **self._rest(state))
        lowered = _choose(state.waited >= self.patience, self._lowered(state, xp), state, xp)
        return _choose(state.improved >= self.patience, raised, lowered, xp)


def _choose(condition: Any, yes: State, no: State, xp: Any) -> State:
    """Return one of two states, field by field where they are arrays."""
    if xp is scalar:
        return yes if condition else no
    names = [field.name for field in fields(State)]
    return State(*(xp.where(condition, getattr(yes, n), getattr(no, n)) for n in names))


def reduced(before: State, after: State) -> bool:
    """Return whether a controller has just lowered its factor."""
    return after.factor < before.factor


def is_best(before: State, after: State) -> bool:
    """Return whether the metric between two states is the best so far."""
    return (after.seen > before.seen) & ((before.seen == 0) | (after.best != before.best))
