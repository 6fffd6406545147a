"""The callback that shows metrics to a policy's controller, and the rate to Keras's logs."""

from __future__ import annotations

import keras
from keras import ops

from lehr.keras.driver import driven
from lehr.schedule.errors import fail, integer


class Control(keras.callbacks.Callback):  # type: ignore[misc]
    """Add the rate to Keras's logs; give the controller its metric after each epoch.

    Put it before callbacks that save the model (``ModelCheckpoint``, ``BackupAndRestore``) or
    read the rate: callbacks earlier in the list run before the controller decides.

    With ``Plateau(restore_best=True)`` the weights of the best epoch are copied to host memory,
    saved with the optimizer, and restored at a reduction; the optimizer's momenta stay.

    Args:
        validation_freq: as given to ``fit``: epochs between two metrics.

    Raises:
        ValueError: if the model's optimizer is not driven, or the monitored metric is missing.
    """

    def __init__(self, validation_freq: int = 1) -> None:
        super().__init__()
        self.validation_freq = integer("validation_freq", validation_freq)

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Refuse an optimizer that is not driven."""
        driven(self.model).observed = True

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Give the epoch's metric to the controller and its factor to the optimizer."""
        optimizer = driven(self.model)
        logs = {} if logs is None else logs
        logs["learning_rate"] = float(ops.convert_to_numpy(optimizer.learning_rate))
        control = optimizer.policy.control
        if control is None or (epoch + 1) % self.validation_freq:
            return
        if control.monitor not in logs:
            fix = "give fit validation_data for a val_ metric, and Control its validation_freq"
            fail("monitor", "one of " + ", ".join(sorted(logs)), control.monitor, fix)
        optimizer.observe(logs[control.monitor], self.model)
