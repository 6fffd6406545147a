"""Controllers: pure state machines that compute a factor on the learning rate from metrics.

The same code runs on numbers and, in JAX, on arrays under ``jit``. Metrics and all values computed
from them are rounded to float32, so the same metrics give the same decisions in every framework.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import KW_ONLY, dataclass, fields, replace
from typing import Any, Literal

from lehr.schedule import scalar
from lehr.schedule.codec import Definition
from lehr.schedule.errors import fail, integer, number, one_of


@dataclass(frozen=True)
class State:
    """State of a controller: plain numbers, or in JAX scalar arrays.

    Attributes:
        factor: multiplies the scheduled learning rate.
        best: best metric so far, if ``seen`` is above 0; with ``average``, the smallest or largest
            sum of so many metrics.
        seen: number of finite metrics so far; a mean of ``average`` metrics counts as one.
        waited: number of consecutive metrics without improvement.
        improved: number of consecutive metrics with improvement.
        resting: number of metrics that the cooldown will still ignore.
        total: sum of the ``count`` metrics that are not averaged yet.
        count: number of metrics in ``total``.
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
    """Base class of controllers: compares each metric with the best one so far.

    A metric is an improvement if it is better than the best one by more than the threshold.

    A relative threshold is a share of the absolute value of the best metric. NaN and infinity are
    never an improvement.
    """

    monitor: str = "val_loss"
    _: KW_ONLY
    factor: float = 0.5
    patience: int = 5
    threshold: float = 1e-4
    threshold_mode: Literal["relative", "absolute"] = "relative"
    mode: Literal["min", "max"] = "min"
    cooldown: int = 0
    average: int = 1
    min_factor: float = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.monitor, str) or not self.monitor:
            fail("monitor", "the name of a metric", self.monitor, error=TypeError)
        one_of("mode", self.mode, ("min", "max"))
        one_of("threshold_mode", self.threshold_mode, ("relative", "absolute"))
        self._derive(
            factor=number("factor", self.factor, above=0, below=1),
            patience=integer("patience", self.patience),
            threshold=number("threshold", self.threshold, at_least=0),
            cooldown=integer("cooldown", self.cooldown, at_least=0),
            average=integer("average", self.average),
            min_factor=number("min_factor", self.min_factor, at_least=0, at_most=1),
        )

    def init(self) -> State:
        """Return the state before the first metric."""
        return State()

    def rate(self, scheduled: Any, factor: Any) -> Any:
        """Return the learning rate for a scheduled rate and a factor: their product."""
        return scheduled * factor

    def update(self, state: State, metric: Any) -> State:
        """Return the state after one more metric.

        Args:
            state: state before the metric, of numbers or of arrays.
            metric: value of the metric; for a state of arrays, an array.
        """
        xp = scalar.namespace(state.factor) or scalar
        if xp is scalar:
            try:
                metric = float(metric)
            except (TypeError, ValueError):
                fail("metric", "a number", metric, error=TypeError)
            except OverflowError:
                fail("metric", "a finite number, NaN or infinity", metric)
        metric = _rounded(metric, xp)
        count, total = state.count + 1, _rounded(state.total + metric, xp)
        collected = replace(state, total=total, count=count)
        judged = self._judge(state, total, xp)
        return _choose(count >= self.average, judged, collected, xp)

    def _judge(self, state: State, metric: Any, xp: Any) -> State:
        """Compare a sum of ``average`` metrics with the best one.

        Sums are compared, not means: XLA may replace a division by a product, and a product that
        is added by a fused operation, which are rounded differently.
        """
        gain = _rounded(state.best - metric if self.mode == "min" else metric - state.best, xp)
        size = abs(state.best) if self.threshold_mode == "relative" else float(self.average)
        finite = xp.isfinite(metric)
        better = finite & (
            (state.seen == 0) | (gain > _rounded(xp.float32(self.threshold) * size, xp))
        )
        active = state.resting == 0
        judged = replace(
            state,
            best=xp.where(better, metric, state.best),
            seen=state.seen + xp.where(finite, 1, 0),
            waited=xp.where(better | (state.resting > 0), 0, state.waited + 1),
            improved=xp.where(better & active, state.improved + 1, 0),
            resting=xp.where(active, 0, state.resting - 1),
            total=0.0 if xp is scalar else xp.zeros_like(state.total),
            count=state.count * 0,
        )
        return self._act(judged, xp)

    @abstractmethod
    def _act(self, state: State, xp: Any) -> State:
        """Return the state with a new factor if the patience is exhausted."""

    def _lowered(self, state: State, xp: Any) -> State:
        lower = state.factor * self.factor
        lower = xp.where(lower > self.min_factor, lower, self.min_factor)
        # the factor may already be below min_factor if the user set it
        lower = xp.where(lower < state.factor, lower, state.factor)
        return replace(state, factor=lower, **self._rest(state))

    def _rest(self, state: State) -> dict[str, Any]:
        zero = state.waited * 0
        return {"waited": zero, "improved": zero, "resting": zero + self.cooldown}


@dataclass(frozen=True, repr=False)
class Plateau(Controller, kind="plateau"):
    """Multiply the learning rate by ``factor`` when a metric has stopped improving.

    The rate is ``max(s * f, min(s, min_lr))``, where ``s`` is the scheduled rate and ``f`` the
    product of all reductions: a reduction is limited to ``min_lr``, and a scheduled rate below
    ``min_lr`` is used unchanged. After ``patience`` consecutive metrics without improvement the
    rate is reduced and the count restarts.

    Source: ``patience`` is defined as in Keras's ``ReduceLROnPlateau`` and optax's
    ``reduce_on_plateau``; torch's ``ReduceLROnPlateau`` reduces one metric later.

    Args:
        monitor: name of the metric, as in Keras's logs or a learner's evaluation.
        factor: above 0 and below 1.
        patience: number of metrics without improvement before a reduction, at least 1.
        threshold: smallest improvement that counts, at least 0.
        threshold_mode: "relative" to the absolute value of the best metric, or "absolute".
        mode: "min" if a smaller metric is better, or "max".
        cooldown: number of metrics ignored after a reduction.
        average: number of metrics whose mean counts as one metric.
        min_factor: smallest product of reductions, from 0 to 1.
        min_lr: smallest learning rate after a reduction, at least 0.
        restore_best: restore the weights of the best metric at each reduction; see the drivers.

    Raises:
        ValueError: if a value is out of range.
        TypeError: if a value has the wrong type.

    >>> plateau = Plateau(patience=2, factor=0.5, min_lr=0.03)
    >>> state = plateau.init()
    >>> for loss in (1.0, 0.9, 0.9, 0.9):
    ...     state = plateau.update(state, loss)
    >>> state.factor, plateau.rate(0.1, state.factor), plateau.rate(0.05, state.factor)
    (0.5, 0.05, 0.03)
    """

    _: KW_ONLY
    min_lr: float = 0.0
    restore_best: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self._derive(min_lr=number("min_lr", self.min_lr, at_least=0))
        if not isinstance(self.restore_best, bool):
            fail("restore_best", "True or False", self.restore_best, error=TypeError)

    def rate(self, scheduled: Any, factor: Any) -> Any:
        """Return the product, but at least the smaller of ``min_lr`` and the scheduled rate."""
        rate = scheduled * factor
        if self.min_lr == 0:
            return rate
        xp = scalar.namespace(rate) or scalar
        lowest = xp.where(scheduled < self.min_lr, scheduled, self.min_lr)
        return xp.where(rate < lowest, lowest, rate)

    def _act(self, state: State, xp: Any) -> State:
        return _choose(state.waited >= self.patience, self._lowered(state, xp), state, xp)


@dataclass(frozen=True, repr=False)
class Greedy(Controller, kind="greedy"):
    """Raise the learning rate while a metric improves; lower it otherwise.

    After ``patience`` consecutive metrics with improvement the rate is divided by ``factor``;
    after ``patience`` consecutive metrics without improvement it is multiplied by ``factor``.

    Source: Hugging Face's ``GreedyLR``, which changes the rate one metric later.

    Args:
        monitor: name of the metric, as in Keras's logs or a learner's evaluation.
        factor: above 0 and below 1.
        patience: number of consecutive metrics before a change, at least 1.
        threshold: smallest improvement that counts, at least 0.
        threshold_mode: "relative" to the absolute value of the best metric, or "absolute".
        mode: "min" if a smaller metric is better, or "max".
        cooldown: number of metrics ignored after a change.
        average: number of metrics whose mean counts as one metric.
        min_factor: smallest factor on the schedule, from 0 to 1.
        max_factor: largest factor on the schedule, at least 1.

    Raises:
        ValueError: if a value is out of range.
        TypeError: if a value has the wrong type.

    >>> greedy = Greedy(patience=2, factor=0.5, max_factor=4.0)
    >>> state = greedy.init()
    >>> for loss in (1.0, 0.9, 0.8, 0.7, 0.7, 0.7):
    ...     state = greedy.update(state, loss)
    ...     print(state.factor, end=" ")
    1.0 2.0 2.0 4.0 4.0 2.0
    """

    _: KW_ONLY
    max_factor: float = 10.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._derive(max_factor=number("max_factor", self.max_factor, at_least=1))

    def _act(self, state: State, xp: Any) -> State:
        # XLA divides by a constant like this
        higher = state.factor / self.factor if xp is scalar else state.factor * (1 / self.factor)
        higher = xp.where(higher < self.max_factor, higher, self.max_factor)
        higher = xp.where(higher > state.factor, higher, state.factor)
        raised = replace(state, factor=higher, **self._rest(state))
        lowered = _choose(state.waited >= self.patience, self._lowered(state, xp), state, xp)
        return _choose(state.improved >= self.patience, raised, lowered, xp)


_SMALLEST = 2.0**-126  # smaller numbers are subnormal in float32; compiled code may flush them


def _rounded(value: Any, xp: Any) -> Any:
    """Round to float32, and subnormal numbers to 0."""
    value = xp.float32(value)
    return xp.where(abs(value) < _SMALLEST, 0.0, value)


def _choose(condition: Any, yes: State, no: State, xp: Any) -> State:
    """Select one of two states; states of arrays are selected field by field."""
    if xp is scalar:
        return yes if condition else no
    names = [field.name for field in fields(State)]
    return State(*(xp.where(condition, getattr(yes, n), getattr(no, n)) for n in names))


def reduced(before: State, after: State) -> bool:
    """Return whether a controller lowered its factor between two states."""
    return after.factor < before.factor


def is_best(before: State, after: State) -> bool:
    """Return whether the metric between two states is the best so far."""
    return (after.seen > before.seen) & ((before.seen == 0) | (after.best != before.best))
