"""An immutable dict, which can be hashed, copied and pickled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn, Self, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class FrozenDict(dict[K, V]):
    """A dict that cannot be changed.

    It equals a dict with the same entries, in any order.

    Raises:
        TypeError: if it is changed.

    >>> FrozenDict(a=1) | {"b": 2}
    {'a': 1, 'b': 2}
    """

    def _refuse(self, *arguments: Any, **named: Any) -> NoReturn:
        raise TypeError("an immutable dict cannot be changed; make a new one: {**old, key: value}")

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))

    def __or__(self, other: Mapping[Any, Any]) -> FrozenDict[Any, Any]:
        return FrozenDict({**self, **other}) if isinstance(other, Mapping) else NotImplemented

    def __reduce__(self) -> tuple[type[Self], tuple[dict[K, V]]]:
        return type(self), (dict(self),)

    def copy(self) -> Self:
        """Return this dict, which cannot change."""
        return self
