"""The ``repr`` of a schedule: the Python code that constructs it, without defaults."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lehr.schedule.base import Schedule

SUM, PRODUCT, NEGATIVE, POWER, PRIMARY = range(5)
Code = tuple[str, int]
"""Source text and its operator precedence."""


def call(name: str, *arguments: Any, **keywords: tuple[Any, Any]) -> Code:
    """Return the code of a call; trailing None and keywords with default values are omitted.

    >>> call("cosine", 0.1, None, floor=(0.0, 0.0), power=(2.0, 1.0))[0]
    'cosine(0.1, power=2.0)'
    """
    positional = [*arguments]
    while positional and positional[-1] is None:
        positional.pop()
    texts = [repr(value) for value in positional]
    texts += [f"{k}={value!r}" for k, (value, default) in keywords.items() if value != default]
    return f"{name}({', '.join(texts)})", PRIMARY


def method(part: Schedule, name: str, *arguments: Any, **keywords: tuple[Any, Any]) -> Code:
    """Return the code of a method call on a schedule."""
    return call(f"{within(part, PRIMARY)}.{name}", *arguments, **keywords)


def within(part: Schedule, binding: int) -> str:
    """Return the code of an operand, in parentheses if its precedence is below ``binding``."""
    text, own = part._code()
    return text if own >= binding else f"({text})"


def operand(part: Schedule, binding: int, *, number: bool) -> str:
    """Return the code of an operand; if ``number``, a constant is written as a number."""
    from lehr.schedule.shapes import Constant

    if number and isinstance(part, Constant) and part.value is not None:
        text = repr(part.value)
        return f"({text})" if text.startswith("-") and binding > NEGATIVE else text
    return within(part, binding)
