"""Error messages in one format: ``<field> must be <rule>, got <value!r>[; <fix>]``."""

import difflib
import math
import numbers
import operator
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn

MOST = 2**53  # the largest exact float
LAST = 2**31 - 1  # the last step that an int32 counts


def fail(
    field: str,
    rule: str,
    value: object,
    fix: str = "",
    error: type[Exception] = ValueError,
) -> NoReturn:
    """Raise an error with the field, the rule, the value and the fix."""
    try:
        got = repr(value)
    except (ValueError, RecursionError):  # value too long or too deeply nested to print
        got = object.__repr__(value)
    if len(got) > 200:
        got = got[:200] + "..."
    raise error(f"{field} must be {rule}, got {got}" + (f"; {fix}" if fix else ""))


def number(
    field: str,
    value: Any,
    *,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    below: float | None = None,
    fix: str = "",
) -> float:
    """Return ``value`` as a float; raise if it is not finite or outside the bounds."""
    rule = "a finite number"
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        if type(value).__module__.partition(".")[0] in ("jax", "jaxlib"):
            fix = "pass a Python number, or peak 1 and tx.with_factor(state, peak) in JAX"
        fail(field, rule, value, fix, TypeError)
    try:
        result = float(value)
    except OverflowError:
        result = math.inf
    bounds = (
        (at_least, "at least", operator.ge),
        (above, "above", operator.gt),
        (at_most, "at most", operator.le),
        (below, "below", operator.lt),
    )
    checks = [(bound, word, compare) for bound, word, compare in bounds if bound is not None]
    if checks:
        rule = "a number " + " and ".join(f"{word} {bound:g}" for bound, word, _ in checks)
    if not math.isfinite(result) or not all(compare(result, bound) for bound, _, compare in checks):
        fail(field, rule, value, fix)
    return result


def integer(field: str, value: Any, *, at_least: int = 1, unit: str = "", fix: str = "") -> int:
    """Return ``value`` as an int; raise if it is not an integer or below ``at_least``."""
    rule = f"an integer{f' number of {unit}' if unit else ''} >= {at_least}"
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        fail(field, rule, value, fix, TypeError)
    if value < at_least:
        fail(field, rule, value, fix)
    if unit == "steps" and int(value) > LAST:
        fail(field, "below 2**31 steps, which frameworks count in int32", value)
    if int(value) > MOST:
        fail(field, "at most 2**53, the largest exact float", value)
    return int(value)


def check_path(field: str, value: Any, rule: str) -> None:
    """Raise unless ``value`` is a str or a path."""
    if not isinstance(value, str | os.PathLike):
        fail(field, rule, value, error=TypeError)


def read_text(field: str, path: str | os.PathLike[str]) -> str:
    """Return the text of a UTF-8 file, without a byte order mark; raise if it cannot be read."""
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        reason = f"line {line} has the byte 0x{error.object[error.start]:02x}"
        fail(field, "a file in UTF-8", os.fspath(path), reason)
    except OSError as error:
        fail(field, "a file that can be read", os.fspath(path), str(error.strerror))
    except ValueError as error:  # a null character
        fail(field, "a file that can be read", os.fspath(path), str(error))


def ordered(low_field: str, low: float, high_field: str, high: float) -> None:
    """Raise unless ``low <= high``."""
    if low > high:
        fail(low_field, f"at most {high_field} ({high:g})", low)


def one_of(field: str, value: Any, known: Iterable[str], fix: str = "") -> str:
    """Return ``value`` if it is a known name; otherwise raise and suggest the nearest names."""
    names = list(known)
    if isinstance(value, str) and value in names:
        return value
    text = value[:100] if isinstance(value, str) else ""
    near = difflib.get_close_matches(text, names, n=3, cutoff=0.6)
    if not near and len(text) > 2:  # such as "rel" for "relative"
        near = [name for name in names if name.startswith(text)][:3]
    hint = "did you mean " + " or ".join(near) + "?" if near else fix
    fail(field, "one of " + ", ".join(names), value, hint)
