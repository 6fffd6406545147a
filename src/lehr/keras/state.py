"""What a compiled Keras model holds: its variables and its optimizer's."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from lehr.schedule.errors import fail


def optimizer_of(model: Any) -> Any:
    """Return the optimizer a model was compiled with."""
    if getattr(model, "optimizer", None) is None:
        fail("model", "compiled with an optimizer", model, "call model.compile(...) first")
    return model.optimizer


def variables_of(model: keras.Model, *more: Any) -> dict[str, Any]:
    """Return the variables of a model, its optimizer and ``more``, each once."""
    unique = {id(v): v for v in [*model.variables, *model.optimizer.variables, *more]}
    # by place: names count up with every model made in the process
    return {f"variable {i}": v for i, v in enumerate(unique.values())}


def copied(variables: dict[str, Any]) -> dict[str, Any]:
    """Return copies of their values in the computer's memory."""
    return {name: np.array(keras.ops.convert_to_numpy(v)) for name, v in variables.items()}
