"""Conversion of lehr schedules to Keras's ``LearningRateSchedule``."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from lehr.policy import Policy, loads, resolved_policy
from lehr.schedule.base import Schedule as LehrSchedule
from lehr.schedule.base import as_schedule
from lehr.schedule.errors import fail, integer
from lehr.schedule.length import Length


@keras.saving.register_keras_serializable("lehr")
class Schedule(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """A lehr schedule as a Keras ``LearningRateSchedule``; returned by `schedule`.

    Args:
        definition: a schedule with all lengths in integer steps, or its JSON.
        accumulation: the ``gradient_accumulation_steps`` of the optimizer, at least 1.

    Raises:
        TypeError: if ``accumulation`` is not an integer.
        ValueError: if ``accumulation`` is below 1.

    >>> import lehr
    >>> float(Schedule(lehr.linear(0.5, 0.0, 4))(2))
    0.25
    """

    def __init__(self, definition: LehrSchedule | str, accumulation: int = 1) -> None:
        self.accumulation = integer("accumulation", accumulation)
        schedule = loads(definition) if isinstance(definition, str) else definition
        self._schedule: LehrSchedule = schedule
        self.definition: str = schedule.dumps()

    def __call__(self, step: Any) -> Any:
        """Return the learning rate as a float32 tensor; ``step`` counts micro-batches."""
        step = ops.convert_to_tensor(step)
        if self.accumulation > 1:
            step = ops.floor_divide(step, self.accumulation)
        return ops.cast(self._schedule(step), "float32")

    def __repr__(self) -> str:
        """Return the schedule."""
        return f"<lehr.keras.Schedule: {self._schedule!r}>"

    def get_config(self) -> dict[str, Any]:
        """Return the JSON definition and the accumulation; Keras saves them."""
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
    """Convert a schedule to a ``LearningRateSchedule``, which every Keras optimizer accepts.

    For momentum, weight decay, controllers, or a factor on the rate, use `attach`.

    Args:
        value: a schedule or a number.
        steps: length of the run: updates, "90 epochs" or "2T tokens". Required for percentages and
            for schedules without a length.
        steps_per_epoch: number of updates per epoch, a real number. Required for lengths in epochs.
        samples_per_step: number of samples per update, or a schedule (a batch-size ramp). Required
            for lengths in samples.
        tokens_per_step: number of tokens per update, or a schedule. Required for lengths in tokens.
        accumulation: the ``gradient_accumulation_steps`` of the optimizer, at least 1. Keras calls
            a schedule with the number of micro-batches, not of updates.

    Raises:
        TypeError: if ``value`` is not a schedule or a number, or ``accumulation`` not an integer.
        ValueError: if a length cannot be converted to integer steps, or ``accumulation`` is below
            1.

    >>> import keras, lehr
    >>> optimizer = keras.optimizers.SGD(schedule(lehr.cosine(0.1), steps=100))
    >>> round(float(optimizer.learning_rate), 6)
    0.1
    """
    given: Any = value
    if isinstance(given, Policy):
        fix = "use lehr.keras.attach(optimizer, policy)"
        fail("schedule", "a schedule or a number", given, fix, TypeError)
    rate = as_schedule("schedule", value)
    sizes = steps_per_epoch, samples_per_step, tokens_per_step
    resolved = resolved_policy(rate, steps, *sizes)
    assert isinstance(resolved.lr, LehrSchedule)  # resolving a schedule returns a schedule
    return Schedule(resolved.lr, accumulation)
