"""Access to the optimizer and the variables of a compiled Keras model."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from lehr.schedule.errors import fail


def optimizer_of(model: Any) -> Any:
    """Return the optimizer of a compiled model; raise ValueError if it is not compiled."""
    if getattr(model, "optimizer", None) is None:
        fail("model", "compiled with an optimizer", model, "call model.compile(...) first")
    return model.optimizer


def variables_of(model: keras.Model, *more: Any) -> dict[str, Any]:
    """Return the variables of a model, its optimizer and ``more``, without duplicates."""
    unique = {id(v): v for v in [*model.variables, *model.optimizer.variables, *more]}
    # keyed by position: Keras numbers the names over all models of the process
    return {f"variable {i}": v for i, v in enumerate(unique.values())}


def copied(variables: dict[str, Any]) -> dict[str, Any]:
    """Copy the values of variables to host memory."""
    return {name: np.array(keras.ops.convert_to_numpy(v)) for name, v in variables.items()}
