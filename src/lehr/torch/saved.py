"""The training state as arrays and JSON, which another process can restore."""

from __future__ import annotations

import collections
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import Module, Parameter
from torch.optim import Optimizer

from lehr.learner import Snapshot
from lehr.schedule.errors import fail
from lehr.torch.state import SCALARS, check_initialized, distinct, is_constant, kind_of, walk

_RULE = "a tensor, number, text or container of these, or exist when the learner is constructed"
_SAME = "one of a learner with the same model and optimizer"

# Types of objects that updates create. A restore creates them too; all others must exist.
_CONTAINERS = (dict, collections.OrderedDict, list, set)
_CREATED = (*_CONTAINERS, collections.deque, np.ndarray, Tensor)

_NUMPY = (
    *(torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64),
    *(torch.float16, torch.float32, torch.float64, torch.complex64, torch.complex128),
)
_INTEGERS = {
    1: torch.uint8,
    2: torch.int16,
    4: torch.int32,
    8: torch.int64,
}  # by size: bfloat16 ...

# Immutable values: the name in JSON, the type, and the conversions to and from JSON.
_VALUES: tuple[tuple[str, type, Callable[[Any], Any], Callable[[Any], Any]], ...] = (
    ("bytes", bytes, bytes.hex, bytes.fromhex),
    ("complex", complex, str, complex),
    ("dtype", torch.dtype, lambda v: str(v).removeprefix("torch."), lambda v: getattr(torch, v)),
    ("size", torch.Size, list, torch.Size),
)


class SavedState:
    """Convert everything that the next update depends on to arrays and JSON, and restore it.

    Objects are identified by their paths from the roots, such as ``model.0.weight``. Objects that
    exist now keep their paths, and are restored in place. Tensors, arrays and containers that
    updates create are created by the restore. Functions, classes and hooks are not saved.

    Args:
        roots: models, optimizers and others by name.
        device: device of restored tensors that were not saved from the CPU.
    """

    def __init__(self, roots: dict[str, Any], device: torch.device) -> None:
        self._device = device
        self._first = dict(walk(roots))  # refers to the objects, so that no id is reused
        self._layout = {
            path: _layout(value)
            for path, value in self._first.items()
            if isinstance(value, Parameter | Module | Optimizer)
        }

    def snapshot(self, roots: dict[str, Any]) -> Snapshot:
        """Return the state as arrays and JSON.

        Raises:
            TypeError: if an object cannot be saved, or an update created it and a restore cannot.
            ValueError: if a parameter is lazy and not initialized.
        """
        walked = [*walk(roots)]
        packer = _Packer(self._named(walked), {id(value): path for path, value in walked})
        first = {id(value) for value in self._first.values()}
        tensors: list[tuple[str, Tensor, bool]] = []
        objects: dict[str, Any] = {}
        for path, value in walked:
            if is_constant(value) or type(value) in (tuple, frozenset):
                continue  # saved with the object that refers to it
            # members of sets have no order, and hence no name in another process
            if id(value) not in first and (type(value) not in _CREATED or path.startswith("a ")):
                fail(path, _RULE, type(value).__name__, error=TypeError)
            contents = packer.contents(path, value)
            if isinstance(value, Tensor):
                tensors.append((path, value, id(value) in first))
            if contents is not None:
                objects[packer.names[id(value)]] = [type(value).__name__, contents]
        _check_memory(tensors)
        return Snapshot(packer.arrays, {"layout": self._layout, "objects": objects})

    def restore(self, roots: dict[str, Any], snapshot: Snapshot) -> None:
        """Restore the state of a snapshot.

        Raises:
            ValueError: if the snapshot is of another model or optimizer, or of another version of
                lehr. Nothing is modified.
        """
        objects, layout = (snapshot.metadata.get(name) for name in ("objects", "layout"))
        if objects is None or layout is None:
            fix = "train again, or install the version of lehr that saved it"
            fail("snapshot", "saved by this version of lehr", sorted(snapshot.metadata), fix)
        if layout != self._layout:
            names = dict.fromkeys([*layout, *self._layout])
            fail("snapshot", _SAME, [n for n in names if layout.get(n) != self._layout.get(n)][:3])
        named = self._named([*walk(roots)])
        for name, (kind, contents) in objects.items():
            if name not in named or not _matches(named[name], kind, contents):
                named[name] = self._created(name, kind, contents)
        unpacker = _Unpacker(named, snapshot.arrays, self._device)
        changes = [(named[n], unpacker.contents(n, packed)) for n, (_, packed) in objects.items()]
        for value, contents in changes:
            if isinstance(value, Tensor):
                _set_tensor(value, **contents)
            elif kind := kind_of("", value):
                kind.set(value, contents)

    def _created(self, name: str, kind: str, packed: Any) -> Any:
        """Return a new object, without its contents."""
        if kind == "Tensor":
            device = "cpu" if packed["device"] == "cpu" else self._device
            return torch.empty(0, dtype=getattr(torch, packed["dtype"]), device=device)
        if kind == "ndarray":
            return np.empty(packed["shape"], packed["dtype"])
        if kind == "deque":
            return collections.deque(maxlen=packed["maxlen"])
        for each in _CONTAINERS:
            if kind == each.__name__:
                return each()
        fail("snapshot", _SAME, name)

    def _named(self, walked: list[tuple[str, Any]]) -> dict[str, Any]:
        """Return the first objects, and those that were created since, by unique names."""
        named, first = dict(self._first), {id(value) for value in self._first.values()}
        for path, value in walked:
            if id(value) not in first and not is_constant(value):
                while path in named:  # an update replaced the object at this path
                    path += "'"
                named[path] = value
        return named


class _Packer:
    """Conversion of contents to JSON; large data is copied into ``arrays``."""

    def __init__(self, named: dict[str, Any], paths: dict[int, str]) -> None:
        self.names, self.paths = {id(value): name for name, value in named.items()}, paths
        self.arrays: dict[str, Any] = {}

    def contents(self, path: str, value: Any) -> Any:
        """Return the contents of an object; None if it has none."""
        kind = kind_of(path, value)
        if isinstance(value, Tensor):
            return self._tensor(path, value)
        if isinstance(value, np.ndarray) and not value.dtype.hasobject:
            self.arrays[self.names[id(value)]] = np.array(value)
            return {"dtype": value.dtype.str, "shape": list(value.shape)}
        if kind is None:
            return None
        contents = self._packed(path, kind.get(value))
        if isinstance(value, set):
            return _sorted(contents)
        if isinstance(value, collections.deque):
            return {"maxlen": value.maxlen, "items": contents}
        return contents

    def _tensor(self, path: str, tensor: Tensor) -> dict[str, Any]:
        check_initialized(path, tensor)
        dense = tensor.layout is torch.strided and not tensor.is_quantized
        if type(tensor) not in (Tensor, Parameter) or not dense:
            kind = f"{type(tensor).__name__}, {tensor.layout}, {tensor.dtype}"
            fail(path, "a dense torch.Tensor", kind, error=TypeError)
        host = tensor.detach().cpu().resolve_conj().resolve_neg()
        if tensor.dtype not in _NUMPY:
            host = host.view(_INTEGERS[host.element_size()])
        self.arrays[self.names[id(tensor)]] = np.array(host.numpy())
        return {
            "dtype": str(tensor.dtype).removeprefix("torch."),
            "shape": list(tensor.shape),
            "stride": _strides(tensor),
            "device": tensor.device.type,
            "requires_grad": tensor.is_leaf and tensor.requires_grad,
        }

    def _packed(self, path: str, value: Any) -> Any:
        """Convert a value to JSON: objects that are saved by name, others by value."""
        if type(value) in SCALARS:
            # optimizers have dicts with the ids of parameters as keys
            is_id = type(value) is int and value in self.names
            return {"id": self.names[value]} if is_id else value
        for name, kind, to_json, _ in _VALUES:
            if type(value) is kind:
                return {name: to_json(value)}
        if isinstance(value, torch.device):
            return {"device": value.type}
        if isinstance(value, np.generic) and not value.dtype.hasobject:
            return {"array": [value.dtype.str, None, value.tobytes().hex()]}
        if type(value) in (tuple, frozenset):
            parts = [self._packed(path, part) for part in value]
            return {type(value).__name__: parts if type(value) is tuple else _sorted(parts)}
        if id(value) in self.names:
            return {"object": self.names[id(value)]}
        # the lists of `Kind.get`, and the states of generators
        if isinstance(value, np.ndarray) and not value.dtype.hasobject:
            return {"array": [value.dtype.str, list(value.shape), value.tobytes().hex()]}
        if type(value) is list:
            return [self._packed(path, part) for part in value]
        if type(value) is dict:
            return {"dict": [[key, self._packed(path, part)] for key, part in value.items()]}
        fail(self.paths.get(id(value), path), _RULE, type(value).__name__, error=TypeError)


class _Unpacker:
    """The inverse of `_Packer`."""

    def __init__(self, named: dict[str, Any], arrays: dict[str, Any], device: torch.device) -> None:
        self.named, self.arrays, self.device = named, arrays, device

    def contents(self, name: str, packed: Any) -> Any:
        """Return the contents for ``Kind.set``, or the arguments of `_set_tensor`."""
        value = self.named[name]
        if isinstance(value, Tensor):
            array = np.require(self.arrays[name], None, "W")
            data = torch.from_numpy(array).view(getattr(torch, packed["dtype"]))
            return {"data": data, **{key: packed[key] for key in ("stride", "requires_grad")}}
        if isinstance(value, np.ndarray):
            return self.arrays[name]
        return self._unpacked(packed["items"] if isinstance(value, collections.deque) else packed)

    def _unpacked(self, packed: Any) -> Any:
        if isinstance(packed, list):
            return [self._unpacked(part) for part in packed]
        if not isinstance(packed, dict):
            return packed
        ((tag, packed),) = packed.items()
        if tag in ("object", "id"):
            if packed not in self.named:
                fail("snapshot", _SAME, packed)
            return self.named[packed] if tag == "object" else id(self.named[packed])
        if tag == "tuple":
            return tuple(self._unpacked(packed))
        if tag == "frozenset":
            return frozenset(self._unpacked(packed))
        if tag == "dict":
            return {key: self._unpacked(part) for key, part in packed}
        if tag == "device":
            return torch.device("cpu") if packed == "cpu" else self.device
        if tag == "array":
            dtype, shape, data = packed
            array = np.frombuffer(bytes.fromhex(data), dtype).copy()
            return array[0] if shape is None else array.reshape(shape)
        return next(from_json for name, _, _, from_json in _VALUES if name == tag)(packed)


def _sorted(parts: list[Any]) -> list[Any]:
    """Sort JSON values: the order of sets differs between processes."""
    return sorted(parts, key=json.dumps)


def _layout(value: Any) -> list[Any]:
    """Describe a module, an optimizer or a parameter."""
    kind = type(value).__name__
    if not isinstance(value, Parameter) or torch.nn.parameter.is_lazy(value):
        return [kind]
    return [kind, str(value.dtype), list(value.shape)]


def _matches(value: Any, kind: str, contents: Any) -> bool:
    """Return whether an object can be restored in place."""
    if isinstance(value, np.ndarray):
        contents = contents["dtype"], tuple(contents["shape"])
        return type(value).__name__ == kind and (value.dtype.str, value.shape) == contents
    same_length = not isinstance(value, collections.deque) or value.maxlen == contents["maxlen"]
    return type(value).__name__ == kind and same_length


def _strides(tensor: Tensor) -> list[int]:
    """Return the strides of a copy; an expanded tensor has others."""
    return list(torch.empty_like(tensor, device="meta").stride())


def _check_memory(tensors: list[tuple[str, Tensor, bool]]) -> None:
    """Raise TypeError if tensors share memory, except for two that are restored in place."""
    ranges: dict[int, list[tuple[int, int, str, bool]]] = {}
    for path, tensor, in_place in tensors:
        start, strides = tensor.data_ptr(), zip(tensor.shape, tensor.stride(), strict=True)
        size = 1 + sum((length - 1) * stride for length, stride in strides)
        end = start + (size * tensor.element_size() if tensor.numel() else 0)
        same = ranges.setdefault(tensor.untyped_storage().data_ptr(), [])
        for other_start, other_end, other, other_in_place in same:
            if start < other_end and other_start < end and not (in_place and other_in_place):
                rule = f"a tensor that does not share memory with {other}"
                fail(path, rule, "a view", "clone it", TypeError)
        same.append((start, end, path, in_place))


def _set_tensor(tensor: Tensor, data: Tensor, stride: list[int], requires_grad: bool) -> None:
    with torch.no_grad():
        if (tensor.shape, tensor.dtype, _strides(tensor)) != (data.shape, data.dtype, stride):
            dtype, device = data.dtype, tensor.device
            tensor.data = torch.empty_strided(data.shape, stride, dtype=dtype, device=device)
        distinct(tensor, tensor).copy_(distinct(data, tensor))
    if tensor.is_leaf:
        tensor.requires_grad_(requires_grad)
