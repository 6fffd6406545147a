"""Temporary replacement of the ``call`` methods of a model's layers."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from lehr.keras import _private

Call = Callable[..., Any]


@contextlib.contextmanager
def patch_calls(layers: Iterable[Any], wrap: Callable[[Any, Call], Call]) -> Iterator[None]:
    """Replace each layer's ``call`` by ``wrap(layer, call)``; restore the layers on exit."""
    replaced = []
    try:
        for layer in layers:
            own = vars(layer).get("call")  # vars(): Keras tracks assigned attributes
            replaced.append((layer, own))
            vars(layer)["call"] = wrap(layer, layer.call)
        yield
    finally:
        for layer, own in replaced:
            if own is None:
                del vars(layer)["call"]
            else:
                vars(layer)["call"] = own


def training_argument(model: Any, training: bool) -> dict[str, bool]:
    """Return the keyword argument ``training``; empty if the model's ``call`` rejects it."""
    return {"training": training} if _private.takes_training(model) else {}
