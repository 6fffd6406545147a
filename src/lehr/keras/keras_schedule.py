"""A lehr schedule as Keras's own ``LearningRateSchedule``."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from lehr.policy import loads, resolved_policy
from lehr.schedule.base import Schedule as LehrSchedule
from lehr.schedule.base import as_schedule
from lehr.schedule.errors import integer
from lehr.schedule.length import Length


@keras.saving.register_keras_serializable("lehr")
class Schedule(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """A lehr schedule as a Keras ``LearningRateSchedule``; made by `schedule`."""

    def __init__(self, definition: LehrSchedule | str, accumulation: int = 1) -> None:
        self.accumulation = integer("accumulation", accumulation)
        schedule = loads(definition) if isinstance(definition, str) else definition
        self._schedule: LehrSchedule = schedule
        self.definition: str = schedule.dumps()

    def __call__(self, step: Any) -> Any:
        """Return the rate for a step that Keras counts in micro-batches."""
        step = ops.convert_to_tensor(step)
        if self.accumulation > 1:
            step = ops.floor_divide(step, self.accumulation)
        return ops.cast(self._schedule(step), "float32")

    def get_config(self) -> dict[str, Any]:
        """Return what Keras saves."""
        return {"definition": self.definition, "accumulation": self.accumulation}


def schedule(
    value: LehrSchedule | float,
    steps: Length = None,
    *,
    steps_per_epoch: float | None = None,
    samples_per_step: float | LehrSchedule | None = None,
    tokens_per_step: float | LehrSchedule | None = None,
    accumulation: int = 1,
) -> Schedule:
    """Return a schedule as the ``LearningRateSchedule`` that every Keras optimizer accepts.

    Use `attach` instead for momentum, weight decay, controllers, or a rate that can be set.

    Args:
        value: a schedule or a number.
        steps: length of the run: updates, "90 epochs" or "2T tokens"; for percentages and the
            rest of the run.
        steps_per_epoch: updates in an epoch, a real number; for lengths in epochs.
        samples_per_step: samples in one update, or a schedule (a batch-size ramp); for lengths in
            samples.
        tokens_per_step: tokens in one update, or a schedule; for lengths in tokens.
        accumulation: the optimizer's ``gradient_accumulation_steps``: Keras calls a schedule
            with the count of micro-batches, not of updates.

    Raises:
        ValueError: if a length is not known in integer steps.

    >>> import keras, lehr
    >>> optimizer = keras.optimizers.SGD(schedule(lehr.cosine(0.1), steps=100))
    >>> round(float(optimizer.learning_rate), 6)
    0.1
    """
    rate = as_schedule("schedule", value)
    sizes = steps_per_epoch, samples_per_step, tokens_per_step
    resolved = resolved_policy(rate, steps, *sizes)
    assert isinstance(resolved.lr, LehrSchedule)  # a schedule in is a schedule out
    return Schedule(resolved.lr, accumulation)
