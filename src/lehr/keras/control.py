"""A callback that passes metrics to the controller and logs the learning rate."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

import keras
from keras import ops

from lehr.keras.driver import driven, driven_parts
from lehr.schedule.errors import fail, integer


class Control(keras.callbacks.Callback):  # type: ignore[misc]
    """Pass the monitored metric to the policy's controller after each epoch; log the rate.

    The rate is added to Keras's logs as "learning_rate". A model may have several driven optimizers
    (the parts of a ``MultiOptimizer``, attributes of the model): each receives its metric, and its
    rate is added as "learning_rate/" and the name of the optimizer.

    Place this callback before callbacks that save the model (``ModelCheckpoint``,
    ``BackupAndRestore``) or read the rate: callbacks earlier in the list run before the controller
    is updated.

    With ``Plateau(restore_best=True)``, the weights of the best epoch are copied to host memory,
    saved with the optimizer, and restored at a reduction; the optimizer's momenta do not change.

    Args:
        validation_freq: the ``validation_freq`` of ``fit``: number of epochs between two metrics,
            or the epochs with a metric, counted from 1.

    Raises:
        TypeError: if ``validation_freq`` is not an integer or a container of integers.
        ValueError: if ``validation_freq`` is below 1; in ``fit``, if the model's optimizer is not
            driven, or the monitored metric is missing.

    >>> import keras, lehr, numpy as np
    >>> model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1)])
    >>> policy = lehr.Policy(0.0, control=lehr.Plateau(patience=1, factor=0.5, monitor="loss"))
    >>> model.compile(lehr.keras.attach(keras.optimizers.SGD(), policy), loss="mse")
    >>> x, callbacks = np.ones((8, 1)), [lehr.keras.Control()]
    >>> history = model.fit(x, x, epochs=2, verbose=0, callbacks=callbacks)
    >>> float(lehr.keras.driven(model).factor)
    0.5
    """

    def __init__(self, validation_freq: int | Container[int] = 1) -> None:
        super().__init__()
        given: Any = validation_freq
        if isinstance(given, str):  # a container too
            fix = f"the metric is Plateau(monitor={given!r})"
            rule = "an integer or a list of epochs"
            fail("validation_freq", rule, given, fix, TypeError)
        if not isinstance(validation_freq, Container):
            validation_freq = integer("validation_freq", validation_freq)
        self.validation_freq = validation_freq

    def _validated(self, epoch: int) -> bool:
        """Return whether ``fit`` validates after an epoch, counted from 1."""
        if isinstance(self.validation_freq, int):
            return epoch % self.validation_freq == 0
        return epoch in self.validation_freq

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Raise ValueError if no optimizer of the model is driven."""
        for optimizer in driven_parts(self.model) or [driven(self.model)]:
            optimizer.observed = True

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Log the rate, update the controller with the metric, and set its factor."""
        parts = driven_parts(self.model)
        logs = {} if logs is None else logs
        for part in parts:
            name = "learning_rate" if len(parts) == 1 else f"learning_rate/{part.name}"
            logs[name] = float(ops.convert_to_numpy(part.learning_rate))
        for part in parts:
            control = part.policy.control
            if control is None or not self._validated(epoch + 1):
                continue
            if control.monitor not in logs:
                fix = (
                    "pass validation_data to fit for a val_ metric, "
                    "and its validation_freq to Control"
                )
                fail("monitor", "one of " + ", ".join(sorted(logs)), control.monitor, fix)
            part.observe(logs[control.monitor], self.model)
