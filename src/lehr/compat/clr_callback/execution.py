"""The rates of the batches inside one execution of a Keras model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from lehr.keras import _private
from lehr.keras.hyperparameters import plain_variable


class Following:
    """Mixin for optimizers: inside an execution, the rate follows a list of rates.

    The object shares all variables with another optimizer, whose state is saved. Two further
    variables hold the list. Each batch uses the rate variable; after each batch but the last one of
    an execution, it is set to the next rate of the list. Other batches do not change it.

    Attributes:
        original: the other optimizer.
        block: largest number of batches in an execution.
    """

    original: Any
    block: int
    _first: Any
    _rates: Any

    @property
    def variables(self) -> list[Any]:
        """The shared variables, the count of batches before the list, and the list of rates."""
        return [*self.original.variables, self._first, self._rates]

    def apply(self, grads: Any, trainable_variables: Any = None) -> None:
        """Make an update, record its rate in the list, and set the rate of the next one."""
        rate = _private.learning_rate(self)
        place = self._place()
        rates = ops.convert_to_tensor(self._rates)
        inside = ops.arange(self.block, dtype="int32") == place
        self._rates.assign(ops.where(inside, ops.cast(rate, "float32"), rates))
        super().apply(grads, trainable_variables)  # type: ignore[misc]
        place = self._place()
        following = ops.take(rates, ops.clip(place, 0, self.block - 1))
        inside = ops.logical_and(place > 0, place < self.block)
        rate.assign(ops.where(inside, following, ops.cast(rate, "float32")))

    def _place(self) -> Any:
        """Return the index of the next batch in the list."""
        done = ops.convert_to_tensor(_private.batches_applied(self))
        return ops.cast(done - ops.cast(self._first, done.dtype), "int32")

    def follow(self, rates: Sequence[float]) -> None:
        """Set the rates of the next execution; its first batch uses the rate variable."""
        self._first.assign(ops.convert_to_numpy(_private.batches_applied(self)))
        self._rates.assign(np.asarray(rates, "float32"))

    def finish(self) -> list[float]:
        """End the list, and return the rates of the batches since `follow`."""
        count = int(ops.convert_to_numpy(self._place()))
        used = [float(rate) for rate in ops.convert_to_numpy(self._rates)[:count]]
        # an incomplete execution leaves rates that the next one must not use
        self._first.assign(ops.convert_to_numpy(self._first) + count - self.block)
        return used

    def save_own_variables(self, store: Any) -> None:
        """Save the state of the other optimizer."""
        self.original.save_own_variables(store)

    def load_own_variables(self, store: Any) -> None:
        """Load the state of the other optimizer."""
        self.original.load_own_variables(store)


def following(optimizer: keras.optimizers.Optimizer, block: int) -> Any:
    """Return an optimizer that shares all variables with a built one, and follows rates."""
    base = type(optimizer)
    # Keras saves the class by its name and module, and loads that of the other optimizer
    cls = type(base.__name__, (Following, base), {"__module__": base.__module__})
    view: Any = object.__new__(cls)
    added = {"original": optimizer, "block": block}
    with keras.name_scope(optimizer.name):
        added["_first"] = plain_variable(0, "first", "int32")
        added["_rates"] = plain_variable(np.zeros(block), "rates")
    vars(view).update(vars(optimizer) | added)  # without the tracking of attributes
    return view
