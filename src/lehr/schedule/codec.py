"""Serialization of definitions (schedules, policies, controllers) to dicts and JSON."""

import dataclasses
import json
from typing import Any, ClassVar, NoReturn, Self

from lehr.schedule.code import call
from lehr.schedule.errors import fail, one_of

VERSION = 2
KINDS: dict[str, type["Definition"]] = {}


class Definition:
    """Base class of serializable frozen dataclasses; ``kind`` is the class name in JSON."""

    kind: ClassVar[str]

    def __init_subclass__(cls, kind: str | None = None) -> None:
        """Register a class under its JSON name."""
        if kind is not None:
            cls.kind = kind
            KINDS[kind] = cls

    def _derive(self, **constants: Any) -> None:
        """Set checked or derived fields of the frozen dataclass."""
        for name, value in constants.items():
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        """Return the Python code that constructs the definition, without defaults."""
        required, rest = [], {}
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            if field.init and field.default is dataclasses.MISSING:
                required.append(getattr(self, field.name))
            elif field.init:
                rest[field.name] = (getattr(self, field.name), field.default)
        return call(type(self).__name__, *required, **rest)[0]

    def check_writable(self) -> None:
        """Raise if the definition contains a value that JSON cannot represent."""

    def to_dict(self) -> dict[str, Any]:
        """Convert the definition to a dict of plain data with the format version.

        Raises:
            ValueError: if it contains a function without a name.

        >>> import lehr
        >>> lehr.constant(0.1).to_dict()
        {'lehr': 2, 'kind': 'constant', 'value': 0.1}
        """
        return {"lehr": VERSION, **encode(self)}

    @classmethod
    def from_dict(cls, data: Any) -> Self:
        """Construct a definition from the output of `to_dict`.

        Raises:
            ValueError: if the version, a kind or a field is unknown, the nesting is too deep, or
                the kind belongs to another class.
            TypeError: if a field holds a value of the wrong type.

        >>> import lehr
        >>> lehr.Schedule.from_dict({"lehr": 2, "kind": "constant", "value": 0.1})
        constant(0.1)
        """
        if not isinstance(data, dict):
            fail("definition", "a JSON object", data)
        version = data.get("lehr")
        if version != VERSION or isinstance(version, bool):
            fail("format version ('lehr')", str(VERSION), version)
        if not isinstance(data.get("kind"), str):
            fail("kind", "one of " + ", ".join(KINDS), data.get("kind"))
        try:
            found = decode({name: value for name, value in data.items() if name != "lehr"})
        except RecursionError:
            raise ValueError("definition must be less deeply nested JSON") from None
        if not isinstance(found, cls):
            fail("kind", f"the kind of a {cls.__name__}", data["kind"])
        return found

    def dumps(self, indent: int | None = None) -> str:
        """Serialize the definition to JSON; `lehr.loads` parses it to an equal value.

        Args:
            indent: number of spaces per level; None for one line.

        Raises:
            ValueError: if it contains a function without a name.

        >>> import lehr
        >>> lehr.constant(0.1).dumps()
        '{"lehr": 2, "kind": "constant", "value": 0.1}'
        """
        return json.dumps(self.to_dict(), indent=indent, allow_nan=False)


def encode(value: Any) -> Any:
    """Convert a definition to dicts, lists and numbers; fields with defaults are omitted."""
    if isinstance(value, Definition):
        value.check_writable()
        fields = _fields(type(value)).items()
        given = {n: v for n, field in fields if (v := getattr(value, n)) != field.default}
        return {"kind": value.kind} | {name: encode(v) for name, v in given.items()}
    if isinstance(value, tuple):
        return [encode(part) for part in value]
    if isinstance(value, dict):
        return {"groups": {name: encode(part) for name, part in value.items()}}
    return value


def decode(data: Any, where: str = "") -> Any:
    """Construct a definition from the output of `encode`; reject unknown kinds and fields."""
    if isinstance(data, list | tuple):
        return tuple(decode(part, f"{where} part {i}") for i, part in enumerate(data, 1))
    if not isinstance(data, dict):
        return data
    kind = data.get("kind")
    if data.keys() == {"groups"} and isinstance(data["groups"], dict):
        groups = data["groups"]
        return {name: decode(part, f"{where} group {name}") for name, part in groups.items()}
    try:
        cls = KINDS[one_of("kind", kind, KINDS)]
        known = _fields(cls)
        for name in data.keys() - {"kind"}:
            one_of(f"field of {kind}", name, known)
        for name, field in known.items():
            if name not in data and field.default is dataclasses.MISSING:
                fail(f"{kind}.{name}", "given", None)
    except ValueError as error:
        raise placed(error, where) from None
    fields = {k: decode(v, f"{where} {kind} {k}") for k, v in data.items() if k != "kind"}
    try:
        return cls(**fields)
    except (TypeError, ValueError) as error:
        raise placed(error, f"{where} {kind}") from None


def _fields(cls: type[Definition]) -> dict[str, Any]:
    """Return the serialized fields: the constructor's, except those marked ``json: False``."""
    fields = dataclasses.fields(cls)  # type: ignore[arg-type]
    return {f.name: f for f in fields if f.init and f.metadata.get("json", True)}


def loads(text: str) -> Any:
    """Parse a schedule, policy or controller from JSON written by ``dumps``.

    Args:
        text: the JSON, a str or bytes.

    Raises:
        ValueError: if the JSON is invalid, contains repeated keys, NaN or infinity, is nested too
            deeply, or has an unknown version, kind or field.
        TypeError: if a field holds a value of the wrong type.

    >>> import lehr
    >>> lehr.loads(lehr.constant(0.1).dumps()) == lehr.constant(0.1)
    True
    """
    if not isinstance(text, str | bytes):
        fail("text", "a JSON string", text, error=TypeError)
    try:
        data = json.loads(
            text, parse_int=_integer, parse_constant=_reject_constant, object_pairs_hook=_unique
        )
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"definition must be valid JSON: {error}") from None
    except RecursionError:
        raise ValueError("definition must be less deeply nested JSON") from None
    return Definition.from_dict(data)


def placed(error: Exception, where: str) -> Exception:
    """Prefix an error with its position in the definition; an inner position is not replaced."""
    message = str(error)
    if where.strip() and not message.startswith("in "):
        message = f"in {where.strip()}: {message}"
    return type(error)(message)


def _integer(digits: str) -> int:
    if len(digits) > 400:  # longer than any float; Python limits the length to 4300 digits
        fail("number", "at most 400 digits long", digits)
    return int(digits)


def _reject_constant(name: str) -> NoReturn:
    fail("number", "finite", name)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                fail("key", "given once in each JSON object", key)
            seen.add(key)
    return data
