"""Policies as people type them: JSON, a file, a number, or ``warmup(0.1, 5%) then cosine(0.1)``.

The text is parsed, never evaluated::

    policy   = call ("then" call)*  |  number
    call     = name "(" [argument ("," argument)*] ")"
    argument = [name "="] (number | length | word)
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lehr.policy import Policy, as_policy, loads, one_cycle
from lehr.schedule import presets
from lehr.schedule.base import Schedule
from lehr.schedule.errors import fail, one_of

_NOT_TYPED = {"from_function", "multi_step", "piecewise", "table"}  # they take lists or functions
_FUNCTIONS = {name: getattr(presets, name) for name in presets.__all__} | {"one_cycle": one_cycle}
PRESETS: dict[str, Callable[..., Policy | Schedule]] = {
    name.replace("_", "-"): _FUNCTIONS[name] for name in sorted(_FUNCTIONS.keys() - _NOT_TYPED)
}

_CALL = re.compile(r"\s*([A-Za-z][\w-]*)\s*\(([^()]*)\)\s*")
_EXAMPLE = "write for instance 'one-cycle(peak=0.05)' or 'warmup(0.1, 5%) then cosine(0.1)'"


def parse_policy(text: str) -> Policy:
    """Return the policy that a text stands for: JSON, a file of it, a number, or a short form.

    Raises:
        ValueError: if it is none of these; unknown names are answered with the nearest.

    >>> parse_policy("warmup(0.1, 5%) then cosine(0.1)").lr.parts[0].steps
    '5%'
    >>> parse_policy("one-cycle(peak=0.05)") == one_cycle(0.05)
    True
    """
    text = text.strip()
    if text.startswith("{"):
        return _from_json(text)
    if text.endswith(".json") or _is_file(text):
        try:
            return _from_json(Path(text).read_text(encoding="utf-8"))
        except OSError as error:
            fail("policy", "a file that can be read", text, str(error.strerror))
    number = _number(text)
    if number is not None:
        return as_policy(number)
    parts = [_call(part) for part in re.split(r"\bthen\b", text)]
    policy = parts[0]
    for part in parts[1:]:
        if not isinstance(policy, Schedule) or not isinstance(part, Schedule):
            fail("policy", "made of schedules where it has 'then'", text, "one-cycle stands alone")
        policy = policy.then(part)
    return as_policy(policy)


def _is_file(text: str) -> bool:
    try:
        return bool(text) and Path(text).is_file()
    except OSError:  # longer than a file name can be
        return False


def _from_json(text: str) -> Policy:
    value = loads(text)
    if not isinstance(value, Policy | Schedule):
        fail("policy", "a policy or a schedule", value)
    return as_policy(value)


def _call(text: str) -> Policy | Schedule:
    match = _CALL.fullmatch(text)
    if match is None:
        fail("policy", "JSON, a file, a number or a short form", text.strip(), _EXAMPLE)
    name = one_of("policy", match[1].replace("_", "-"), PRESETS)
    positional: list[Any] = []
    named: dict[str, Any] = {}
    signature = inspect.signature(PRESETS[name])
    for argument in filter(None, (part.strip() for part in match[2].split(","))):
        key, equals, value = argument.rpartition("=")
        if equals:
            named[one_of(f"argument of {name}", key.strip(), signature.parameters)] = typed(value)
        elif named:
            fail(f"argument of {name}", "named after the first named one", argument)
        else:
            positional.append(typed(value))
    try:
        signature.bind(*positional, **named)
    except TypeError as error:
        fail("policy", f"a call of {name}{signature}", text.strip(), str(error))
    return PRESETS[name](*positional, **named)


def typed(value: Any) -> Any:
    """Return what a word stands for: None, a number, a text; what is no word stays as it is.

    >>> typed("1e-3"), typed("5%"), typed(7)
    (0.001, '5%', 7)
    """
    if not isinstance(value, str):
        return value
    text = value.strip().strip("'\"")
    if text.lower() == "none":
        return None
    number = _number(text)
    return text if number is None else number


def _number(text: str) -> int | float | None:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return None
