"""Calls of a model's layers, altered or watched for as long as a block lasts."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

Call = Callable[..., Any]


@contextlib.contextmanager
def patch_calls(layers: Iterable[Any], wrap: Callable[[Any, Call], Call]) -> Iterator[None]:
    """Let the layers' calls go through ``wrap(layer, call)``, and put the layers back after."""
    changed = []
    try:
        for layer in layers:
            own = vars(layer).get("call")  # vars: Keras does not track what is put there
            changed.append((layer, own))
            vars(layer)["call"] = wrap(layer, layer.call)
        yield
    finally:
        for layer, own in changed:
            if own is None:
                del vars(layer)["call"]
            else:
                vars(layer)["call"] = own


def training_argument(model: Any, training: bool) -> dict[str, bool]:
    """Return the keyword to call a model with; none where its ``call`` does not take one."""
    return {"training": training} if model._call_has_training_arg else {}
