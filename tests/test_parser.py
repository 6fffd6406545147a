"""The text form: valid text, errors, and ``repr`` as text."""

import pytest
from hypothesis import given
from strategies import any_lengths, controllers, policies, schedules

import lehr
from lehr import Greedy, Plateau, Policy, parse
from lehr.parser import PRESETS, parse_policy, typed
from lehr.schedule import Piecewise, Ramp, Repeat, presets
from lehr.schedule.codec import KINDS

COSINE = lehr.cosine(0.1, 100)
WARMUP = lehr.warmup(0.1, 10)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.1", lehr.constant(0.1)),
        (" 1e-3\n", lehr.constant(0.001)),
        (".5", lehr.constant(0.5)),
        ("1.", lehr.constant(1.0)),
        ("1_000", lehr.constant(1000.0)),
        ("-2.5E+1", lehr.constant(-25.0)),
        ("cosine(0.1, 100)", COSINE),
        ("cosine( peak = 0.1, steps=100, )", COSINE),
        ("cosine(0.1, 1e2)", COSINE),
        ("cosine(0.1, None)", lehr.cosine(0.1)),
        ("cosine(0.1, none)", lehr.cosine(0.1)),
        ("exponential(1, 0.5, 10, staircase=True)", lehr.exponential(1, 0.5, 10, staircase=True)),
        ("exponential(1, 0.5, 10, staircase=false)", lehr.exponential(1, 0.5, 10)),
        ("exponential(1., .5, 10/3)", lehr.exponential(1.0, 0.5, 10 / 3)),
        ("flat-cosine(0.1, 80%)", lehr.flat_cosine(0.1, "80%")),
        ("flat_cosine(0.1, 80%)", lehr.flat_cosine(0.1, "80%")),
        ("multi-step(0.1, 0.1, [30, 60])", lehr.multi_step(0.1, 0.1, [30, 60])),
        ("multi-step(0.1, 0.1, (30,))", lehr.multi_step(0.1, 0.1, [30])),
        ("multi-step(0.1, 0.1, [30%, 60%,])", lehr.multi_step(0.1, 0.1, ["30%", "60%"])),
        ("piecewise((2, 4), (1.0, 0.1, 0.01))", lehr.piecewise((2, 4), (1.0, 0.1, 0.01))),
        ("piecewise([], [0.5])", lehr.piecewise([], [0.5])),
        ("table([0.3, 0.2])", lehr.table([0.3, 0.2])),
        ("Ramp(0.1, 0.0, 100, 'cosine')", Ramp(0.1, 0.0, 100, "cosine")),
        ("Repeat(Ramp(0.1, 0.0, 10), 3)", Repeat(Ramp(0.1, 0.0, 10), 3)),
        ("Piecewise((2,), (1.0, 0.5))", Piecewise((2,), (1.0, 0.5))),
    ],
)
def test_numbers_and_calls(text, expected):
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("warmup(0.1, 5%) then cosine(0.1)", lehr.warmup(0.1, "5%").then(lehr.cosine(0.1))),
        ("warmup(0.1, 5 %) then cosine(0.1)", lehr.warmup(0.1, "5%").then(lehr.cosine(0.1))),
        ("warmup(0.1, 10)then cosine(0.1, 100)", WARMUP.then(COSINE)),
        ("warmup(0.1, 10)\n  then cosine(0.1, 100)", WARMUP.then(COSINE)),
        ("warmup(0.1, 10).then(cosine(0.1, 100))", WARMUP.then(COSINE)),
        ("cosine(0.1, 3 epochs)", lehr.cosine(0.1, "3 epochs")),
        ("cosine(0.1, 1 epoch)", lehr.cosine(0.1, "1 epoch")),
        ("cosine(0.1, steps=3epochs)", lehr.cosine(0.1, "3 epochs")),
        ("cosine(0.1, '3 epochs')", lehr.cosine(0.1, "3 epochs")),
        ('cosine(0.1, "3 epochs")', lehr.cosine(0.1, "3 epochs")),
        ("cosine(0.1, 0.5 epochs)", lehr.cosine(0.1, "0.5 epochs")),
        ("cosine(0.1, 1e9 tokens)", lehr.cosine(0.1, "1e9 tokens")),
        ("cosine(0.1, 300B tokens)", lehr.cosine(0.1, "300B tokens")),
        ("cosine(0.1, 12.8M samples)", lehr.cosine(0.1, "12.8M samples")),
        ("cosine(0.1, 12.8 M  samples)", lehr.cosine(0.1, "12.8M samples")),
        ("cosine(0.1, 1_000 samples)", lehr.cosine(0.1, "1000 samples")),
        ("warmup(0.1, 2K steps)", lehr.warmup(0.1, 2000)),
        ("cosine(0.1, until 90%)", lehr.cosine(0.1, "until 90%")),
        ("cosine(0.1, until 10T tokens)", lehr.cosine(0.1, "until 10T tokens")),
        ("cosine(0.1, until  3\n epochs)", lehr.cosine(0.1, "until 3 epochs")),
        ("exponential(1, 0.5, 10/3 steps)", lehr.exponential(1, 0.5, "10/3 steps")),
        ("linear(0.1, 0.0).shift(-1%)", lehr.linear(0.1, 0.0).shift("-1%")),
        ("linear(0.1, 0.0).shift(-5 epochs)", lehr.linear(0.1, 0.0).shift("-5 epochs")),
        ("cosine(0.1, 100).shift(-5)", COSINE.shift(-5)),
        ("piecewise([5 epochs], [1, 0.1])", lehr.piecewise(["5 epochs"], [1, 0.1])),
    ],
)
def test_then_and_lengths(text, expected):
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("warmup(0.1, 10, curve=cosine)", lehr.warmup(0.1, 10, curve="cosine")),
        ("warmup(0.1, 10, curve='cosine')", lehr.warmup(0.1, 10, curve="cosine")),
        ("warmup(0.1, 10, curve=1-sqrt)", lehr.warmup(0.1, 10, curve="1-sqrt")),
        ("wsd(0.1, 2%, 20%, curve = 1-sqrt , floor=0.01)", lehr.wsd(0.1, "2%", "20%", floor=0.01)),
        ("1-warmup(0.1, 10)", 1 - WARMUP),
        ("1-warmup-untuned(0.1)", 1 - lehr.warmup_untuned(0.1)),
        ("cosine(0.1, 100)-warmup(0.1, 10)", COSINE - WARMUP),
    ],
)
def test_a_name_without_a_call_is_a_string(text, expected):
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cosine(0.1, 100) * 0.5", COSINE * 0.5),
        ("0.5 * cosine(0.1, 100)", 0.5 * COSINE),
        ("cosine(0.1, 100) + 1 * warmup(0.1, 10)", COSINE + 1 * WARMUP),
        ("(cosine(0.1, 100) + 1) * warmup(0.1, 10)", (COSINE + 1) * WARMUP),
        ("1 - warmup(0.1, 10) - cosine(0.1, 100)", 1 - WARMUP - COSINE),
        ("1 - (warmup(0.1, 10) - cosine(0.1, 100))", 1 - (WARMUP - COSINE)),
        ("cosine(0.1, 100) / 2 / 4", COSINE / 2 / 4),
        ("cosine(0.1, 100) / 2 * 4", COSINE / 2 * 4),
        ("-cosine(0.1, 100) ** 2", -(COSINE**2)),
        ("(-cosine(0.1, 100)) ** 2", (-COSINE) ** 2),
        ("cosine(0.1, 100) ** -0.5", COSINE**-0.5),
        ("0.5 ** warmup(0.1, 10)", 0.5**WARMUP),
        ("2 * -cosine(0.1, 100)", 2 * -COSINE),
        ("--cosine(0.1, 100)", -1 * -COSINE),
        ("warmup(0.1, 10) then cosine(0.1, 100) * 0.5", WARMUP.then(COSINE * 0.5)),
        ("warmup(0.1, 10) * 2 then cosine(0.1, 100) + 1", (WARMUP * 2).then(COSINE + 1)),
        ("(warmup(0.1, 10) then cosine(0.1, 100)) * 0.5", WARMUP.then(COSINE) * 0.5),
        (
            "(warmup(0.1, 10) then cosine(0.1, 100)).repeat(2) then 0.5",
            WARMUP.then(COSINE).repeat(2).then(lehr.constant(0.5)),
        ),
        ("0.2 then cosine(0.1, 100)", lehr.constant(0.2).then(COSINE)),
        ("2 * 3 + 4", lehr.constant(10.0)),
        ("2 ** 3 ** 2", lehr.constant(512.0)),
        ("-2 ** 2", lehr.constant(-4.0)),
        ("2 ** -1", lehr.constant(0.5)),
        ("1 - 2 - 3", lehr.constant(-4.0)),
        ("8 / 4 / 2", lehr.constant(1.0)),
        ("cosine(0.1, 2 ** 5)", lehr.cosine(0.1, 32)),
        ("cosine(0.1, 100).repeat(2 ** 2)", COSINE.repeat(4)),
    ],
)
def test_operators_bind_as_in_python_and_then_binds_last(text, expected):
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cosine(0.1, 100).repeat()", COSINE.repeat()),
        ("cosine(0.1, 100).repeat(times=3).take(250)", COSINE.repeat(3).take(250)),
        ("cosine(0.1, 100) .reverse( )", COSINE.reverse()),
        ("linear(1, 0, 30).every(1 epoch)", lehr.linear(1, 0, 30).every("1 epoch")),
        ("cosine(0.1, 100).clip(0.01, 0.05)", COSINE.clip(0.01, 0.05)),
        ("cosine(0.1, 100).clip(ceiling=0.05)", COSINE.clip(ceiling=0.05)),
        ("cosine(0.1, 100).minimum(0.05)", COSINE.minimum(0.05)),
        ("cosine(0.1, 100).maximum(warmup(0.1, 10))", COSINE.maximum(WARMUP)),
        ("cosine(0.1, 100).take(50).then_to(0.0, 10)", COSINE.take(50).then_to(0.0, 10)),
        ("cosine(0.1, 100).with_end()", COSINE.with_end()),
        ("0.1.take(5)", lehr.constant(0.1).take(5)),
        ("(1).take(5)", lehr.constant(1).take(5)),
        ("min(cosine(0.1, 100), 0.05)", COSINE.minimum(0.05)),
        (
            "min(0.05, cosine(0.1, 100), warmup(0.1, 10))",
            lehr.constant(0.05).minimum(COSINE).minimum(WARMUP),
        ),
        ("max(warmup(0.1, 10), cosine(0.1, 100))", WARMUP.maximum(COSINE)),
    ],
)
def test_methods(text, expected):
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("one-cycle(0.1, curve=linear)", lehr.one_cycle(0.1, curve="linear")),
        ("one_cycle(0.1, momentum=none)", lehr.one_cycle(0.1, momentum=None)),
        ("one-cycle(0.1, momentum=(0.9, 0.8))", lehr.one_cycle(0.1, momentum=(0.9, 0.8))),
        ("Policy(0.1, momentum=0.9)", Policy(0.1, momentum=0.9)),
        (
            "Policy({head: cosine(0.1, 100), 'a b': 0.5,})",
            Policy({"head": COSINE, "a b": 0.5}),
        ),
        ("Policy({0: 0.1, 1: warmup(0.1, 10)})", Policy({0: 0.1, 1: WARMUP})),
        (
            "Policy(lr=0.1, values={ema_decay: 0.999, 'clip_norm': 1})",
            Policy(0.1, values={"ema_decay": 0.999, "clip_norm": 1}),
        ),
        (
            "Policy(0.1, control=Plateau(patience=3, mode='max'))",
            Policy(0.1, control=Plateau(patience=3, mode="max")),
        ),
        ("Policy(0.1, control=Greedy(monitor=loss))", Policy(0.1, control=Greedy("loss"))),
        ("one-cycle(0.1) * 0.5", lehr.one_cycle(0.1) * 0.5),
        (
            "one-cycle(0.1, 90) then 1e-4",
            lehr.one_cycle(0.1, 90).then(lehr.constant(1e-4)),
        ),
        (
            "Policy(constant(0.1)).decay_from(500, 100, curve=linear)",
            Policy(lehr.constant(0.1)).decay_from(500, 100, curve="linear"),
        ),
    ],
)
def test_policies(text, expected):
    assert parse(text) == expected


@pytest.mark.parametrize("group", ["it's", 'say "x"', "both ' and \"", "a\\b\n\t\x00", "λ\u2028😀"])
def test_strings_have_the_syntax_of_python(group):
    assert parse(f"Policy({{{group!r}: 0.1}})") == Policy({group: 0.1})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must have a number, .* at character 1, got the end of the text"),
        ("cosine(0.1", r"must have ',' or '\)' at character 11 after 'cosine\(0.1', got the end"),
        ("cosine(0.1 0.2)", r"must have ',' or '\)' at character 12 after .*, got '0.2'"),
        ("cosine(0.1))", "must have 'then', an operator or its end at character 12 .*, got '\\)'"),
        ("cosine(0.1, 3 weeks)", "got 'weeks'; the units of lengths are %, steps, epochs"),
        ("warmup(0.1, 2K)", "got 'K'; the units of lengths are"),
        ("warmup(0.1, 5%) cosine(0.1)", "must have 'then', an operator or its end at character 17"),
        ("warmup(0.1, 5%) then", "must have a number, .* after .*then', got the end"),
        ("then cosine(0.1)", "must have a number, .* at character 1, got 'then'"),
        ("cosine(0.1).take", r"must have '\(' at character 17"),
        ("cosine(0.1).5", "must have 'then', an operator or its end at character 12 .*, got '.5'"),
        ("cosine(0.1).(5)", r"must have the name of a method at character 13"),
        ("table([0.1, 0.2)", r"must have ',' or '\]' at character 16"),
        ("Policy({head 0.1})", "must have ':' at character 14"),
        ("Policy({head: 0.1, head: 0.2})", "key must be given once, got 'head'"),
        ("Policy({0.5: 0.1})", "key must be a name or an index, got 0.5"),
        ("cosine(0.1, 'abc)", 'got "\'abc\\)"'),
        (r"Policy({'\d': 0.1})", r"must have a number, .* at character 9"),
        ("cosine(0.1) $ 5", r"got '\$ 5'"),
        ("cosine(0.1) @ 5", "got '@ 5'"),
        ("cosine(0.1, lambda: 0)", r"must have ',' or '\)' .*, got ':'"),
        ("(0.1", r"must have ',' or '\)' .*, got the end"),
    ],
)
def test_syntax_errors_name_the_position_and_what_is_expected(text, message):
    with pytest.raises(ValueError, match=message):
        parse(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cosin(0.1)", "function must be one of constant, .*; did you mean cosine"),
        ("one-cycel(0.1)", "did you mean one_cycle"),
        ("__import__('os')", "function must be one of .*, got '__import__'"),
        ("from_function(cosine)", "function must be one of"),
        ("Rmap(0, 1, 5)", "class must be one of .*; did you mean Ramp"),
        ("cosine(0.1).taek(5)", "method of a schedule must be one of then, .*; did you mean take"),
        ("cosine(0.1).__class__()", "method of a schedule must be one of then, then_to"),
        ("cosine(0.1).dumps()", "method of a schedule must be one of then, then_to"),
        ("one-cycle(0.1).repeat(2)", "method of a policy must be one of then, decay_from"),
        ("cosine.take(5)", "value before .take must be a schedule or a policy, got 'cosine'"),
        ("[0.1].then(0.2)", "value before .then must be a schedule or a policy"),
        ("cosine(0.1, flor=0)", "argument of cosine must be one of peak, .* did you mean floor"),
        ("cosine(peak=0.1, 5)", "argument of cosine must be named, because it follows a named"),
        ("cosine(peak=0.1, peak=0.2)", "argument of cosine must be given once, got 'peak'"),
        (
            "cosine()",
            r"text must be a call of cosine\(peak, steps=None, .*\), got 'cosine\(\)'; .*'peak'",
        ),
        ("linear(1, 0, 5, 6)", r"a call of linear\(start, end, steps=None\), .*; too many"),
        ("cosine(0.1).take(1, 2)", r"a call of take\(steps\), got 'take\(1, 2\)'"),
        ("min(cosine(0.1))", r"a call of min\(first, second, /, \*more\)"),
        ("cosine then linear(1, 0, 5)", r"operand of 'then' must be .*; write cosine\(...\)"),
        ("5% * cosine(0.1)", r"operand of '\*' must be a schedule, a policy or a number, got '5%'"),
        ("-none", "operand of '-' must be a schedule or a number, got None"),
        ("one-cycle(0.1) + 1", r"operand of '\+' must be a schedule or a number, got one_cycle\(0"),
        ("true + 1", r"operand of '\+' must be"),
        ("1 / 0", "number must be finite, got '1 / 0'"),
        ("9 ** 9 ** 9", "number must be finite, got '9"),
        ("(-8) ** 0.5", r"number must be finite, got '-8 \*\* 0.5'"),
        ("1e999", "number must be finite, got '1e999'"),
        ("9" * 5000, "number must be finite"),
        ("1__0", "number must be one such as .*, got '1__0'"),
        ("'cosine'", "text must be a schedule or a policy, got 'cosine'; write for instance"),
        ("[cosine(0.1)]", "text must be a schedule or a policy, got"),
        ("5%", "text must be a schedule or a policy, got '5%'"),
        ("Plateau()", "text must be a schedule or a policy"),
        ("(" * 5000, "text must be less deeply nested"),
        ("-" * 5000 + "1", "text must be less deeply nested"),
    ],
)
def test_other_errors_name_the_allowed_values(text, message):
    with pytest.raises(ValueError, match=message):
        parse(text)


def test_errors_of_constructors_are_unchanged():
    with pytest.raises(ValueError, match=r"^floor must be at most peak \(0.1\), got 0.2"):
        parse("cosine(0.1, floor=0.2)")
    with pytest.raises(TypeError, match=r"^peak must be a finite number, got 'high'$"):
        parse("cosine(high)")
    with pytest.raises(TypeError, match=r"^text must be a string, got 0\.1"):
        parse(0.1)


@pytest.mark.parametrize(
    "text", ["1" + " " * 50_000 + "x", "9" * 50_000 + "!", "'" + "a" * 50_000, "1 " * 20_000]
)
def test_a_long_wrong_text_is_rejected(text):
    with pytest.raises(ValueError, match="must"):
        parse(text)


@given(schedules(any_lengths))
def test_repr_of_a_schedule_is_text(schedule):
    assert parse(repr(schedule)) == schedule


NAMES = {**vars(lehr.schedule), **{name: getattr(lehr, name) for name in lehr.__all__}}


@given(policies)
def test_repr_of_a_policy_is_code_and_text(policy):
    assert eval(repr(policy), dict(NAMES)) == policy
    assert parse(repr(policy)) == policy


@given(controllers)
def test_repr_of_a_controller_is_code(controller):
    assert eval(repr(controller), dict(NAMES)) == controller


@pytest.mark.parametrize(
    "text",
    [
        "one_cycle(1.0)",
        "one_cycle(0.1, 97, rise=0.45, tail=0.1, curve='linear')",
        "one_cycle(0.1, '30 epochs', start=0.0, momentum=None)",
        "Policy(0.1, momentum=0.9)",
        "Policy({'a': cosine(0.1), 'b': 0.1}, extra={'beta2': 0.99}, control=Plateau(min_lr=0.01))",
    ],
)
def test_repr_of_a_policy_is_its_source_text(text):
    assert repr(eval(text, dict(NAMES))) == text


def test_all_presets_and_classes_have_a_name_in_the_text():
    assert {name.replace("-", "_") for name in PRESETS} == {
        *presets.__all__,
        "one_cycle",
    } - {"from_function"}
    for cls in KINDS.values():
        with pytest.raises((ValueError, TypeError)) as caught:
            parse(f"{cls.__name__}(nothing, of, this, is, right, a, b, c, d, e, f, g, h)")
        assert "class must be one of" not in str(caught.value)


# Cases S28 and S29: text for the commands.


def test_lengths_in_tokens_are_typed_unquoted():
    text = "warmup(6e-4, 3.75e8 tokens) then cosine(6e-4, 2.6e11 tokens)"
    expected = lehr.warmup(6e-4, "3.75e8 tokens").then(lehr.cosine(6e-4, "2.6e11 tokens"))
    assert parse_policy(text) == Policy(expected)
    assert parse_policy(text).resolve(tokens_per_step=2**22).lr.length > 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("warmup(1, 10) * cosine(0.1)", lehr.warmup(1, 10) * lehr.cosine(0.1)),
        ("multi-step(0.1, 0.1, [30, 60])", lehr.multi_step(0.1, 0.1, [30, 60])),
        ("piecewise([30, 60], [1, 0.5, 0.1])", lehr.piecewise([30, 60], [1, 0.5, 0.1])),
        ("min(warmup(0.1, 10), cosine(0.2))", lehr.warmup(0.1, 10).minimum(lehr.cosine(0.2))),
        ("cosine(0.1, 100).shift(10)", COSINE.shift(10)),
        ("linear(1, 0, 30).every(1 epoch)", lehr.linear(1, 0, 30).every("1 epoch")),
    ],
)
def test_the_commands_accept_the_algebra(text, expected):
    assert parse_policy(text) == Policy(expected)


def test_only_the_commands_read_files_and_json(tmp_path):
    path = tmp_path / "policy.json"
    path.write_text(COSINE.dumps())
    assert parse_policy(str(path)) == parse_policy(COSINE.dumps()) == Policy(COSINE)
    for text in (str(path), COSINE.dumps()):
        with pytest.raises(ValueError, match="must"):
            parse(text)


def test_typed_converts_the_values_of_a_study_file():
    assert typed(["30%", "1e5", 7, "none"]) == ["30%", 1e5, 7, None]
