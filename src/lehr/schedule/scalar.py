"""Functions used by the formulas (``where``, ``exp`` ...) for Python numbers; module lookup."""

import math
import struct
from typing import Any

cos = math.cos
exp = math.exp
expm1 = math.expm1
floor = math.floor
isfinite = math.isfinite
log1p = math.log1p
sin = math.sin
sqrt = math.sqrt
tanh = math.tanh


def where(condition: Any, yes: Any, no: Any) -> Any:
    """Return ``yes`` if the condition is true, otherwise ``no``."""
    return yes if condition else no


def float32(value: float) -> float:
    """Round a number to the nearest float32; a number out of range becomes infinite."""
    try:
        return float(struct.unpack("f", struct.pack("f", value))[0])
    except OverflowError:
        return math.copysign(math.inf, value)


def pick(values: tuple[float, ...], i: Any, xp: Any) -> Any:
    """Return ``values[i]`` for a number or an array of them."""
    if isinstance(i, int):
        return values[i]
    if "float" in str(i.dtype):
        i = xp.asarray(i, dtype=xp.int32)
    table = xp.asarray(values)
    return table.to(i.device)[i] if xp.__name__ == "torch" else xp.take(table, i)


def narrow(t: Any) -> bool:
    """Return whether an array has a 32-bit dtype, which cannot represent steps from 2**31 on."""
    return "32" in str(getattr(t, "dtype", ""))


def namespace(value: object) -> Any | None:
    """Return the module with ``where, cos, exp ...`` for the type of ``value``, or None.

    A framework is imported only if ``value`` is one of its arrays, so it is already loaded.
    Import statements are used because torch.compile and tf.function can trace them.
    """
    for kind in type(value).__mro__:  # a subclass of an array uses the module of the array
        root = kind.__module__.partition(".")[0]
        if root == "numpy":
            import numpy

            return numpy
        if root in ("jax", "jaxlib"):
            import jax.numpy

            return jax.numpy
        if root == "torch":
            import torch

            return torch
        if root == "tensorflow":
            import tensorflow.experimental.numpy as tnp

            return tnp
    return None
