"""Hostile values for every public constructor, preset and method; hostile texts for the parsers."""

import copy
import functools
import inspect
import json
import math
import pickle
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import any_lengths, schedules

import lehr
import lehr.schedule
from lehr import Policy
from lehr.schedule.base import MOST_LEVELS, Schedule

ramp = lehr.linear(1.0, 0.5, 10)
policy = Policy(ramp, momentum=0.9)
VALUES = {
    "nan": math.nan,
    "inf": math.inf,
    "-inf": -math.inf,
    "-1": -1,
    "0": 0,
    "2.5": 2.5,
    "2**31": 2**31,
    "10**5000": 10**5000,
    "1e308": 1e308,
    "1e-320": 1e-320,
    "text": "x",
    "long text": "1" * 400 + "%",
    "nested text": "(" * 50,
    "bytes": b"x",
    "None": None,
    "True": True,
    "list": [],
    "dict": {},
    "tuple": (),
    "list of nan": [math.nan, []],
    "complex": 1j,
    "NumPy array": np.zeros(3),
    "NumPy nan": np.float32("nan"),
    "object": object(),
    "type": int,
}
ARGUMENTS: dict[str, Any] = {
    "start": 0.1,
    "end": 0.5,
    "steps": 100,
    "step": 5,
    "factor": 0.5,
    "timescale": 10,
    "every": 10,
    "period": 10,
    "half_cycle": 5,
    "up": 5,
    "floor": 0.1,
    "values": [1.0, 0.5],
    "boundaries": [10],
    "milestones": [10, 20],
    "warmup": 5,
    "cooldown": 5,
    "hold": 5,
    "model_size": 512,
    "parts": (ramp, ramp),
    "part": ramp,
    "shape": lehr.linear(1.0, 0.5),
    "offset": 0.0,
    "span": 10.0,
    "beta2": 0.999,
    "cycles": 3,
    "f": lambda step: 0.1,
    "text": "0.1",
    "lr": 0.1,
    "other": 0.1,
    "fraction": 0.5,
    "name": None,
    "metric": 0.5,
}
METHODS = ("then", "then_to", "repeat", "take", "shift", "every", "clip", "minimum", "maximum")
RUN = {"steps": 1000, "steps_per_epoch": 10, "samples_per_step": 5, "tokens_per_step": 7}
# a valid value for one argument may be invalid with another: the error names the other one
RELATED = {
    ("floor", "peak"),
    ("timescale", "every"),
    ("timescale", "warmup"),
    ("values", "boundaries"),
    ("span", "offset"),
    ("warmup and cooldown", "steps"),
    ("definition", "text"),
    ("part 1", "parts"),
    ("lr", "other"),
    ("cycles", "growth"),
    ("name", "f"),
    ("a", "extra"),
}


def callables() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Yield the public functions and classes that define something, and the methods."""
    without = ("Sweep", "range_test", "Arm", "Study", "PublishedPolicy", "Schedule", "published")
    without += ("read",)  # its argument is a scheduler of another library
    yield from ((name, getattr(lehr, name)) for name in lehr.__all__ if name not in without)
    for name, value in vars(lehr.schedule).items():
        if isinstance(value, type) and issubclass(value, Schedule) and value is not Schedule:
            yield f"schedule.{name}", value
    run = ("resolve", "summary", "lint", "draw")
    for name in (*METHODS, "at_fraction", *run):
        yield f"s.{name}", getattr(ramp, name)
    for name in ("then", "decay_from", *run):
        yield f"policy.{name}", getattr(policy, name)
    yield "Plateau.update", functools.partial(lehr.Plateau().update, lehr.Plateau().init())


CALLABLES = dict(callables())


def parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    found = inspect.signature(function).parameters.values()
    return [p for p in found if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]


def check_format(error: Exception) -> re.Match[str]:
    """Return the match of an error in lehr's format, with the field; raise AssertionError."""
    pattern = r"(in [^:]+: )?(?P<field>.*?) must (be|have|use) .+"
    found = re.fullmatch(pattern, str(error), re.DOTALL)
    assert found, repr(error)
    return found


def check_finite(value: Any) -> None:
    """Check the values of a schedule or policy that was accepted."""
    found = value.targets | (value.values or {}) if isinstance(value, Policy) else {"": value}
    for s in (s for s in lehr.policy.flat(found).values() if isinstance(s, Schedule)):
        try:
            s = s.resolve(**RUN)
        except ValueError as error:  # a part does not fit in this run
            check_format(error)
            continue
        if not s.resolved:  # a curve without a start, which is a part of a chain
            continue
        for t in (0, 1, 2, 5, 10, 50, 99, 100, 1000, 10**6, 2**31 - 1):
            assert math.isfinite(s(t)), (s, t)


@pytest.mark.parametrize("name", CALLABLES)
def test_hostile_arguments_are_rejected_by_name_or_give_finite_values(name):
    function = CALLABLES[name]
    given = {
        p.name: ARGUMENTS.get(p.name, 1.0) for p in parameters(function) if p.default is p.empty
    }
    if name in ("lehr.loads", "loads"):
        given["text"] = lehr.constant(0.1).dumps()
    if name == "schedule.Function":
        given |= {"f": ARGUMENTS["f"]}
    if name == "one_cycle":
        given |= {"steps": 100}
    if name == "s.every":
        given |= {"steps": 2}
    function(**given)
    for parameter in parameters(function):
        for label, value in VALUES.items():
            case = f"{name}({parameter.name}={label})"
            try:
                result = function(**given | {parameter.name: value})
            except (TypeError, ValueError) as error:
                named = check_format(error)["field"]
                if not named.startswith(parameter.name) and (named, parameter.name) not in RELATED:
                    pytest.fail(f"{case}: {error}")
            else:
                check_finite(result)


WRAPS: dict[str, Callable[[Schedule], Schedule]] = {
    "repeat": lambda s: s.repeat(1),
    "take": lambda s: s.take(10**6),
    "shift": lambda s: s.shift(1),
    "every": lambda s: s.every(1),
    "min": lambda s: s.minimum(0.9).take(5),
    "quotient": lambda s: s / 2,
    "power": lambda s: s**1,
    "sum and product": lambda s: (s + 0.1) * 0.5,
    "chain": lambda s: s.then(lehr.constant(0.1, 1)).take(10**6),
    "clip": lambda s: s.clip(0.1, 0.9),
}


def deepest(wrap: Callable[[Schedule], Schedule]) -> tuple[Schedule, str]:
    """Return the deepest tree that can be constructed, and the error for the next one."""
    s: Schedule = ramp
    while True:
        try:
            s = wrap(s)
        except ValueError as error:
            return s, str(error)


@pytest.mark.parametrize("wrap", WRAPS)
def test_everything_works_up_to_the_stated_number_of_levels(wrap):
    s, error = deepest(WRAPS[wrap])
    assert f"schedule must be nested at most {MOST_LEVELS} levels deep, got " in error
    assert s._levels > MOST_LEVELS - 3
    p = Policy({"head": s, "body": 0.1}, values={"v": s})
    for value in (s, p):
        assert value == copy.deepcopy(value) == pickle.loads(pickle.dumps(value))
        assert value == lehr.loads(value.dumps())
        assert hash(value) == hash(copy.copy(value))
        assert value == lehr.parse(repr(value)) if value is s else repr(value)
        assert value.resolve(100) == value
    assert math.isfinite(s(3))
    assert np.isfinite(s(np.arange(5))).all()
    assert s.summary(100).steps == 100
    assert isinstance(s.lint(100), list)
    assert s.draw(100)


def test_deeper_json_and_text_state_the_limit():
    data = lehr.linear(1.0, 0.5, 2).to_dict()
    del data["lehr"]
    for _ in range(MOST_LEVELS):
        data = {"kind": "repeat", "part": data, "times": 1}
    text = json.dumps({"lehr": 2} | data)
    with pytest.raises(ValueError, match=f"must be nested at most {MOST_LEVELS} levels deep"):
        lehr.loads(text)
    text = "linear(1, 0.5, 2)" + ".repeat(1)" * MOST_LEVELS
    with pytest.raises(ValueError, match=f"must be nested at most {MOST_LEVELS} levels deep"):
        lehr.parse(text)
    text = f"{'(' * MOST_LEVELS}0.1{')' * MOST_LEVELS}"
    assert lehr.parse(text) == lehr.constant(0.1)


json_values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(10**20), 10**20),
        st.floats(),
        st.text(max_size=5),
        st.sampled_from(["5%", "3 epochs", "linear", "geometric", 10**400, 2**31]),
    ),
    lambda part: st.one_of(
        st.lists(part, max_size=4),
        st.dictionaries(st.sampled_from(["kind", "groups", "parts", "part", "x"]), part),
    ),
    max_leaves=8,
)


@st.composite
def damaged_json(draw) -> str:
    """A definition in which values were replaced, removed, repeated or added."""
    data: Any = draw(schedules(any_lengths, depth=2)).to_dict()
    for _ in range(draw(st.integers(1, 3))):
        place = data
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            inner = place[key]
            if isinstance(inner, dict | list) and draw(st.booleans()):
                place = inner
                continue
            if isinstance(place, dict) and draw(st.integers(0, 3)) == 0:
                del place[key]
            else:
                place[key] = draw(json_values)
            break
    text = json.dumps(data)
    if draw(st.integers(0, 4)) == 0:
        at = draw(st.integers(0, len(text)))
        text = text[:at] + draw(st.text(max_size=3)) + text[at + draw(st.integers(0, 3)) :]
    return text


def accepted(read: Callable[[str], Any], text: str) -> Any:
    """Return the value that a parser returns; an error must be in lehr's format."""
    try:
        return read(text)
    except (TypeError, ValueError) as error:
        check_format(error)
        return None


@given(damaged_json())
@settings(max_examples=300)
def test_damaged_json_gives_a_value_or_an_error_of_lehr(text):
    value = accepted(lehr.loads, text)
    if value is not None:
        assert lehr.loads(value.dumps()) == value


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ('{"lehr": 2, "kind": "constant", "value": NaN}', "number must be finite, got 'NaN'"),
        ('{"lehr": 2, "kind": "constant", "value": -Infinity}', "number must be finite"),
        ('{"lehr": 2, "kind": "constant", "value": 1e999}', "value must be a finite number"),
        ('{"lehr": 2, "kind": "constant", "value": 1, "value": 2}', "key must be given once"),
        ('{"lehr": 2, "kind": "constant", "value": ' + "9" * 5000 + "}", "at most 400 digits"),
        ('{"lehr": 2, "kind": "constant", "value": ' + "[" * 10**5, "less deeply nested JSON"),
    ],
)
def test_invalid_json(text, match):
    with pytest.raises(ValueError, match=match):
        lehr.loads(text)


WORDS = ["**", "then", "linear(", "cosine(0.1)", "Policy(", "0.1", "5%", "3 epochs", "1e999"]
WORDS += [
    "9" * 50,
    "repeat",
    ".repeat(3)",
    ".take(",
    "curve=",
    "None",
    "until",
    "1-sqrt",
    "one-cycle(",
]
WORDS += ["max(", "1_0", "1__0"]


@given(
    st.lists(
        st.sampled_from([*"()[]{},.:=*+-/ '\"\x00é\\", *WORDS]),
        max_size=14,
    ).map("".join)
)
@settings(max_examples=1000)
def test_random_text_gives_a_value_or_an_error_of_lehr(text):
    value = accepted(lehr.parse, text)
    if value is not None:
        assert lehr.parse(repr(value)) == value


@given(schedules(any_lengths, depth=2), st.data())
@settings(max_examples=200)
def test_damaged_text_gives_a_value_or_an_error_of_lehr(s, data):
    text = repr(s)
    at = data.draw(st.integers(0, len(text)))
    removed = data.draw(st.integers(0, 4))
    text = text[:at] + data.draw(st.text("()0.e%,*-/'x", max_size=3)) + text[at + removed :]
    accepted(lehr.parse, text)


@pytest.mark.parametrize("power", [1e100, 1e-100, 1e31, 1e-31])
def test_exponents_that_are_not_finite_in_float32_are_rejected(power):
    for name in ("power", "time_power"):
        with pytest.raises(
            ValueError, match=rf"^{name} must be from 1e-30 to 1e\+30, got {re.escape(str(power))}"
        ):
            lehr.cosine(1.0, 10, **{name: power})


@pytest.mark.parametrize("power", [1e-30, 1e30])
@pytest.mark.parametrize("name", ["power", "time_power"])
@pytest.mark.parametrize("curve", ["linear", "cosine", "sine", "1-sqrt", "rex", "tanh", "log"])
def test_curves_of_extreme_exponents_are_finite_in_float32(curve, name, power):
    torch, jax = pytest.importorskip("torch"), pytest.importorskip("jax")
    s = lehr.schedule.Ramp(1.0, 0.25, 10, curve, **{name: power})
    assert torch.isfinite(s(torch.arange(12))).all()
    assert jax.numpy.isfinite(s(jax.numpy.arange(12))).all()
    assert np.isfinite(s(np.arange(12))).all()


def test_low_fields_are_named_as_the_caller_wrote_them():
    with pytest.raises(ValueError, match=r"^value must be a finite number, got nan"):
        lehr.constant(math.nan, 10)
    with pytest.raises(ValueError, match=r"^warmup and cooldown must be"):
        lehr.wsd(1.0, "1 epoch", 3, steps=10)
    with pytest.raises(ValueError, match=r"^steps must be given to resolve"):
        lehr.cosine(1.0).lint(None)
    with pytest.raises(ValueError, match="part must be at least 1 step long to be repeated"):
        lehr.cosine(1.0, "1%").repeat().resolve(5)
    found = lehr.warmup(1.0, "1%").then(lehr.cosine(1.0)).lint(5)
    assert "part without a step" in [finding.name for finding in found]


def test_low_quotients_and_powers_without_a_value_are_rejected():
    fall = lehr.linear(1.0, 0.0, 10)
    with pytest.raises(ValueError, match=r"^divisor must be other than 0 at every step, got 0\.0"):
        Policy(fall / fall)
    with pytest.raises(ValueError, match=r"^base of a power must be other than 0 for a negative"):
        Policy(fall**-1)
    with pytest.raises(ValueError, match=r"^power must be below the largest float, got '10000"):
        Policy(lehr.linear(1.0, 10000.0, 10) ** 99)
