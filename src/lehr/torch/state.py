"""The state that the next update depends on: found by traversal, copied, and restored in place."""

from __future__ import annotations

import collections
import enum
import fractions
import functools
import logging
import numbers
import pathlib
import random
import re
import types
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lehr.schedule.errors import fail

# Types without a state that an update changes.
_CONSTANTS: tuple[type, ...] = (
    *(type(None), numbers.Number, str, bytes, range, slice, type(Ellipsis), type(NotImplemented)),
    *(type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType, types.CodeType),
    *(types.MethodWrapperType, types.WrapperDescriptorType, types.MethodDescriptorType),
    *(types.GenericAlias, property, staticmethod, classmethod, enum.Enum, fractions.Fraction),
    *(re.Pattern, pathlib.PurePath, logging.Logger, random.SystemRandom),
    *(np.generic, np.dtype, np.ufunc, torch.dtype, torch.device, torch.Size, torch.layout),
    *(torch.memory_format, weakref.ReferenceType, weakref.WeakKeyDictionary, weakref.WeakSet),
    weakref.WeakValueDictionary,
)
_CONSTANT_MODULES = (
    *("_thread.", "threading.", "_io.", "operator.", "typing."),
    *("torch._C.", "torch.distributed.distributed_c10d."),  # loggers, process groups
)


class TrainingState:
    """A copy of everything that the next update depends on, which is restored in place.

    The traversal starts at the roots and follows attributes, slots, dicts, lists, sets, tuples,
    ``functools.partial`` and bound methods. It copies tensors, NumPy arrays and the states of
    random generators, and records the entries of each container and the gradient of each tensor.
    Gradients are not copied: set them to None before the first backward pass.

    Args:
        roots: models, optimizers and scalers by name; the names are used in errors.
        folder: store the copied tensors in a file in this folder; None: in memory.
        skip_unknown: ignore objects of a type that cannot be restored instead of raising.

    Raises:
        TypeError: if an object has a type that cannot be restored, such as an iterator.
        ValueError: if a parameter is lazy and not initialized.

    >>> model = torch.nn.Linear(1, 1)
    >>> state = TrainingState({"model": model})
    >>> with torch.no_grad():
    ...     _ = model.weight.zero_()
    >>> state.restore()
    >>> bool(model.weight == 0)
    False
    """

    def __init__(
        self, roots: dict[str, Any], folder: Path | None = None, *, skip_unknown: bool = False
    ) -> None:
        self._skip_unknown = skip_unknown
        self._seen: dict[int, Any] = {}  # refers to the objects, so that no id is reused
        self._tensors: list[tuple[Tensor, Tensor]] = []  # each with an alias of its data
        self._undo: list[Callable[[], Any]] = []
        for path, value in self._reachable(roots):
            self._record(path, value)
        aliases = [_distinct(alias) for _, alias in self._tensors]
        self._file = None if folder is None else folder / "state.pt"
        if self._file is None:
            self._copies = [alias.clone() for alias in aliases]
        else:
            torch.save(aliases, self._file)

    def restore(self) -> None:
        """Restore every object; tensors keep their addresses."""
        for undo in self._undo:
            undo()
        copies = self._copies if self._file is None else _load(self._file)
        with torch.no_grad():
            for (tensor, alias), copied in zip(self._tensors, copies, strict=True):
                if alias.layout is not torch.strided:  # sparse: an operation replaces the data
                    tensor.copy_(copied)
                    continue
                if tensor.data_ptr() != alias.data_ptr() or tensor.shape != alias.shape:
                    tensor.data = alias  # an update replaced the data
                _distinct(alias).copy_(copied)

    def _reachable(self, roots: dict[str, Any]) -> Iterator[tuple[str, Any]]:
        """Yield each object that the roots refer to once, with its path."""
        stack = [*reversed(roots.items())]
        while stack:
            path, value = stack.pop()
            if id(value) not in self._seen and not _is_constant(value):
                self._seen[id(value)] = value
                yield path, value
                stack += reversed([*_parts(path, value)])

    def _record(self, path: str, value: Any) -> None:
        """Record how one object is restored, without its parts."""
        restore: Callable[[], Any] | None = None
        kind: Any
        if isinstance(value, Tensor):
            if torch.nn.parameter.is_lazy(value):
                fix = "call the model with one batch first"
                fail(path, "an initialized parameter", type(value).__name__, fix)
            self._tensors.append((value, value.detach()))
            restore = functools.partial(setattr, value, "grad", value.grad)
        elif isinstance(value, np.ndarray):
            if value.flags.writeable:
                restore = functools.partial(np.copyto, value, value.copy())
        elif isinstance(value, random.Random):
            restore = functools.partial(value.setstate, value.getstate())
        elif isinstance(value, np.random.Generator):
            bits = value.bit_generator
            restore = functools.partial(setattr, bits, "state", bits.state)
        elif isinstance(value, torch.Generator | np.random.RandomState):
            generator: Any = value
            restore = functools.partial(generator.set_state, generator.get_state())
        elif isinstance(value, dict):
            kind = collections.OrderedDict if isinstance(value, collections.OrderedDict) else dict
            restore = functools.partial(_set_entries, value, kind, [*kind.items(value)])
        elif isinstance(value, set):
            restore = functools.partial(_set_members, value, set(value))
        elif isinstance(value, list | collections.deque):
            kind = list if isinstance(value, list) else collections.deque
            restore = functools.partial(_set_items, value, kind, [*value])
        elif slots := _slots(value):
            restore = functools.partial(_set_slots, value, slots)
        elif self._skip_unknown or isinstance(value, _GROUPS) or hasattr(value, "__dict__"):
            pass
        else:
            rule = "an object whose state can be restored (tensors, numbers, containers of these)"
            fail(path, rule, type(value).__name__, error=TypeError)
        if restore is not None:
            self._undo.append(restore)


_GROUPS = (tuple, frozenset, functools.partial, types.MethodType)


def _parts(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the objects that an object refers to, with their paths."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield f"{path}[{'tensor' if isinstance(key, Tensor) else repr(key)}]", part
            if isinstance(key, Tensor):
                yield f"a key of {path}", key
    elif isinstance(value, tuple | frozenset | set | list | collections.deque):
        yield from ((f"{path}[{i}]", part) for i, part in enumerate(value))
    elif isinstance(value, functools.partial):
        yield from ((path, value.func), (path, value.args), (path, value.keywords))
    elif isinstance(value, types.MethodType):
        yield path, value.__self__
    if isinstance(value, torch.nn.Module):
        yield from ((f"{path}.{name}", part) for name, part in value.named_parameters())
        yield from ((f"{path}.{name}", part) for name, part in value.named_buffers())
    if hasattr(value, "__dict__") and not isinstance(value, torch.jit.ScriptModule):
        yield from ((f"{path}.{name}", part) for name, part in vars(value).items())
        # the dict too, so that attributes which updates add are removed
        yield f"{path}.__dict__", vars(value)
    yield from ((f"{path}.{name}", part) for name, part in _slots(value).items())


def _is_constant(value: Any) -> bool:
    module = f"{type(value).__module__}."
    in_module = module.startswith(_CONSTANT_MODULES) and not isinstance(value, torch.Generator)
    return in_module or isinstance(value, _CONSTANTS)


def _slots(value: Any) -> dict[str, Any]:
    names: list[str] = []
    for kind in type(value).__mro__:
        slots = vars(kind).get("__slots__", ())
        names += [slots] if isinstance(slots, str) else slots
    return {n: getattr(value, n) for n in names if n[:2] != "__" and hasattr(value, n)}


# The methods of the base classes: subclasses may reject changes, as transformers' ModelOutput and
# the dicts of a Policy do. Unchanged containers are not modified.


def _set_entries(container: Any, kind: Any, entries: list[tuple[Any, Any]]) -> None:
    if not _same_items([*kind.items(container)], entries):
        kind.clear(container)
        for key, value in entries:
            kind.__setitem__(container, key, value)


def _set_members(container: Any, members: set[Any]) -> None:
    if container != members:
        set.clear(container)
        set.update(container, members)


def _set_items(container: Any, kind: Any, items: list[Any]) -> None:
    if len(container) != len(items) or any(a is not b for a, b in zip(container, items)):  # noqa: B905
        kind.clear(container)
        kind.extend(container, items)


def _same_items(one: list[tuple[Any, Any]], two: list[tuple[Any, Any]]) -> bool:
    pairs = zip(one, two)  # noqa: B905
    return len(one) == len(two) and all(a[0] is b[0] and a[1] is b[1] for a, b in pairs)


def _distinct(tensor: Tensor) -> Tensor:
    """Return a view with each element once: an expanded tensor cannot be written."""
    if tensor.layout is torch.strided:
        for dim, stride in enumerate(tensor.stride()):
            if stride == 0 and tensor.shape[dim] > 1:
                tensor = tensor.narrow(dim, 0, 1)
    return tensor


def _set_slots(value: Any, attributes: dict[str, Any]) -> None:
    for name, attribute in attributes.items():
        object.__setattr__(value, name, attribute)  # also of a frozen dataclass


def _load(path: Path) -> list[Tensor]:
    # mapped: the copies are read one after the other, and never on an accelerator
    copies: list[Tensor] = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    return copies
