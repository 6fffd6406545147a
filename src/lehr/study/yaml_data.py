"""Plain data of YAML text: bounded in depth and size; every error has the line."""

from __future__ import annotations

from typing import Any, NoReturn

import yaml

from lehr.schedule.errors import fail

DEEPEST = 100  # levels of nesting
MOST_VALUES = 100_000  # values, with each alias expanded
_LONGEST_NUMBER = 400  # characters; longer than any float
_TAG = "tag:yaml.org,2002:"
_FORMS = {
    "null": "null",
    "bool": "true or false",
    "int": f"an integer of at most {_LONGEST_NUMBER} digits",
    "float": f"a number of at most {_LONGEST_NUMBER} digits",
}
_TYPES = "text, a number, true, false, null, a list or a mapping"


class LineError(ValueError):
    """An error and its position: the line, and the names of the fields that contain it."""

    def __init__(self, line: int, place: tuple[str, ...], message: str) -> None:
        super().__init__(message)
        self.line, self.place = line, place


def compose(text: str) -> yaml.Node | None:
    """Parse one YAML document to nodes; None if it is empty.

    Raises:
        LineError: if the text is not YAML or its nesting is too deep.
    """
    line = 1
    try:
        loader = yaml.SafeLoader(text)
        try:
            node: yaml.Node | None = loader.get_single_node()
        finally:
            line = loader.line + 1
    except RecursionError:
        reason = _too_deep()
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        reason = f"the character {chr(error.character)!r} is not allowed"
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else line
        reason = " ".join(str(error.problem or error.context).split())
    except (ValueError, OverflowError):  # of an escape sequence or a version number
        reason = "a character or a version number is out of range"
    else:
        return node
    lines = text.splitlines()
    got = lines[line - 1].strip() if line <= len(lines) else ""
    _fail(line, (), "study file", "YAML", got, reason)


class PlainData:
    """Converts nodes to text, numbers, booleans, None, lists, and mappings from text.

    Attributes:
        repeated: an error for each repeated name of a mapping: YAML would use only the last value.
    """

    def __init__(self) -> None:
        self.repeated: list[LineError] = []
        self._values = 0
        self._open: list[yaml.Node] = []  # the nodes that contain the current one
        self._scalars = yaml.constructor.SafeConstructor()

    def of(self, node: yaml.Node, place: tuple[str, ...] = ()) -> Any:
        """Return the data of a node.

        Args:
            node: the node, and the nodes that it contains.
            place: names of the fields that contain the node.

        Raises:
            LineError: if a value has another type, a name is not text, a value contains itself, or
                the nesting or the number of values exceeds its limit.
        """
        line = node.start_mark.line + 1
        field = place[-1] if place else "study file"
        self._values += 1
        if self._values > MOST_VALUES:
            rule = f"at most {MOST_VALUES:,} values, with aliases expanded"
            _fail(line, place, "study file", rule, "more")
        if node in self._open:
            _fail(line, place, field, "a value that does not contain itself", "an alias of itself")
        if len(self._open) >= DEEPEST:
            _fail(line, place, field, _too_deep(), "deeper nesting")
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, place)
        expected = "map" if isinstance(node, yaml.MappingNode) else "seq"
        if node.tag != _TAG + expected:
            _fail(line, place, field, _TYPES, node.tag.removeprefix(_TAG), "remove the tag")
        self._open.append(node)
        if isinstance(node, yaml.MappingNode):
            data: Any = self._mapping(node, place)
        else:
            data = [self.of(part, place) for part in node.value]
        self._open.pop()
        return data

    def _mapping(self, node: yaml.MappingNode, place: tuple[str, ...]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if key.tag == f"{_TAG}merge":
                parts = value.value if isinstance(value, yaml.SequenceNode) else [value]
                for part in parts:
                    if not isinstance(part, yaml.MappingNode):
                        _fail(line, place, "<<", "a mapping, or a list of them", part.value)
                    for name, data in self.of(part, place).items():
                        merged.setdefault(name, data)
                continue
            name = self.of(key, place)
            if not isinstance(name, str):
                field = f"name in {shortened(place[-1])}" if place else "field"
                _fail(line, place, field, "text", name, "write it in quotes")
            if name in found:
                message = f"{shortened(name)} must be given once"
                self.repeated.append(LineError(line, (), message))
            found[name] = self.of(value, (*place, name))
        return merged | found

    def _scalar(self, node: yaml.ScalarNode, place: tuple[str, ...]) -> Any:
        line, kind, text = node.start_mark.line + 1, node.tag.removeprefix(_TAG), node.value
        field = place[-1] if place else "study file"
        if kind == "str":
            if any("\ud800" <= character <= "\udfff" for character in text):
                _fail(line, place, field, "Unicode text without surrogates", text)
            return text
        if kind not in _FORMS:
            fix = "write it in quotes" if kind == "timestamp" else "remove the tag"
            _fail(line, place, field, _TYPES, text, fix)
        try:
            if len(text) <= _LONGEST_NUMBER:
                return self._scalars.construct_object(node)
        except (ValueError, LookupError, yaml.YAMLError):  # an explicit tag, such as !!int ''
            pass
        _fail(line, place, field, _FORMS[kind], text)


def shortened(name: str) -> str:
    """Return a name from a file for an error message: one line of at most 60 characters."""
    printable = name if name.isprintable() else repr(name)
    return printable if len(printable) <= 60 else f"{printable[:60]}..."


def _too_deep() -> str:
    return f"nested at most {DEEPEST} levels deep"


def _fail(
    line: int, place: tuple[str, ...], field: str, rule: str, value: Any, fix: str = ""
) -> NoReturn:
    """Raise a `LineError` in lehr's format."""
    try:
        fail(shortened(field), rule, value, fix)
    except ValueError as error:
        raise LineError(line, place, str(error)) from None
