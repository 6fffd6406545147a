"""Studies and arms are values: eval(repr(x)) == x, and they are immutable."""

import copy
import dataclasses
import json
import pickle
from pathlib import Path

import pytest
from hypothesis import given, settings
from study_strategies import arms, studies

import lehr
from lehr.study import Arm, Results, Study

NAMES = {name: getattr(lehr, name) for name in lehr.__all__} | {
    name: getattr(lehr.schedule, name) for name in dir(lehr.schedule) if name[0].isupper()
}


@settings(max_examples=200)
@given(arms())
def test_the_repr_of_an_arm_is_its_code(arm: Arm) -> None:
    assert eval(repr(arm), dict(NAMES)) == arm


@settings(max_examples=100)
@given(studies())
def test_the_repr_of_a_study_is_its_code(study: Study) -> None:
    back = eval(repr(study), dict(NAMES))
    assert back == study
    assert back.storage == study.storage
    assert hash(back) == hash(study)
    assert back.to_dict() == study.to_dict()


@pytest.mark.parametrize(
    ("arm", "text"),
    [
        (Arm(0.1), "Arm(0.1)"),
        (Arm(lehr.cosine(1.0), tune="one-cycle"), "Arm(cosine(1.0), tune='one-cycle')"),
        (
            Arm(lehr.Policy(lehr.cosine(0.1)), optimizer="adam"),
            "Arm(cosine(0.1), optimizer='adam')",
        ),
    ],
)
def test_the_repr_of_an_arm_is_short(arm: Arm, text: str) -> None:
    assert repr(arm) == text


def test_the_repr_of_a_study_is_short() -> None:
    policies = {"a": 0.1, "b": lehr.cosine(0.1), "c": Arm(lehr.cosine(1.0), tune="one-cycle")}
    text = "'a': 0.1, 'b': cosine(0.1), 'c': Arm(cosine(1.0), tune='one-cycle')"
    assert repr(Study("toys:toy", policies, epochs=5)) == f"Study('toys:toy', {{{text}}})"
    study = Study("toys:anything", {"a": 0.1}, steps=20, options={"b": [1]}, storage=Path("x"))
    rest = "steps=20, options={'b': (1,)}, storage='x'"
    assert repr(study) == f"Study('toys:anything', {{'a': 0.1}}, {rest})"


@pytest.mark.parametrize(
    "copied",
    [copy.copy, copy.deepcopy, dataclasses.replace, lambda s: pickle.loads(pickle.dumps(s))],
)
def test_copies_are_equal(copied) -> None:
    policies = {"a": lehr.one_cycle(0.1), "b": Arm(1.0, tune="constant")}
    study = Study("toys:anything", policies, options={"layers": [1, 2]}, storage="x")
    back = copied(study)
    assert (back, hash(back), back.storage) == (study, hash(study), "x")
    assert len({study, back, dataclasses.replace(study, seeds=9)}) == 2


def test_a_study_cannot_be_changed() -> None:
    options = {"layers": [1, {"units": 2}]}
    study = Study("toys:anything", {"a": 0.1}, options=options)
    options["layers"].append(3)
    with pytest.raises(TypeError, match="this dict must not be changed"):
        study.arms["b"] = Arm(0.2)
    with pytest.raises(TypeError, match="this dict must not be changed"):
        study.options["layers"] = 1
    with pytest.raises(TypeError, match="this dict must not be changed"):
        study.options["layers"][1]["units"] = 3
    with pytest.raises(AttributeError, match="cannot assign to field 'seeds'"):
        study.seeds = 3
    assert study.options == {"layers": (1, {"units": 2})}


def test_a_task_receives_options_as_plain_data() -> None:
    options = {"layers": [1, {"units": [2]}]}
    study = Study("toys:anything", {"a": 0.1}, options=options)
    job = study.trial_job("a", None, 5, 0)
    assert json.loads(json.dumps(job)) == job
    assert job["options"] == study.to_dict()["options"] == options


def test_only_task_and_arms_are_positional() -> None:
    with pytest.raises(TypeError, match="positional argument"):
        Study("toys:toy", {"a": 0.1}, 5)
    with pytest.raises(TypeError, match="positional argument"):
        Arm(1.0, "constant")


@pytest.mark.parametrize(
    ("arms", "seeds", "text"),
    [
        ({"fixed": 0.1, "b": 0.2, "c": 0.3}, 8, "3 arms, 8 seeds, reference 'fixed'"),
        ({"it's": 0.1}, 1, '1 arm, 1 seed, reference "it\'s"'),
    ],
)
def test_the_repr_of_results_is_short(arms: dict, seeds: int, text: str) -> None:
    results = Results(Study("toys:toy", arms, seeds=seeds), {}, {}, {}, {})
    assert repr(results) == f"<Results: toys:toy, {text}>"
