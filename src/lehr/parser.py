"""Text form of schedules and policies: ``warmup(0.1, 5%) then cosine(0.1)``.

``repr`` returns text of this form. The text is parsed, never evaluated: only the functions and
methods in the tables below can be called::

    expression = operand (operator operand)*      then, + -, * /: from the loosest to the tightest
    operand    = "-" (operand | length)  |  postfix ["**" operand]
    postfix    = primary ("." method arguments)*
    primary    = name arguments  |  number | length | string | word
               | "(" expression ")"  |  a tuple, a list or a dict of expressions
    arguments  = "(" [argument ("," argument)* [","]] ")"
    argument   = [word "="] expression
    length     = ["until"] number ["/" number] unit

A length (``5%``, ``3 epochs``, ``10T tokens``, ``until 90%``) needs no quotes. A word that is not
called is a string: ``curve=cosine``, ``curve=1-sqrt``. A ``-`` directly between two letters is
part of a name: ``one-cycle``.
"""

from __future__ import annotations

import inspect
import math
import operator
import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple, NoReturn

from lehr.policy import Policy, as_policy, loads, one_cycle
from lehr.schedule import presets
from lehr.schedule.base import Schedule, as_schedule
from lehr.schedule.codec import KINDS
from lehr.schedule.combine import Max, Min
from lehr.schedule.errors import fail, one_of, read_text

_FUNCTIONS: dict[str, Callable[..., Any]] = {
    name: getattr(presets, name)
    for name in presets.__all__
    if name != "from_function"  # a Python function has no text form
}
_FUNCTIONS["one_cycle"] = one_cycle
PRESETS: dict[str, Callable[..., Policy | Schedule]] = {
    name.replace("_", "-"): _FUNCTIONS[name] for name in sorted(_FUNCTIONS)
}

_SCHEDULE_METHODS = (
    *("then", "then_to", "repeat", "take", "shift", "every", "reverse"),
    *("clip", "minimum", "maximum", "with_end"),
)
_POLICY_METHODS = ("then", "decay_from")
_CONSTANTS = {
    "None": None,
    "none": None,
    "True": True,
    "true": True,
    "False": False,
    "false": False,
}
_MOST_OPERATIONS = 500  # operators and methods of a text: their cost grows with the square
_EXAMPLE = "write for instance 'one-cycle(peak=0.05)' or 'warmup(0.1, 5%) then cosine(0.1)'"

_NUMBER = r"(?:\d[\d_]*(?:\.(?![A-Za-z_])[\d_]*)?|\.\d[\d_]*)(?:[eE][+-]?\d+)?"
_UNIT = r"(?:%|(?:steps?|epochs?|samples?|tokens?)\b)"
_HEX = "[0-9a-fA-F]"
_ESCAPE = rf"\\(?:[\\'\"nrt]|x{_HEX}{{2}}|u{_HEX}{{4}}|U00(?:0{_HEX}|10){_HEX}{{4}})"
_TOKEN = re.compile(
    rf"""\s*(?:
    (?P<length>(?:until\s+)?{_NUMBER}(?:/{_NUMBER})?\s*(?:[A-Za-z]\s*)?{_UNIT})
    | (?P<word>\d+-[A-Za-z]\w*(?![\w-])(?!\s*\())        # 1-sqrt, but 1-cosine(0.1) is a difference
    | (?P<number>{_NUMBER})
    | (?P<string>'(?:[^'\\\n]|{_ESCAPE})*'|"(?:[^"\\\n]|{_ESCAPE})*")
    | (?P<name>[A-Za-z_]\w*(?:(?<=[A-Za-z])-(?=[A-Za-z])\w+)*)
    | (?P<symbol>\*\*|[-+*/()\[\]{{}},:=.])
    | (?P<end>\Z)
    | (?P<unknown>\S.{{0,19}})
    )""",
    re.VERBOSE | re.ASCII,
)


def parse(text: str) -> Schedule | Policy:
    """Parse a schedule or policy from text; ``parse(repr(s)) == s``.

    The text is a call of a preset or class, or an expression of calls with ``then``,
    ``+ - * / **`` and methods. A number is a constant schedule. Files are never read.

    Args:
        text: for example "warmup(0.1, 5%) then cosine(0.1)".

    Raises:
        ValueError: if the syntax is invalid (the error gives the position), a name is unknown (the
            error suggests the nearest names), or a value is not allowed.
        TypeError: if an argument has the wrong type.

    >>> parse("warmup(0.1, 5%) then cosine(0.1) * 0.5").resolve(100)(5)
    0.05
    >>> s = parse("one-cycle(peak=0.05)")
    >>> parse(repr(s)) == s
    True
    """
    if not isinstance(text, str):
        fail("text", "a string", text, _EXAMPLE, TypeError)
    try:
        value = _Parser(text).parse()
    except RecursionError:
        raise ValueError("text must be less deeply nested") from None
    if _is_number(value):
        return as_schedule("text", value)
    if not isinstance(value, Schedule | Policy):
        fail("text", "a schedule or a policy", value, _EXAMPLE)
    return value


def parse_policy(text: str) -> Policy:
    """Parse a policy from text: JSON, the path of a .json file, a number, or the text form.

    Args:
        text: the text; a schedule or a number becomes the learning rate.

    Raises:
        ValueError: if the text is none of these, or the file cannot be read; see `parse`.

    >>> parse_policy("warmup(0.1, 5%) then cosine(0.1)").lr.parts[0].steps
    '5%'
    >>> parse_policy("one-cycle(peak=0.05)") == one_cycle(0.05)
    True
    """
    text = text.strip()
    if text.startswith("{"):
        return _from_json(text)
    if text.endswith(".json"):
        return _from_json(read_text("policy", text))
    if text[:1].isalpha() and "(" not in text:
        fail("policy", "JSON, a .json file, a number or a call", text, _EXAMPLE)
    return as_policy(parse(text))


def typed(value: Any) -> Any:
    """Convert a word to None, a number or a text; lists are converted item by item.

    Other values are returned unchanged.

    >>> typed("1e-3"), typed("5%"), typed(7), typed(["30%", "1e5"])
    (0.001, '5%', 7, ['30%', 100000.0])
    """
    if isinstance(value, list):
        return [typed(part) for part in value]
    if not isinstance(value, str):
        return value
    text = value.strip().strip("'\"")
    if text.lower() == "none":
        return None
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _from_json(text: str) -> Policy:
    value = loads(text)
    if not isinstance(value, Policy | Schedule):
        fail("policy", "a policy or a schedule", value)
    return as_policy(value)


class _Token(NamedTuple):
    kind: str
    text: str
    start: int


class _Parser:
    """Recursive-descent parser: a text, its tokens, and the index of the next token."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = [
            _Token(kind, match[kind], match.start(kind))
            for match in _TOKEN.finditer(text)
            if (kind := match.lastgroup) is not None
        ]
        self.position = 0
        if self.operations() > _MOST_OPERATIONS:
            rule = f"of at most {_MOST_OPERATIONS} operators and methods"
            fail("text", rule, text, "write a longer definition as JSON")

    @property
    def next(self) -> _Token:
        return self.tokens[self.position]

    def take(self) -> _Token:
        self.position += 1
        return self.tokens[self.position - 1]

    def accept(self, *symbols: str) -> bool:
        """Consume the next token if it is one of the symbols."""
        found = self.next.kind == "symbol" and self.next.text in symbols
        self.position += found
        return found

    def expect(self, *symbols: str) -> None:
        if not self.accept(*symbols):
            self.fail_here(" or ".join(map(repr, symbols)))

    def operations(self) -> int:
        """Return the number of operators and methods, without signs."""
        return sum(
            token.text in (*_OPERATORS, ".") and (before.kind != "symbol" or before.text in ")]}")
            for before, token in pairwise(self.tokens)
        )

    def fail_here(self, expected: str) -> NoReturn:
        kind, text, start = self.next
        before = self.text[max(0, start - 20) : start].strip()
        after = f" after {before!r}" if before else ""
        got = "the end of the text" if kind == "end" else repr(text)
        hint = ""
        if kind == "name" and self.position and self.tokens[self.position - 1].kind == "number":
            hint = "; the units of lengths are %, steps, epochs, samples and tokens"
        where = f"at character {start + 1}{after}"
        raise ValueError(f"text must have {expected} {where}, got {got}{hint}")

    def parse(self) -> Any:
        value = self.expression()
        if self.next.kind != "end":
            self.fail_here("'then', an operator or its end")
        return value

    def expression(self, loosest: int = 0) -> Any:
        value = self.operand()
        while _RANKS.get(self.next.text, -1) >= loosest:
            symbol = self.take().text
            value = _combine(symbol, value, self.expression(_RANKS[symbol] + 1))
        return value

    def operand(self) -> Any:
        if self.accept("-"):
            if self.next.kind == "length":
                return f"-{self.length()}"
            return -_operand("-", self.operand())
        value = self.postfix()
        if self.accept("**"):
            return _combine("**", value, self.operand())
        return value

    def postfix(self) -> Any:
        value = self.primary()
        while self.accept("."):
            start = self.next.start
            if self.next.kind != "name":
                self.fail_here("the name of a method")
            name = self.take().text
            method = _method(value, name)
            self.expect("(")
            value = self.call(name, method, start)
        return value

    def primary(self) -> Any:
        kind, text, start = self.next
        if kind == "length":
            return self.length()
        if kind == "number":
            self.take()
            return _number(text)
        if kind == "word":
            return self.take().text
        if kind == "string":
            self.take()
            return text[1:-1].encode("latin-1", "backslashreplace").decode("unicode_escape")
        if kind == "name" and text != "then":
            self.take()
            if self.accept("("):
                return self.call(text, _function(text), start)
            return _CONSTANTS.get(text, text)
        if self.accept("("):
            return self.parenthesis()
        if self.accept("["):
            return self.items("]", self.expression)
        if self.accept("{"):
            return self.unique("key", self.items("}", self.entry))
        self.fail_here("a number, a length, a name, a string or a bracket")

    def length(self) -> str:
        return " ".join(self.take().text.split())

    def parenthesis(self) -> Any:
        if self.accept(")"):
            return ()
        value = self.expression()
        if self.accept(")"):
            return value
        self.expect(",", ")")
        return (value, *self.items(")", self.expression))

    def items(self, closing: str, item: Callable[[], Any]) -> list[Any]:
        """Parse items up to a closing bracket; a trailing comma is allowed."""
        found = []
        while not self.accept(closing):
            found.append(item())
            if not (self.next.kind == "symbol" and self.next.text == closing):
                self.expect(",", closing)
        return found

    def entry(self) -> tuple[Any, Any]:
        key = self.expression()
        if type(key) not in (str, int):
            fail("key", "a name or an index", key)
        self.expect(":")
        return key, self.expression()

    def argument(self) -> tuple[str | None, Any]:
        name = self.next
        if name.kind == "name" and self.tokens[self.position + 1].text == "=":
            self.position += 2
            return name.text, self.expression()
        return None, self.expression()

    def unique(self, field: str, pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        for key, value in pairs:
            if key in found:
                fail(field, "given once", key)
            found[key] = value
        return found

    def call(self, name: str, function: Callable[..., Any], start: int) -> Any:
        """Parse the arguments of a call and return the result of the function."""
        arguments = self.items(")", self.argument)
        end = self.tokens[self.position - 1].start + 1
        positional = [value for key, value in arguments if key is None]
        if any(key is not None for key, _ in arguments[: len(positional)]):
            rule = "named, because it follows a named argument"
            fail(f"argument of {name}", rule, self.text[start:end])
        named = self.unique(f"argument of {name}", arguments[len(positional) :])
        signature = inspect.signature(function)
        for key in named:
            one_of(f"argument of {name}", key, signature.parameters)
        try:
            signature.bind(*positional, **named)
        except TypeError as error:
            rule = f"a call of {name}{_without_types(signature)}"
            fail("text", rule, self.text[start:end], str(error))
        return function(*positional, **named)


def _number(text: str) -> int | float:
    try:
        value = float(text)
    except ValueError:
        fail("number", "one such as 1000, 1_000, 0.1 or 1e-3", text)
    if not math.isfinite(value):
        fail("number", "finite", text)
    return value if re.search("[.eE]", text) else int(text)


def _function(name: str) -> Callable[..., Any]:
    """Return the preset, function or class with a name, or raise."""
    name = name.replace("-", "_")
    if name[0].isupper():
        classes: dict[str, Callable[..., Any]] = {cls.__name__: cls for cls in KINDS.values()}
        return classes[one_of("class", name, classes)]
    known: dict[str, Callable[..., Any]] = _FUNCTIONS | {"min": _minimum, "max": _maximum}
    return known[one_of("function", name, sorted(known))]


def _minimum(first: Any, second: Any, /, *more: Any) -> Schedule:
    return Min(_schedules(first, second, *more))


def _maximum(first: Any, second: Any, /, *more: Any) -> Schedule:
    return Max(_schedules(first, second, *more))


def _schedules(first: Any, *others: Any) -> tuple[Schedule, ...]:
    return as_schedule("first", first), *(as_schedule("other", other) for other in others)


def _method(value: Any, name: str) -> Callable[..., Any]:
    """Return a method of a schedule or policy; a number is a constant schedule."""
    if _is_number(value):
        value = as_schedule("value", value)
    if isinstance(value, Schedule):
        one_of("method of a schedule", name, _SCHEDULE_METHODS)
    elif isinstance(value, Policy):
        one_of("method of a policy", name, _POLICY_METHODS)
    else:
        fail(f"value before .{name}", "a schedule or a policy", value)
    method: Callable[..., Any] = getattr(value, name)
    return method


def _then(first: Any, second: Any) -> Any:
    return _method(first, "then")(second)


def _power(base: Any, exponent: Any) -> Any:
    if _is_number(base) and _is_number(exponent):
        float(base) ** float(
            exponent
        )  # raises OverflowError before an integer power becomes too large
    return base**exponent


_RANKS = {"then": 0, "+": 1, "-": 1, "*": 2, "/": 2}
_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "then": _then,
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "**": _power,
}


def _combine(symbol: str, left: Any, right: Any) -> Any:
    """Apply an operator; for two numbers the result must be a finite number."""
    _operand(symbol, left)
    _operand(symbol, right)
    if symbol == "then" or not (_is_number(left) and _is_number(right)):
        return _OPERATORS[symbol](left, right)
    try:
        value = _OPERATORS[symbol](left, right)
        if math.isfinite(value):
            return value
    except (ArithmeticError, TypeError):  # a division by 0, or a complex number
        pass
    fail("number", "finite", f"{left!r} {symbol} {right!r}")


def _operand(symbol: str, value: Any) -> Any:
    """Return an operand; raise if the operator is not defined for it."""
    of_policies = symbol in ("then", "*")
    if _is_number(value) or isinstance(value, Schedule | Policy if of_policies else Schedule):
        return value
    rule = "a schedule, a policy or a number" if of_policies else "a schedule or a number"
    called = isinstance(value, str) and value.replace("-", "_") in _FUNCTIONS
    fix = f"write {value}(...) with its arguments" if called else ""
    fail(f"operand of {symbol!r}", rule, value, fix)


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)


def _without_types(signature: inspect.Signature) -> inspect.Signature:
    plain = [p.replace(annotation=p.empty) for p in signature.parameters.values()]
    return signature.replace(parameters=plain, return_annotation=signature.empty)
