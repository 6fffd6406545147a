"""The text of a schedule: the Python that makes it, without defaults."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lehr.schedule.base import Schedule

SUM, PRODUCT, NEGATIVE, POWER, PRIMARY = range(5)
Code = tuple[str, int]
"""A text and how strongly it binds."""


def call(name: str, *arguments: Any, **keywords: tuple[Any, Any]) -> Code:
    """Return a call without a trailing None and without keywords that have their default.

    >>> call("cosine", 0.1, None, floor=(0.0, 0.0), power=(2.0, 1.0))[0]
    'cosine(0.1, power=2.0)'
    """
    given = [*arguments]
    while given and given[-1] is None:
        given.pop()
    texts = [repr(value) for value in given]
    texts += [f"{k}={value!r}" for k, (value, default) in keywords.items() if value != default]
    return f"{name}({', '.join(texts)})", PRIMARY


def method(part: Schedule, name: str, *arguments: Any, **keywords: tuple[Any, Any]) -> Code:
    """Return a method call on the text of a schedule."""
    return call(f"{within(part, PRIMARY)}.{name}", *arguments, **keywords)


def within(part: Schedule, binding: int) -> str:
    """Return the text of an operand, in brackets where it binds more loosely."""
    text, own = part._code()
    return text if own >= binding else f"({text})"


def operand(part: Schedule, binding: int, *, number: bool) -> str:
    """Return the text of an operand of an operator; a constant is a number where allowed."""
    from lehr.schedule.shapes import Constant

    if number and isinstance(part, Constant) and part.value is not None:
        text = repr(part.value)
        return f"({text})" if text.startswith("-") and binding > NEGATIVE else text
    return within(part, binding)
