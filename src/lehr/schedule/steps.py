"""Validation of the steps that a schedule is called with: arrays of NumPy and of frameworks."""

from __future__ import annotations

import sys
from typing import Any

from lehr.schedule.errors import fail

END = 2**63  # steps are counted in int64
_RULE = "an integer or an array of them"
_EXACT = ("int32", "int64", "float32", "float64")
_WIDER = {
    **dict.fromkeys(("int8", "uint8", "int16", "uint16"), "int32"),
    **dict.fromkeys(("uint32", "uint64"), "int64"),
}


def array_of_steps(steps: Any, xp: Any) -> Any:
    """Return an array of steps in a type in which formulas do not overflow; reject invalid steps.

    In frameworks, values are checked where this costs no graph and no transfer: outside traced
    functions, on a CPU.
    """
    if xp.__name__ == "numpy":
        return integer_steps(steps, xp)
    dtype = steps.dtype
    name = getattr(dtype, "name", str(dtype)).rpartition(".")[2]
    if name not in _EXACT and name not in _WIDER:
        rule = f"an array of {', '.join(_EXACT)} or another integer type"
        fail("step", rule, name, error=TypeError)
    known = _known_values(steps, xp)
    if known is not None:
        integer_steps(known, sys.modules["numpy"])
    if name not in _WIDER:
        return steps
    wide = "int32" if xp.__name__ == "jax.numpy" else _WIDER[name]  # JAX has no int64 by default
    return xp.asarray(steps, dtype=getattr(xp, wide))


def integer_steps(steps: Any, np: Any) -> Any:
    """Convert NumPy steps to int64, so that subtractions do not overflow; reject invalid steps."""
    array = np.asarray(steps)
    if array.dtype.kind not in "iuf":
        fail("step", _RULE, steps, error=TypeError)
    if array.dtype.kind == "f":
        wrong = array[~np.isfinite(array) | (array != np.floor(array))]
        if wrong.size:
            fail("step", "an integer", wrong[0].item())
    if array.size and array.min() < 0:
        fail("step", "at least 0", array.min().item())
    if array.dtype.kind in "uf" and array.size and array.max() >= END:
        fail("step", "below 2**63", array.max().item())
    return array.astype(np.int64, copy=False)


def _known_values(steps: Any, xp: Any) -> Any:
    """Return the values of a framework's array in the CPU's memory as NumPy; None if unknown."""
    if xp.__name__ == "torch":
        if xp.compiler.is_compiling() or xp.jit.is_tracing() or steps.device.type != "cpu":
            return None
        try:
            return steps.detach().numpy()
        except (RuntimeError, TypeError):  # inside vmap, or a tensor without data
            return None
    if xp.__name__ == "jax.numpy":
        jax = sys.modules["jax"]
        if isinstance(steps, jax.core.Tracer) or not isinstance(steps, jax.Array):
            return None
        on_cpu = all(device.platform == "cpu" for device in steps.devices())
        return steps if on_cpu and steps.is_fully_addressable else None
    if not sys.modules["tensorflow"].executing_eagerly():  # in a graph, also of a variable
        return None
    on_cpu = "CPU" in (getattr(steps, "device", None) or "")
    return steps.numpy() if on_cpu and hasattr(steps, "numpy") else None
