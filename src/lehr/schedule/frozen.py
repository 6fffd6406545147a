"""An immutable dict for the fields of frozen dataclasses."""

from __future__ import annotations

from typing import Any, NoReturn, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class FrozenDict(dict[K, V]):
    """An immutable dict that can be hashed, copied and pickled.

    Raises:
        TypeError: if an item is set or deleted.

    >>> rates = FrozenDict({"head": 0.1, "body": 0.01})
    >>> hash(rates) == hash(FrozenDict({"body": 0.01, "head": 0.1}))
    True
    >>> rates
    {'head': 0.1, 'body': 0.01}
    """

    def _reject(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError("this dict must not be changed; change a copy made by dict(...)")

    __setitem__ = __delitem__ = __ior__ = _reject
    clear = pop = popitem = setdefault = update = _reject

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))

    def __reduce__(self) -> tuple[Any, ...]:
        return FrozenDict, (dict(self),)
