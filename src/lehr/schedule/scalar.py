"""The few NumPy names the formulas use, for plain Python numbers; and which names go with what."""

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
    """Return ``yes`` where the condition holds, else ``no``."""
    return yes if condition else no


def float32(value: float) -> float:
    """Return the float32 nearest to a number; one too large is infinite."""
    try:
        return float(struct.unpack("f", struct.pack("f", value))[0])
    except OverflowError:
        return math.copysign(math.inf, value)


def pick(values: tuple[float, ...], i: Any, xp: Any) -> Any:
    """Return ``values[i]`` for a number or an array of them."""
    if isinstance(i, int):
        return values[i]
    table = xp.asarray(values)
    return table.to(i.device)[i] if xp.__name__ == "torch" else xp.take(table, i)


def narrow(t: Any) -> bool:
    """Return whether an array counts in 32 bits: steps from 2**31 on cannot be compared with it."""
    return "32" in str(getattr(t, "dtype", ""))


def namespace(value: object) -> Any | None:
    """Return the module whose ``where, cos, exp ...`` work on ``value``; None if there is none.

    Only a framework that made ``value``, and so is loaded already, is imported; by statements,
    which torch.compile and tf.function can trace.
    """
    for kind in type(value).__mro__:  # a subclass of an array is driven like the array
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
