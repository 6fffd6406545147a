"""The state that the next update depends on: found by traversal, copied, and restored in place.

`TrainingState` is the copy in memory; `lehr.torch.saved` converts the state to arrays and JSON.
"""

from __future__ import annotations

import collections
import enum
import fractions
import functools
import itertools
import logging
import numbers
import pathlib
import random
import re
import types
import weakref
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim import Optimizer

from lehr.finder.rng import generators, set_generators
from lehr.schedule.errors import fail
from lehr.torch._private import is_hooks

SCALARS = (type(None), bool, int, float, str)

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
        # with the data, which an update may replace, and the gradient
        self._tensors: list[tuple[Tensor, Tensor, Tensor | None]] = []
        self._undo: list[Callable[[], Any]] = []
        for path, value in walk(roots):
            if isinstance(value, Tensor):
                check_initialized(path, value)
                grad = value.grad if value.is_leaf else None
                self._tensors.append((value, value.detach(), grad))
                if value.is_leaf:
                    self._undo.append(functools.partial(_set_flag, value, value.requires_grad))
            elif kind := kind_of(path, value, skip_unknown):
                self._undo.append(functools.partial(kind.set, value, kind.get(value)))
        aliases = [distinct(data, data) for _, data, _ in self._tensors]
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
            for (tensor, data, grad), copied in zip(self._tensors, copies, strict=True):
                if data.layout is not torch.strided:  # sparse: an operation replaces the data
                    tensor.copy_(copied)
                else:
                    if tensor.data_ptr() != data.data_ptr() or tensor.shape != data.shape:
                        tensor.data = data  # an update replaced the data
                    distinct(data, data).copy_(copied)
                if tensor.is_leaf:
                    tensor.grad = grad


def walk(roots: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield each object that the roots refer to once, with its path; numbers and text excluded."""
    seen: dict[int, tuple[str, Any]] = {}  # refers to the objects, so that no id is reused
    stack = [*reversed(roots.items())]
    while stack:
        path, value = stack.pop()
        if type(value) not in SCALARS and id(value) not in seen:
            seen[id(value)] = path, value
            yield path, value
            if not is_constant(value):
                stack += reversed([*_parts(path, value, seen)])


def _parts(path: str, value: Any, seen: dict[int, tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    """Yield the objects that an object refers to, with their paths."""
    if is_hooks(path, value):  # their keys differ between processes
        yield from ((f"{path}[{i}]", part) for i, part in enumerate(value.values()))
    elif isinstance(value, dict):
        for i, (key, part) in enumerate(value.items()):
            yield f"{path}[{_key_name(i, key, seen)}]", part
            yield f"key {i} of {path}", key
    elif isinstance(value, set | frozenset):
        yield from ((f"a member of {path}", part) for part in value)
    elif isinstance(value, tuple | list | collections.deque):
        yield from ((f"{path}[{i}]", part) for i, part in enumerate(value))
    elif isinstance(value, functools.partial):
        yield from ((f"{path}.{name}", getattr(value, name)) for name in _PARTIAL)
    elif isinstance(value, types.MethodType):
        yield f"{path}.__self__", value.__self__
    # first, so that modules and parameters have short names
    if isinstance(value, torch.nn.Module):
        yield from ((f"{path}.{name}", part) for name, part in value.named_children())
        yield from ((f"{path}.{name}", part) for name, part in value.named_parameters("", False))
        yield from ((f"{path}.{name}", part) for name, part in value.named_buffers("", False))
    elif isinstance(value, Optimizer):
        yield f"{path}.param_groups", value.param_groups
    if hasattr(value, "__dict__") and not isinstance(value, torch.jit.ScriptModule):
        yield from ((f"{path}.{name}", part) for name, part in vars(value).items())
        # the dict too, so that attributes which updates add are removed
        yield f"{path}.__dict__", vars(value)
    yield from ((f"{path}.{name}", part) for name, part in _slots(value).items())


def _key_name(i: int, key: Any, seen: dict[int, tuple[str, Any]]) -> str:
    """Return the name of a dict entry; a key may be an object or the id of an object."""
    if found := seen.get(key if type(key) is int else id(key)):
        return found[0]
    return repr(key) if type(key) in SCALARS else f"key {i}"


def is_constant(value: Any) -> bool:
    """Return whether updates cannot change an object."""
    module = f"{type(value).__module__}."
    in_module = module.startswith(_CONSTANT_MODULES) and not isinstance(value, torch.Generator)
    return in_module or isinstance(value, _CONSTANTS)


class GlobalGenerators:
    """The global random generators of Python, NumPy and torch."""

    __slots__ = ()


@dataclass(frozen=True)
class Kind:
    """How the contents of an object are copied, without its parts, and set."""

    types: Any
    get: Callable[[Any], Any]
    set: Callable[[Any, Any], Any]


def kind_of(path: str, value: Any, skip_unknown: bool = False) -> Kind | None:
    """Return the kind of an object; None if only its parts change.

    Raises:
        TypeError: if the object may have a state that cannot be restored, without skip_unknown.
    """
    if is_constant(value) or is_hooks(path, value):
        return None
    for kind in _KINDS:
        if isinstance(value, kind.types):
            return kind
    if _slots(value):
        return _SLOTTED
    if not (skip_unknown or isinstance(value, _GROUPS) or hasattr(value, "__dict__")):
        rule = "an object whose state can be restored (tensors, numbers, containers of these)"
        fail(path, rule, type(value).__name__, error=TypeError)
    return None


def check_initialized(path: str, tensor: Tensor) -> None:
    """Raise ValueError for a lazy parameter that is not initialized."""
    if torch.nn.parameter.is_lazy(tensor):
        fix = "call the model with one batch first"
        fail(path, "an initialized parameter", type(tensor).__name__, fix)


_END = object()
_GROUPS = (tuple, frozenset, functools.partial, types.MethodType)
_PARTIAL = ("func", "args", "keywords")


def _slots(value: Any) -> dict[str, Any]:
    names: list[str] = []
    for kind in type(value).__mro__:
        slots = vars(kind).get("__slots__", ())
        names += [slots] if isinstance(slots, str) else slots
    return {n: getattr(value, n) for n in names if n[:2] != "__" and hasattr(value, n)}


# The methods of the base classes: subclasses may reject changes, as transformers' ModelOutput and
# the dicts of a Policy do. Unchanged containers are not modified.


def _entries(base: Any) -> Kind:
    return Kind(
        base, lambda d: [[*entry] for entry in base.items(d)], functools.partial(_set_entries, base)
    )


def _items(base: Any) -> Kind:
    return Kind(base, list, functools.partial(_set_items, base))


def _set_entries(base: Any, container: Any, entries: list[Any]) -> None:
    if not _same(base.items(container), entries):
        base.clear(container)
        for key, value in entries:
            base.__setitem__(container, key, value)


def _set_members(container: Any, members: list[Any]) -> None:
    if container != set(members):
        set.clear(container)
        set.update(container, members)


def _set_items(base: Any, container: Any, items: list[Any]) -> None:
    if not _same([container], [items]):
        base.clear(container)
        base.extend(container, items)


def _same(some: Iterable[Any], others: Iterable[Any]) -> bool:
    """Return whether lists of lists have the same objects; numbers and text are compared."""
    pairs = itertools.zip_longest(
        itertools.chain.from_iterable(some), itertools.chain.from_iterable(others), fillvalue=_END
    )
    return all(a is b or (type(a) in SCALARS and repr(a) == repr(b)) for a, b in pairs)


def _set_array(array: Any, copied: Any) -> None:
    if array.flags.writeable:
        array[...] = copied


def _set_slots(value: Any, attributes: list[Any]) -> None:
    for name, attribute in attributes:
        object.__setattr__(value, name, attribute)  # also of a frozen dataclass


_KINDS = (
    Kind(np.ndarray, np.copy, _set_array),
    Kind(random.Random, lambda g: g.getstate(), lambda g, state: g.setstate(state)),
    Kind(
        np.random.Generator,
        lambda g: g.bit_generator.state,
        lambda g, state: setattr(g.bit_generator, "state", state),
    ),
    Kind(np.random.RandomState, lambda g: g.get_state(), lambda g, state: g.set_state(state)),
    Kind(
        torch.Generator,
        lambda g: g.get_state().numpy(),
        lambda g, state: g.set_state(torch.from_numpy(state)),
    ),
    Kind(GlobalGenerators, lambda _: generators(), lambda _, states: set_generators(states)),
    _entries(collections.OrderedDict),
    _entries(dict),
    Kind(set, list, _set_members),
    _items(list),
    _items(collections.deque),
)
_SLOTTED = Kind(object, lambda value: [[*slot] for slot in _slots(value).items()], _set_slots)


def _set_flag(tensor: Tensor, requires_grad: bool) -> None:
    if tensor.is_leaf and tensor.requires_grad != requires_grad:
        tensor.requires_grad_(requires_grad)


def distinct(tensor: Tensor, like: Tensor) -> Tensor:
    """Return a view with each element once: an expanded tensor, as ``like``, cannot be written."""
    if like.layout is torch.strided:
        for dim, stride in enumerate(like.stride()):
            if stride == 0 and like.shape[dim] > 1:
                tensor = tensor.narrow(dim, 0, 1)
    return tensor


def _load(path: Path) -> list[Tensor]:
    # mapped: the copies are read one after the other, and never on an accelerator
    copies: list[Tensor] = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    return copies
