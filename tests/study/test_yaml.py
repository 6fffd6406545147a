"""A study as a YAML file: equal to the Python objects; errors are reported by line."""

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from study_strategies import studies

import lehr
from lehr.study import Arm, Study, load_study
from lehr.study.yaml import dump_study, study_of

FULL = """
task: toys:optional
options: {noise: 0.2}
arms:
  fixed: {preset: constant, peak: tune}
  one-cycle: {preset: one-cycle, peak: tune}
  triangle: {preset: triangular2, floor: 0.1, peak: tune, half_cycle: 1 epoch}
  flat: {preset: flat-cosine, peak: tune, hold: 80%, tune: constant}
  short: warmup(0.1, 5%) then cosine(0.1)
  number: 0.01
  json: {policy: {lehr: 2, kind: policy, lr: {kind: constant, value: 1.0}}, tune: constant}
  other: {policy: one-cycle(1.0), tune: one-cycle, optimizer: adam}
epochs: [2, 4]
seeds: 6
tuning_seeds: 2
peaks: 3
metric: loss
mode: min
judge: best
target: 0.25
stop_early: true
storage: elsewhere
"""


def read(tmp_path: Path, text: str) -> Study:
    path = tmp_path / "study.yaml"
    path.write_text(text)
    return load_study(path)


def wanted() -> Study:
    arms = {
        "fixed": Arm(lehr.constant(1.0), tune="constant"),
        "one-cycle": Arm(lehr.one_cycle(1.0), tune="one-cycle"),
        "triangle": Arm(lehr.triangular2(0.1, 1.0, "1 epoch"), tune="cyclical"),
        "flat": Arm(lehr.flat_cosine(1.0, "80%"), tune="constant"),
        "short": Arm(lehr.warmup(0.1, "5%").then(lehr.cosine(0.1))),
        "number": Arm(0.01),
        "json": Arm(1.0, tune="constant"),
        "other": Arm(lehr.one_cycle(1.0), tune="one-cycle", optimizer="adam"),
    }
    return Study(
        "toys:optional",
        arms,
        options={"noise": 0.2},
        epochs=(2, 4),
        seeds=6,
        tuning_seeds=2,
        peaks=3,
        metric="loss",
        mode="min",
        judge="best",
        target=0.25,
        stop_early=True,
        storage="elsewhere",
    )


def test_a_file_equals_the_python_objects(tmp_path: Path) -> None:
    study = read(tmp_path, FULL)
    assert study == wanted()
    assert os.fspath(study.storage) == "elsewhere"


def test_a_written_file_reads_as_the_same_study(tmp_path: Path) -> None:
    assert read(tmp_path, dump_study(wanted())) == wanted()
    short = Study("toys:toy", {"a": 0.1}, steps=20)
    assert read(tmp_path, dump_study(short)) == short
    assert study_of(wanted().to_dict(), "x").to_dict() == wanted().to_dict()


@settings(max_examples=50)
@given(studies())
def test_any_study_can_be_written_and_read(study: Study) -> None:
    with tempfile.TemporaryDirectory() as folder:
        assert read(Path(folder), dump_study(study)) == study


def test_a_written_file_has_the_short_form_of_each_arm() -> None:
    tuned = Arm(lehr.cosine(1.0), tune="one-cycle", optimizer="adam")
    quoted = lehr.warmup(0.1, "5%")
    text = dump_study(Study("toys:anything", {"a": 0.01, "b": tuned, "c": quoted}, seeds=4))
    assert text.startswith(
        "task: toys:anything\narms:\n  a: 0.01\n"
        "  b: {policy: cosine(1.0), tune: one-cycle, optimizer: adam}\n"
        "  c: \"warmup(0.1, '5%')\"\nepochs: 5\nseeds: 4\n"
    )


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        ("arms: {a: 0.1}\n", [r"study\.yaml: task must be given"]),
        ("task: toys:toy\n", [r"study\.yaml: arms must be given"]),
        (
            "task: toys:toy\nepoch: 3\narms:\n  a: 0.1\n",
            [r"study\.yaml:2: field of a study must be one of .*'epoch'; did you mean epochs"],
        ),
        (
            "task: toys:toy\narms: {a: 0.1}\nseeds: one\nmode: up\n",
            [
                r"yaml:3: seeds must be an integer, got 'one'",
                r"yaml:4: mode must be one of max, min, got 'up'",
            ],
        ),
        (
            "task: toys:toy\narms: {a: 0.1}\nseeds: 0\npeaks: true\nstop_early: 1\n"
            "options: 3\nstorage: 3\ntarget: x\nseeds: 1001\n",
            [
                r"yaml:9: seeds must be given once",
                r"yaml:3: seeds must be an integer <= 1000, got 1001",
                r"yaml:4: peaks must be an integer, got True",
                r"yaml:5: stop_early must be true or false, got 1",
                r"yaml:6: options must be a mapping, got 3",
                r"yaml:7: storage must be text, got 3",
                r"yaml:8: target must be a number, got 'x'",
            ],
        ),
        (
            "task: toys:toy\narms: {1: 0.1}\n",
            [r"yaml:2: name in arms must be text, got 1; write it in quotes"],
        ),
        (
            "task: toys:toy\narms: {a: 0.1}\n3: 4\n",
            [r"yaml:3: field must be text, got 3; write it in quotes"],
        ),
        (
            "task: toys:toy\narms: {a: 0.1}\npatience: 0\n",
            [r"yaml:3: patience must be an integer >= 1, got 0"],
        ),
        (
            "task: toys:toy\narms: [0.1]\n",
            [r"yaml:2: arms must be a mapping from names .*, got \[0\.1\]; write for instance {"],
        ),
        ("task: toys:toy\narms: {}\n", [r"yaml:2: arms must be a mapping .* at least one, got {}"]),
        (
            "task: toys:toy\narms:\n  a: null\n  b: {preset: cosine}\n  c: {preset: linear}\n"
            "  d: {policy: [1]}\n  e: {preset: 3}\n",
            [
                r"yaml:3: arms\.a: arm must be a policy, or a mapping .*, got None; write for inst",
                r"yaml:4: arms\.b: peak must be given for cosine, got None; .*, or peak: tune",
                r"yaml:5: arms\.c: start must be given for linear, got None",
                r"yaml:6: arms\.d\.policy: policy must be text, a number or the JSON of a policy",
                r"yaml:7: arms\.e\.preset: preset must be text, got 3",
            ],
        ),
        (
            "task: toys:toy\narms: {a: 0.1}\nepochs: [4, 2]\n",
            [r"yaml:3: epochs must be an integer or several in increasing order, got \[4, 2\]"],
        ),
        (
            "task: toys:toy\narms: {a: 0.1}\nepochs: 0\n",
            [r"yaml:3: epochs must be an integer >= 1, got 0"],
        ),
        (
            "task: toys:toi\narms: {a: 0.1}\n",
            [r"yaml: function of toys must be one of .*; did you mean toy"],
        ),
        (
            "task: digit-mlp\narms: {a: 0.1}\n",
            [r"yaml:1: task must be one of .*; did you mean digits-mlp"],
        ),
        (
            "task: toys:toy\narms:\n  a: cosin(0.1)\n  b: {preset: one-cyle, peak: tune}\n",
            [
                r"yaml:3: arms\.a: function must be one of .*did you mean cosine",
                r"yaml:4: arms\.b: preset must be one of .*did you mean one-cycle",
            ],
        ),
        (
            "task: toys:toy\narms:\n  a: {policy: 0.1, tun: constant}\n",
            [r"yaml:3: arms\.a: field of an arm must be one of .*did you mean tune"],
        ),
        (
            "task: toys:toy\narms:\n  a: {preset: cosine, peek: tune}\n",
            [r"yaml:3: arms\.a: argument of cosine must be one of .*did you mean peak"],
        ),
        (
            "task: toys:toy\narms:\n  a: {preset: constant, value: tune}\n"
            "  b: {preset: one-cycle, peak: 1, end: tune}\n  c: {preset: linear, peak: tune}\n",
            [
                r"yaml:3: arms\.a: value must be a number, got 'tune'; write peak: tune",
                r"yaml:4: arms\.b: end must be a number, got 'tune'; write peak: tune",
                r"yaml:5: arms\.c: peak must be a number, got 'tune'; linear has no peak: ",
            ],
        ),
        (
            "task: toys:toy\narms:\n  a: {preset: cosine, policy: 0.1}\n",
            [r"yaml:3: arms\.a: arm must be a policy or a preset"],
        ),
        (
            "task: toys:toy\narms:\n  a:\n    policy: 1.0\n    tune: always\n",
            [r"yaml:5: arms\.a\.tune: tune must be one of constant, .*, cyclical, got 'always'"],
        ),
        (
            "task: toys:toy\narms: {a: 0.1}\noptions: {size: 3}\n",
            [r"yaml:3: options of toys:toy must be arguments of the function"],
        ),
        (
            "task: toys:toy\narms:\n  a: 0.1\n  a: 0.2\nseeds: 2\nseeds: 3\n",
            [r"yaml:6: seeds must be given once", r"yaml:4: a must be given once"],
        ),
        ("task: [1\n", [r"yaml:2: study file must be YAML, got ''; expected ',' or ']'"]),
        ("- task\n", ["study file must be a mapping with task and arms"]),
    ],
)
def test_each_error_names_line_field_and_allowed_values(
    text: str, messages: list[str], tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=messages[0]) as caught:
        read(tmp_path, text)
    assert len(str(caught.value).splitlines()) == len(messages)
    for message in messages[1:]:
        assert caught.match(message)


def test_yaml_scalars_and_lists_are_converted(tmp_path: Path) -> None:
    study = read(
        tmp_path,
        "task: toys:toy\ntarget: 1e-3\narms:\n"
        "  a: {preset: one-cycle, peak: 1e-2, momentum: [0.9, 0.8]}\n"
        "  b: {preset: one-cycle, peak: 1e-2, momentum: null}\n",
    )
    assert study.target == 0.001
    assert study.arms["a"].policy == lehr.one_cycle(0.01, momentum=[0.9, 0.8])
    assert study.arms["b"].policy == lehr.one_cycle(0.01, momentum=None)


def test_a_task_in_the_folder_of_the_file_is_found(tmp_path: Path) -> None:
    (tmp_path / "beside_the_file.py").write_text("from toys import toy\n")
    study = read(tmp_path, "task: beside_the_file:toy\narms: {a: 0.1}\n")
    assert study.task == "beside_the_file:toy"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"study file must be a file that can be read, got .*none"):
        load_study(tmp_path / "none.yaml")
    with pytest.raises(TypeError, match=r"^path must be the path of a YAML file, got 3$"):
        load_study(3)  # type: ignore[arg-type]
