"""JSON: exact round trips, and errors for invalid text."""

import json

import pytest
from error_cases import cases
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import RUN, any_lengths, controllers, policies, probe, schedules

import lehr
from lehr.schedule import Chain, Constant, Geometric, Ramp, Window


@given(schedules(any_lengths))
def test_schedules_round_trip(s):
    back = lehr.loads(s.dumps())
    assert back == s
    assert type(back) is type(s)
    assert repr(back) == repr(s)
    assert back.dumps() == s.dumps()
    assert back.length == s.length
    assert back.resolved == s.resolved
    assert lehr.loads(s.dumps(indent=2)) == s
    assert lehr.loads(s.dumps().encode()) == s


@given(schedules())
def test_loaded_schedules_have_the_same_values_bit_for_bit(s):
    back = lehr.loads(s.dumps())
    assert all(back(t) == s(t) for t in probe(s).tolist())


@settings(max_examples=60)
@given(policies)
def test_policies_round_trip(p):
    back = lehr.loads(p.dumps())
    assert back == p
    assert repr(back) == repr(p)
    assert back.resolve(**RUN) == p.resolve(**RUN)
    assert lehr.loads(back.resolve(**RUN).dumps()) == p.resolve(**RUN)


@given(controllers)
def test_controllers_round_trip(control):
    assert lehr.loads(control.dumps()) == control


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_float_round_trips(value):
    back = lehr.loads(lehr.constant(value).dumps())
    assert back.value == value
    assert str(back.value) == str(value)  # also -0.0


def test_the_format_is_plain_json_with_a_version():
    s = lehr.warmup(0.1, "5%").then(lehr.cosine(0.1))
    assert json.loads(s.dumps()) == {
        "lehr": 2,
        "kind": "chain",
        "parts": [
            {"kind": "ramp", "start": 0.0, "end": 0.1, "steps": "5%"},
            {"kind": "ramp", "start": 0.1, "end": 0.0, "curve": "cosine"},
        ],
    }


def test_fields_with_defaults_may_be_omitted():
    text = '{"lehr": 2, "kind": "ramp", "start": 1, "end": 0}'
    assert lehr.loads(text) == Ramp(1.0, 0.0, None, "linear", 1.0)
    text = '{"lehr": 2, "kind": "geometric", "start": 1, "end": 0.5, "steps": 3}'
    assert lehr.loads(text) == Geometric(1.0, 0.5, 3)
    text = '{"lehr": 2, "kind": "every", "part": {"kind": "constant", "value": 1}, "steps": 2.5}'
    assert lehr.loads(text) == lehr.constant(1.0).every(2.5)


@pytest.mark.parametrize(
    ("s", "data"),
    [
        (
            lehr.cosine(0.1, floor="10%", power=2.0),
            {"kind": "ramp", "start": 0.1, "end": 0.01, "curve": "cosine", "power": 2.0},
        ),
        (
            lehr.warmup(0.1, "1.5K steps", start=0.01, curve="geometric", from_zero=False),
            {"kind": "geometric", "start": 0.01, "end": 0.1, "steps": 1500, "from_zero": False},
        ),
        (
            Window(lehr.linear(1.0, 0.0), 3, 0.5, 2.5),
            {
                "kind": "window",
                "shape": {"kind": "ramp", "start": 1.0, "end": 0.0},
                "steps": 3,
                "offset": 0.5,
                "span": 2.5,
            },
        ),
        (
            lehr.exponential(0.1, 0.5, "10/3 steps"),
            {"kind": "exponential", "peak": 0.1, "factor": 0.5, "timescale": "10/3 steps"},
        ),
        (
            lehr.constant(0.1, "until 10T tokens"),
            {
                "kind": "take",
                "part": {"kind": "constant", "value": 0.1},
                "steps": "until 10T tokens",
            },
        ),
        (
            1 - lehr.constant(0.1) / 2,
            {
                "kind": "sum",
                "parts": [
                    {"kind": "constant", "value": 1.0},
                    {
                        "kind": "product",
                        "parts": [
                            {"kind": "constant", "value": -1.0},
                            {
                                "kind": "quotient",
                                "parts": [
                                    {"kind": "constant", "value": 0.1},
                                    {"kind": "constant", "value": 2.0},
                                ],
                            },
                        ],
                    },
                ],
            },
        ),
        (
            lehr.cosine(0.1, "20%").then_to(0.2),
            {
                "kind": "chain",
                "parts": [
                    {"kind": "ramp", "start": 0.1, "end": 0.0, "steps": "20%", "curve": "cosine"},
                    {"kind": "ramp", "start": None, "end": 0.2},
                ],
            },
        ),
    ],
    ids=repr,
)
def test_each_kind_has_its_fields(s, data):
    assert json.loads(s.dumps()) == {"lehr": 2, **data}
    assert lehr.loads(s.dumps()) == s


def test_an_open_start_is_null():
    s = lehr.cosine(0.1, "20%").with_end().then_to(0.5, "5%")
    assert s.to_dict()["parts"][1] == {
        "kind": "take",
        "part": {"kind": "constant", "value": None},
        "steps": 1,
    }
    assert lehr.loads(s.dumps()) == s
    assert repr(lehr.loads(s.dumps())) == repr(s)
    assert lehr.loads(s.dumps()).resolve(100) == s.resolve(100)
    s = lehr.cosine(0.1, "20%").then(Constant(None))
    assert repr(s) == "cosine(0.1, '20%').then(constant(None))"
    assert lehr.loads(s.dumps()) == s


@pytest.mark.parametrize(
    "text",
    [
        '{"lehr": 1, "kind": "ramp", "start": 0.1, "end": 0.0, "curve": "cosine"}',
        '{"lehr": 1, "kind": "exponential", "start": 0.1, "rate": 0.5, "steps": 10}',
        '{"lehr": 1, "kind": "policy", "lr": {"kind": "constant", "value": 0.1}}',
        '{"lehr": 1, "kind": "plateau", "factor": 0.5}',
    ],
)
def test_the_first_version_is_rejected(text):
    with pytest.raises(ValueError, match=r"^format version \('lehr'\) must be 2, got 1$"):
        lehr.loads(text)


def test_a_custom_function_is_saved_by_name():
    def wave(step):
        return 0.5 + 0.5 * (step % 2)

    s = lehr.from_function(wave, name="wave").take(3)
    assert json.loads(s.dumps())["part"] == {"kind": "function", "name": "wave"}
    assert lehr.loads(s.dumps()) == s
    with pytest.raises(ValueError, match=r"^name must be given .*from_function\(f, name=...\)$"):
        (lehr.from_function(wave) * 0.5).dumps()
    unknown = '{"lehr": 2, "kind": "function", "name": "nobody"}'
    with pytest.raises(
        ValueError, match="name must be the name of a registered function, got 'nob"
    ):
        lehr.loads(unknown)


def test_a_group_may_be_named_kind():
    p = lehr.Policy(lr={"kind": lehr.constant(0.1), "lehr": lehr.constant(0.2)})
    assert lehr.loads(p.dumps()) == p


CONSTANT = '{"lehr": 2, "kind": "constant", "value": %s}'
RAMP = '{"lehr": 2, "kind": "ramp", "start": 1, "end": 0, "steps": %s}'
RAMP_END = '{"lehr": 2, "kind": "ramp", "start": 1, "end": %s}'
WINDOW = '{"lehr": 2, "kind": "window", "shape": %s, "steps": 1, "offset": 0, "span": 1}'
PART = '{"lehr": 2, "kind": "chain", "parts": [{"kind": "constant", "value": %s}]}'

VALUE_ERRORS = cases(r"""
''
    definition must be valid JSON
'{"lehr": 2, "kind": '
    definition must be valid JSON
CONSTANT % 1 + '1'
    definition must be valid JSON: Extra data
'[1]'
    definition must be a JSON object, got \[1\]
'1'
    definition must be a JSON object, got 1
'null'
    definition must be a JSON object, got None
'{"kind": "constant", "value": 1}'
    format version \('lehr'\) must be 2, got None
'{"lehr": 1, "kind": "constant", "value": 1}'
    format version \('lehr'\) must be 2, got 1
'{"lehr": 3, "kind": "constant", "value": 1}'
    format version \('lehr'\) must be 2, got 3
'{"lehr": true, "kind": "constant", "value": 1}'
    format version \('lehr'\) must be 2, got True
'{"lehr": 2}'
    kind must be one of .*constant, .*, got None
'{"lehr": 2, "kind": 7}'
    kind must be one of .*, got 7
'{"lehr": 2, "kind": "rmap"}'
    kind must be one of .*, got 'rmap'; did you mean .*ramp.*\?
'{"lehr": 2, "kind": "chain", "parts": [{"kind": "cosin"}]}'
    ^in chain parts part 1: kind must be one of .*, got 'cosin'
'{"lehr": 2, "kind": "constant", "valu": 1}'
    field of constant must be one of value, got 'valu'; did you mean value\?
'{"lehr": 2, "kind": "constant", "value": 1, "length": 3}'
    field of constant must be one of value, got 'length'
'{"lehr": 2, "kind": "ramp", "start": 1}'
    ramp.end must be given, got None
'{"lehr": 2, "kind": "sum"}'
    sum.parts must be given, got None
'{"lehr": 2, "kind": "constant", "value": 1, "value": 2}'
    key must be given once in each JSON object, got 'value'
CONSTANT % 'NaN'
    number must be finite, got 'NaN'
CONSTANT % '-Infinity'
    number must be finite, got '-Infinity'
CONSTANT % '1e999'
    in constant: value must be a finite number, got inf
CONSTANT % ('9' * 350)
    in constant: value must be a finite number, got 9{200}\.\.\.
CONSTANT % ('9' * 5000)
    number must be at most 400 digits long
RAMP % 10 ** 30
    in ramp: steps must be below 2\*\*31 steps, which frameworks count in int32, got 10{30}
RAMP % 2**31
    in ramp: steps must be below 2\*\*31 steps, which frameworks count in int32, got 2147483648
CONSTANT % '{"a": 1}'
    kind must be one of .*, got None
RAMP % -1
    in ramp: steps must be an integer number of steps >= 0, got -1
RAMP % 1.5
    in ramp: steps must be a length: an integer number of steps, .*, got 1\.5; round it
RAMP % '"3 weeks"'
    in ramp: steps must be a length: .*, got '3 weeks'
'{"lehr": 2, "kind": "chain", "parts": [1, 2]}'
    in chain: a chain must have at most one part without a length, got part 1 \(never
'{"lehr": 2, "kind": "chain", "parts": [1]}'
    in chain: parts must be a list of at least 2 schedules, got
'{"lehr": 2, "kind": "sum", "parts": []}'
    in sum: parts must be a list of at least 2 schedules, got
'{"lehr": 2, "kind": "quotient", "parts": [1, 2, 3]}'
    in quotient: parts must be two schedules, got
'{"lehr": 2, "kind": "ramp", "start": 1, "end": 0, "offset": 0.5}'
    field of ramp must be one of start, end, steps, curve, power, time_power, from_zero, got 'offset
'{"lehr": 2, "kind": "exponential", "start": 1, "rate": 0.5, "steps": 3}'
    field of exponential must be one of peak, factor, timescale, staircase, got
WINDOW % '{"kind": "constant", "value": 1}'
    in window: shape must be a Ramp or Geometric without steps, got constant
WINDOW % '{"kind": "ramp", "start": 1, "end": 0, "steps": 1}'
    in window: shape must be a Ramp or Geometric without steps, got linear
b'\xff\xfe{'
    codec can't decode|must be valid JSON
""")
TYPE_ERRORS = cases(r"""
CONSTANT % '"0.1"'
    in constant: value must be a finite number, got '0.1'
CONSTANT % 'true'
    in constant: value must be a finite number, got True
CONSTANT % '[1]'
    value must be a finite number, got
PART % '"x"'
    ^in chain parts part 1 constant: value must be a finite number, got 'x'
RAMP_END % 'null'
    in ramp: end must be a finite number, got None
RAMP % 'true'
    steps must be a length: an integer number of steps, .*, got True
RAMP % '[5]'
    steps must be a length: an integer number of steps, .*, got
'{"lehr": 2, "kind": "chain", "parts": 3}'
    in chain: parts must be a list of schedules, got 3
'{"lehr": 2, "kind": "sum", "parts": [{"kind": "policy", "lr": 1}]}'
    in sum: part 1 must be a schedule or a number, got Policy
'{"lehr": 2, "kind": "policy", "lr": 1, "control": {"kind": "constant", "value": 1}}'
    in policy: control must be a controller
None
    text must be a JSON string, got None
{'lehr': 2}
    text must be a JSON string, got {'lehr': 2}
""")


@pytest.mark.parametrize("code", [*VALUE_ERRORS, *TYPE_ERRORS])
def test_invalid_text_is_rejected(code):
    error = ValueError if code in VALUE_ERRORS else TypeError
    with pytest.raises(error, match={**VALUE_ERRORS, **TYPE_ERRORS}[code]):
        lehr.loads(eval(code))


NESTED = '{"lehr": 2, "kind": "shift", "steps": 0, "part": '


@pytest.mark.parametrize(
    "text",
    [
        "[" * 10_000,
        '{"a":' * 10_000,
        NESTED + '{"kind": "shift", "steps": 0, "part": ' * 10_000 + "1" + "}" * 10_001,
        CONSTANT % ("[" * 10_000 + "]" * 10_000),
    ],
    ids=["lists", "objects", "schedules", "value"],
)
def test_ten_thousand_levels_are_rejected(text):
    with pytest.raises(ValueError, match="definition must be less deeply nested JSON"):
        lehr.loads(text)


MEGABYTES = 10_000_000


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        (" " * MEGABYTES, ValueError, "definition must be valid JSON"),
        ('{"lehr": 2, "kind": "%s"}' % ("x" * MEGABYTES), ValueError, "kind must be one of"),
        ('{"lehr": 2, "%s": 1}' % ("x" * MEGABYTES), ValueError, "kind must be one of"),
        (CONSTANT % ("1" * MEGABYTES), ValueError, "number must be at most 400 digits long"),
        (CONSTANT % ('"' + "x" * MEGABYTES + '"'), TypeError, "value must be a finite number"),
        (CONSTANT % ("[" + "1," * (MEGABYTES // 2) + "1]"), TypeError, "value must be a finite"),
        ("x" * MEGABYTES, ValueError, "definition must be valid JSON"),
    ],
    ids=["blank", "kind", "key", "digits", "string", "list", "text"],
)
def test_ten_megabytes_are_rejected_with_a_short_message(text, error, message):
    with pytest.raises(error, match=message) as caught:
        lehr.loads(text)
    assert len(str(caught.value)) < 1000


def test_a_schedule_of_many_parts_is_accepted():
    s = Chain(tuple(Ramp(0.0, 1.0, 1 + i % 7) for i in range(20_000)))
    assert lehr.loads(s.dumps()) == s


def test_to_dict_is_the_parsed_text():
    p = lehr.Policy(lr={"a": lehr.cosine(0.1, 10), "b": 0.1}, control=lehr.Plateau())
    assert p.to_dict() == json.loads(p.dumps())
    data = p.to_dict()
    assert lehr.Policy.from_dict(data) == p
    assert data == p.to_dict()  # loading does not modify the dict


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("text", "definition must be a JSON object, got 'text'"),
        ({"kind": "constant", "value": 1.0}, r"format version \('lehr'\) must be 2, got None"),
        ({"lehr": 2, "kind": "constant", "value": float("nan")}, "value must be a finite number"),
        (lehr.constant(0.1).to_dict(), "kind must be the kind of a Policy, got 'constant'"),
    ],
)
def test_from_dict_rejects_invalid_data(data, message):
    with pytest.raises(ValueError, match=message):
        lehr.Policy.from_dict(data)
