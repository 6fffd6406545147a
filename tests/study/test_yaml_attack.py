"""Hostile study files: each ends in a study or in errors of one line with file, line and field."""

import re
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import run_python

import lehr
from lehr.parser import parse_policy
from lehr.study import Study, load_study
from lehr.study.yaml import StudyFile, dump_study
from lehr.study.yaml_data import DEEPEST, MOST_VALUES

HEAD = "task: toys:toy\narms: {a: 0.1, b: 0.2}\n"
ERROR = re.compile(r"study\.yaml(:\d+)?: (([^:]+: )?in )?.*must (be|have) .*", re.ASCII)


def read(text: str | bytes) -> Study:
    before = list(sys.path)
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "study.yaml")
            path.write_bytes(text if isinstance(text, bytes) else text.encode())
            return load_study(path)
    finally:
        sys.path[:] = before


def nested_aliases(levels: int) -> str:
    lines = ["  a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    for i in range(1, levels):
        lines.append(f"  a{i}: &a{i} [" + ", ".join([f"*a{i - 1}"] * 9) + "]")
    return "options:\n" + "\n".join(lines) + "\n"


def nested_merges(levels: int) -> str:
    lines = [f"  a{i}: &a{i} {{<<: [*a{i - 1}, *a{i - 1}]}}" for i in range(1, levels)]
    return "options:\n  a0: &a0 {x: 1}\n" + "\n".join(lines) + "\n"


MOST = rf"must be at most {MOST_VALUES:,} values, with aliases expanded"
DEEP = f"nested at most {DEEPEST} levels deep"
TYPES = "must be text, a number, true, false, null, a list or a mapping"
LONG = "text must be of at most 500 operators and methods, got 'co"

CASES = {
    "nested aliases": (HEAD + nested_aliases(10), rf"yaml:\d+: options\.\w+: study file {MOST}"),
    "nested merges": (HEAD + nested_merges(40), rf"yaml:\d+: options\.\w+: study file {MOST}"),
    "a list of itself": (
        HEAD + "options: {a: &a [*a]}\n",
        r"yaml:3: options\.a: a must be a value that does not contain itself",
    ),
    "a mapping of itself": (
        "task: toys:toy\narms: &a {a: *a}\n",
        r"yaml:2: arms\.a: a must be a value that does not contain itself",
    ),
    "a merge of itself": (
        HEAD + "options: &a {<<: *a}\n",
        r"yaml:3: options must be a value that does not contain itself",
    ),
    "101 lists": (HEAD + "options: {a: " + "[" * 99 + "]" * 99 + "}\n", rf"yaml:3: .*{DEEP}"),
    "1000 lists": (HEAD + "options: {a: " + "[" * 1000 + "]" * 1000 + "}\n", rf"yaml:3: .*{DEEP}"),
    "100,000 brackets": (HEAD + "options: " + "[" * 100_000, rf"yaml:3: .*{DEEP}"),
    "1000 mappings": (
        HEAD + "options:\n" + "".join(" " * i + "a:\n" for i in range(1, 1000)),
        rf"yaml:\d+: .*{DEEP}",
    ),
    "!!bool x": (HEAD + "stop_early: !!bool x\n", r"yaml:3: stop_early must be true or false, got"),
    "!!int ''": (HEAD + "seeds: !!int ''\n", r"yaml:3: seeds must be an integer .*, got ''"),
    "!!float x": (HEAD + "target: !!float x\n", r"yaml:3: target must be a number .*, got 'x'"),
    "!!timestamp x": (HEAD + "metric: !!timestamp x\n", rf"yaml:3: metric {TYPES}, got 'x'"),
    "2001-99-99": (
        HEAD + "options: {a: 2001-99-99}\n",
        rf"yaml:3: options\.a: a {TYPES}, got '2001-99-99'; write it in quotes",
    ),
    "!!python": (HEAD + "metric: !!python/name:os.system\n", rf"yaml:3: metric {TYPES}, got ''"),
    "!!set": (HEAD + "options: !!set {a, b}\n", rf"yaml:3: options {TYPES}, got 'set'; remove the"),
    "!!seq of text": (HEAD + "options: !!seq x\n", rf"yaml:3: options {TYPES}, got 'x'"),
    "!!int of a list": (HEAD + "seeds: !!int [1]\n", rf"yaml:3: seeds {TYPES}, got 'int'"),
    "5000 digits": (
        HEAD + f"seeds: {'9' * 5000}\n",
        r"yaml:3: seeds must be an integer of",
    ),
    "a real number of 5000 digits": (HEAD + f"target: {'9' * 5000}.5\n", r"yaml:3: target must be"),
    "quoted 5000 digits": (HEAD + f"target: '{'9' * 5000}'\n", r"yaml:3: target must be a finite"),
    "5000 digits in a policy": (
        f"task: toys:toy\narms: {{a: 'cosine({'9' * 5000})'}}\n",
        r"yaml:2: arms\.a: number must be finite, got '999",
    ),
    "a list as a name": (HEAD + "? [a]\n: 1\n", r"yaml:3: field must be text, got \['a'\]"),
    "an escape out of range": (
        HEAD + 'metric: "\\UFFFFFFFF"\n',
        r"yaml:3: study file must be YAML",
    ),
    "a surrogate": (HEAD + 'metric: "\\ud800"\n', r"yaml:3: metric must be Unicode text without"),
    "a control character": (HEAD + "metric: \x01\n", r"yaml:3: study file must be YAML, got 'metr"),
    "two documents": (HEAD + "---\na: 1\n", r"yaml:3: study file must be YAML, got '---'; but"),
    "a version": (f"%YAML {'9' * 5000}.1\n---\n{HEAD}", r"yaml:1: study file must be YAML, got '%"),
    "Latin-1": (
        HEAD.encode() + b"metric: \xe9\n",
        r"must be a file in UTF-8, got .*line 3 has",
    ),
    "UTF-16": (HEAD.encode("utf-16"), r"must be a file in UTF-8, got .*; line 1 has the byte 0xff"),
    "a name of two lines": (
        'task: toys:toy\narms: {"a\\nb": x}\n',
        r"yaml:2: arms\.'a\\nb': policy",
    ),
    "a long name": (f"task: toys:toy\narms: {{{'a' * 1000}: x}}\n", r"yaml:2: arms\.a{60}\.\.\.: "),
    "nothing": ("", r"yaml: study file must be a mapping with task and arms, got None"),
}
for name, part in {
    "then": " then constant(0.1, 1)",
    "methods": ".then(constant(0.1, 1))",
    "+": " + cosine(1.0, 5)",
    "-": " - cosine(1.0, 5)",
    "*": " * cosine(1.0, 5)",
    "/": " / constant(1.0, 5)",
    "**": " ** 1",
    "minimum": ".minimum(cosine(1.0, 5))",
    "repeat": ".repeat(1)",
}.items():
    text = f"task: toys:toy\narms: {{b: 0.1, a: 'constant(0.1, 1){part * 30_000}'}}\n"
    CASES[f"30,000 parts with {name}"] = text, rf"yaml:2: arms\.a: {LONG}"


@pytest.mark.parametrize("case", CASES)
def test_a4_a_hostile_file_is_one_error_with_line_and_field(case: str) -> None:
    text, match = CASES[case]
    with pytest.raises(ValueError, match=match) as caught:
        read(text)
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    "case",
    ["nested aliases", "a list of itself", "1000 lists", "!!int ''", "30,000 parts with then"],
)
def test_a4_the_command_prints_one_line_and_exits_with_2(case: str, tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(CASES[case][0])
    done = run_python("-m", "lehr.cli", "compare", "study.yaml", cwd=tmp_path, code=2)
    assert re.fullmatch(rf"lehr: error: study\.{CASES[case][1]}.*\n", done.stderr)
    assert done.stdout == ""


def test_a4_aliases_and_merges_are_expanded() -> None:
    study = read(
        "task: toys:optional\narms:\n  a: &a {preset: cosine, peak: 0.1}\n"
        "  b: {<<: *a, floor: 0.01}\n  c: {<<: [{peak: 0.2}, *a]}\n  d: *a\n"
        "options: {noise: &noise 0.5}\ntarget: *noise\n"
    )
    assert {name: arm.given for name, arm in study.arms.items()} == {
        "a": lehr.cosine(0.1),
        "b": lehr.cosine(0.1, floor=0.01),
        "c": lehr.cosine(0.2),
        "d": lehr.cosine(0.1),
    }
    assert study.target == 0.5


def test_a4_a_byte_order_mark_is_ignored() -> None:
    assert read(HEAD.encode("utf-8-sig")) == read(HEAD)


def test_a4_only_the_first_20_of_many_errors_are_reported() -> None:
    arms = "".join(f"  a{i}: x\n" for i in range(500))
    with pytest.raises(ValueError, match=r"yaml: 480 more errors$") as caught:
        read(f"task: toys:toy\narms:\n{arms}")
    assert len(str(caught.value).splitlines()) == 21


def test_a4_a_policy_with_long_code_is_written_as_json() -> None:
    parts = [lehr.constant(i / 1000, 1) for i in range(1, 700)]
    chain = lehr.schedule.Chain(tuple(parts))
    study = Study("toys:toy", {"a": 0.1, "b": chain}, epochs=1)
    with pytest.raises(ValueError, match=LONG):
        parse_policy(repr(chain))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "study.yaml")
        path.write_text(dump_study(study))
        assert load_study(path) == study


TAGS = ["", "!!bool ", "!!int ", "!!float ", "!!str ", "!!null ", "!!timestamp ", "!!binary "]
TAGS += ["!!set ", "!!omap ", "!!map ", "!!seq ", "!x ", "&a ", "!!python/none ", "!!merge "]
SCALARS = ["x", "''", "0.1", "3", "-1", "0", "1e999", ".nan", "-.inf", "true", "null", "~", "*a"]
SCALARS += ["2001-01-01", "1:30", "0x1F", "0o7", "1_0", "=", "<<", '"\\0"', '"\\ud800"', "'a\n b'"]
SCALARS += ["cosine(0.1)", "one-cycle(tune)", "'{}'", "'{\"lehr\": 2}'", "digits-mlp", "toys:toi"]
SCALARS += ["final", "9" * 500, "é", "tune", "5 %", "'1 then 2'", "{preset: cosine, peak: tune}"]
FIELDS = [*StudyFile.model_fields, "policy", "preset", "tune", "optimizer", "peak", "a", "<<", "3"]
tags = st.sampled_from([*[""] * 40, *TAGS])
scalars = st.builds("{}{}".format, tags, st.sampled_from(SCALARS))


def mapping(entries: list[tuple[str, str]]) -> str:
    return "{" + ", ".join(f"{name}: {value}" for name, value in entries) + "}"


def containers(parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    mappings = st.lists(st.tuples(st.sampled_from(FIELDS), parts), max_size=3).map(mapping)
    lists = st.lists(parts, max_size=3).map(lambda items: "[" + ", ".join(items) + "]")
    return st.builds("{}{}".format, tags, mappings | lists)


values = st.recursive(scalars, containers, max_leaves=6)
lines = st.builds("{}: {}\n".format, st.sampled_from(FIELDS), values)
arms = st.builds("task: toys:toy\narms: {{a: {}}}\n".format, values)
heads = st.sampled_from(["", "task: toys:toy\n", HEAD, HEAD, HEAD])
files = arms | st.builds("{}{}{}".format, heads, lines, lines | st.just(""))


@settings(max_examples=1500)
@given(files)
def test_a4_any_file_is_a_study_or_errors_in_one_format(text: str) -> None:
    try:
        assert isinstance(read(text), Study)
    except (ValueError, TypeError) as error:
        for line in str(error).splitlines():
            assert ERROR.search(line), (text, line)
            assert "pydantic" not in line
