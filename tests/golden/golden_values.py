"""Recorded values as JSON, and the comparison of two recordings.

A leaf is a dict with one key, its kind. The kind selects the comparison if the recording was made
in another environment (another processor, or other versions of the frameworks):

======== ============================================ ==========================================
kind     content                                      in another environment
======== ============================================ ==========================================
exact    numbers, ``float.hex``, separated by spaces  bit for bit
rates    as above, float64 rates of schedules         within 1e-12 of the largest value
measured as above, results of training                within 1e-4, relative
traced   as above, float32 rates computed in a graph  within 4e-7 of the largest value
array    dtype and base64 of the bytes                float32: 4e-7, float64: 1e-15 of the largest
digest   SHA-256                                      not compared
text     text that contains measured numbers          not compared
======== ============================================ ==========================================

In the environment of the recording all kinds are compared bit for bit, except rates: another
formula of the same curve may differ in the last bits. Other leaves (counts, for example) are always
compared exactly.
"""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

KINDS = ("exact", "rates", "measured", "traced", "array", "digest", "text")
MEASURED, TRACED, RATES = 1e-4, 4e-7, 1e-12
ARRAYS = {"float32": 4e-7, "float64": 1e-15}


def _hex(values: Any) -> str:
    values = values if isinstance(values, Iterable) else [values]
    return " ".join(float(value).hex() for value in values)


def exact(values: Any) -> dict[str, str]:
    return {"exact": _hex(values)}


def rates(values: Any) -> dict[str, str]:
    return {"rates": _hex(values)}


def measured(values: Any) -> dict[str, str]:
    return {"measured": _hex(values)}


def traced(values: Any) -> dict[str, str]:
    return {"traced": _hex(values)}


def array(values: Any) -> dict[str, str]:
    values = np.asarray(values)
    return {"array": f"{values.dtype} {base64.b64encode(values.tobytes()).decode()}"}


def text(value: str) -> dict[str, str]:
    return {"text": value}


def digest(*parts: Any) -> dict[str, str]:
    """Return a leaf with the hash of texts, bytes and arrays (with their dtypes and shapes)."""
    hashed = hashlib.sha256()
    for part in parts:
        if isinstance(part, str | bytes):
            hashed.update(part.encode() if isinstance(part, str) else part)
        else:
            part = np.asarray(part)
            hashed.update(f"{part.dtype} {part.shape}".encode() + part.tobytes())
    return {"digest": hashed.hexdigest()}


def differences(expected: Any, actual: Any, bits: bool, path: str = "") -> Iterator[str]:
    """Yield a line for each leaf that differs: bit for bit, or by kind as in the table above."""
    if not isinstance(expected, dict) or not isinstance(actual, dict):
        if expected != actual:
            yield f"{path}: {_short(actual)}, recorded: {_short(expected)}"
        return
    if expected.keys() != actual.keys():
        only = sorted(map(str, expected.keys() ^ actual.keys()))
        yield f"{path}: only in one of them: {', '.join(only)}"
    elif len(expected) == 1 and (kind := next(iter(expected))) in KINDS:
        old, new = expected[kind], actual[kind]
        if old != new and ((bits and kind != "rates") or not _close(kind, old, new)):
            yield f"{path}: {_first_difference(kind, old, new)}"
    else:
        for name, part in expected.items():
            yield from differences(part, actual[name], bits, f"{path}/{name}")


def _close(kind: str, old: str, new: str) -> bool:
    """Return whether two leaves agree within the tolerance for other environments."""
    if kind in ("digest", "text"):
        return True
    if kind == "exact":
        return False
    one, other = _numbers(kind, old), _numbers(kind, new)
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    finite = np.isfinite(one)
    if not np.array_equal(one[~finite], other[~finite], equal_nan=True):
        return False
    one, other = one[finite].astype("float64"), other[finite].astype("float64")
    size = np.abs(one)
    if kind == "measured":
        return bool((np.abs(one - other) <= MEASURED * size + 1e-6).all())
    tolerances = {"traced": TRACED, "rates": RATES}
    tolerance = tolerances[kind] if kind in tolerances else ARRAYS[old.split()[0]]
    return bool((np.abs(one - other) <= tolerance * size.max(initial=0.0)).all())


def _numbers(kind: str, leaf: str) -> np.ndarray:
    if kind == "array":
        dtype, _, content = leaf.partition(" ")
        return np.frombuffer(base64.b64decode(content), dtype)
    return np.array([float.fromhex(word) for word in leaf.split()])


def _first_difference(kind: str, old: str, new: str) -> str:
    if kind in ("digest", "text"):
        return f"{_short(new)}, recorded: {_short(old)}"
    one, other = _numbers(kind, old), _numbers(kind, new)
    if one.shape != other.shape:
        return f"{len(other)} values, recorded: {len(one)}"
    for i, (was, now) in enumerate(zip(one.tolist(), other.tolist(), strict=True)):
        if was != now and not (math.isnan(was) and math.isnan(now)):
            return f"value {i} is {now!r}, recorded: {was!r}"
    return "the same numbers of another type, or another sign of zero"


def _short(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 100 else f"{shown[:100]}..."
