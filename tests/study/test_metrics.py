"""Metrics and losses of a task: numbers of every library, and other values."""

import fractions
import math
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
import torch
import toys
from toys import Toy

import lehr
from lehr.learner import Snapshot, Trace, real
from lehr.study import Study, TrialError, trial
from lehr.study.jobs import SWEEP
from lehr.study.trial import run_job

NUMBERS = {
    "np.float32": np.float32(0.5),
    "np.float16": np.float16(0.5),
    "np.int64": np.int64(2),
    "0-d array": np.array(0.5),
    "0-d integer array": np.array(3),
    "torch": torch.tensor(0.5, requires_grad=True),
    "torch bfloat16": torch.tensor(0.5, dtype=torch.bfloat16),
    "jax": jnp.float32(0.5),
    "jax bfloat16": jnp.bfloat16(0.5),
    "integer": 1,
    "fraction": fractions.Fraction(1, 2),
    "nan": math.nan,
    "np.nan": np.float32("nan"),
    "inf": -math.inf,
    "10**400": 10**400,
}
OTHERS = {
    "text": "0.5",
    "None": None,
    "complex": 1j,
    "np.complex64": np.complex64(1j),
    "bool": True,
    "np.bool": np.True_,
    "list": [0.5],
    "one-element array": np.array([0.5]),
    "array": np.zeros(3),
    "torch vector": torch.zeros(2),
    "np.str": np.str_("0.5"),
    "bytes": b"1",
    "function": len,
    "date": np.datetime64("2001-01-01"),
    "object array": np.array(None),
}


class Odd(Toy):
    """Returns a given value as the accuracy, the loss or the whole result; counts its updates."""

    def __init__(self, seed: int, place: str, value: object) -> None:
        super().__init__(seed)
        self.place, self.value = place, value

    def evaluate(self, split="validation"):
        metrics = super().evaluate(split)
        if self.place == "result":
            return self.value
        if self.place == split or self.place == "metric":
            metrics["accuracy"] = self.value
        return metrics | ({self.value: 0.5} if self.place == "name" else {})

    def update(self, values):
        with Path("updates").open("a") as file:
            file.write("x")
        loss, used = super().update(values)
        return self.value if self.place == "loss" else loss, used


def make(seed: int, place: str, kind: str) -> Odd:
    names = {"number": 3, "tuple": ("a",)}
    return Odd(seed, place, (NUMBERS | OTHERS | names)[kind])


def updates() -> int:
    return Path("updates").stat().st_size if Path("updates").exists() else 0


@pytest.fixture(autouse=True)
def tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run in an empty folder; worker processes find this module."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(Path(__file__).parent))


def job(place: str, kind: str, **changes: object) -> dict:
    options = {"place": place, "kind": kind}
    task = {"task": "test_metrics:make", "options": options, "budget": 1}
    return toys.trial_job(lehr.Policy(0.01), **task | changes)


@pytest.mark.parametrize("kind", NUMBERS)
def test_a13_numbers_become_floats(kind: str) -> None:
    found = real("x", NUMBERS[kind])
    assert type(found) is float
    special = {"10**400": math.inf, "torch": 0.5}  # float(tensor) warns of its gradient
    expected = special[kind] if kind in special else float(NUMBERS[kind])
    assert found == expected or math.isnan(expected)


@pytest.mark.parametrize("kind", OTHERS)
def test_a13_other_values_are_rejected(kind: str) -> None:
    with pytest.raises(TypeError, match=r"^metric x must be a number, got "):
        real("metric x", OTHERS[kind])


@pytest.mark.parametrize("kind", NUMBERS)
@pytest.mark.parametrize("place", ["metric", "loss"])
@pytest.mark.parametrize("judge", ["final", "best"])
def test_a13_a_trial_takes_numbers_of_every_type(judge: str, place: str, kind: str) -> None:
    record = run_job(job(place, kind, judge=judge), Path("checkpoints"))
    record.save("x.npz")
    expected = real("x", NUMBERS[kind])
    if place == "metric":
        wanted = expected if math.isfinite(expected) else None
        assert Snapshot.load("x.npz").metadata["test"]["accuracy"] == wanted
    else:
        losses = Snapshot.load("x.npz").arrays["losses"].tolist()
        assert losses == [expected] * 8 or math.isnan(expected)


@pytest.mark.parametrize("kind", OTHERS)
@pytest.mark.parametrize("kind_of_job", ["trial", "sweep"])
@pytest.mark.parametrize("place", ["validation", "test", "metric"])
def test_a13_other_metrics_are_rejected_before_the_training(
    place: str, kind_of_job: str, kind: str
) -> None:
    # the test split of a task is checked in its first trial in a process
    trial._tested.clear()
    message = r"metric accuracy of test_metrics:make must be a number, got "
    with pytest.raises(TypeError, match=message):
        run_job(job(place, kind) | SWEEP | {"kind": kind_of_job}, Path("checkpoints"))
    assert updates() <= 8  # 2 times 4: the check that a learner is reusable


@pytest.mark.parametrize(
    ("place", "kind", "message"),
    [
        (
            "result",
            "None",
            r"evaluate\('validation'\) of .* must be a dict of numbers .*, got None",
        ),
        (
            "result",
            "list",
            r"evaluate\('validation'\) of .* must be a dict of numbers .*, got \[0.5",
        ),
        ("name", "number", "name of a metric of test_metrics:make must be text, got 3"),
        ("name", "tuple", r"name of a metric of test_metrics:make must be text, got \('a',\)"),
        ("loss", "text", "loss must be a number, got '0.5'"),
        ("loss", "None", "loss must be a number, got None"),
        ("loss", "array", "loss must be a number, got array"),
    ],
)
def test_a13_other_results_are_rejected(place: str, kind: str, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        run_job(job(place, kind), Path("checkpoints"))
    assert updates() <= 8


def test_a13_a_study_names_task_metric_and_value() -> None:
    arm = lehr.study.Arm(1.0, tune="constant")
    options = {"place": "test", "kind": "text"}
    study = Study("test_metrics:make", {"a": arm}, epochs=1, seeds=1, options=options)
    with pytest.raises(TrialError, match="TypeError: metric accuracy of test_metrics:make must be"):
        study.run(workers=1)
    assert updates() == 3 * 8  # three range tests


@pytest.mark.parametrize("kind", ["np.float32", "0-d array", "jax"])
def test_a13_a_range_test_takes_losses_of_every_type(kind: str) -> None:
    class Run(Odd):
        def evaluate(self, split="validation"):
            return {"loss": NUMBERS[kind]}

    sweep = lehr.range_test(Run(0, "", None), steps=20, objective="validation")
    assert sweep.losses == (0.5,) * 20
    assert lehr.Sweep.from_dict(sweep.to_dict()) == sweep


def test_a13_losses_and_rates_of_a_trace_are_floats() -> None:
    class Run(Toy):
        def make_updates(self, policy, values):
            losses, rates = super().make_updates(policy, values)
            return np.array(losses), {name: np.array(v, float) for name, v in rates.items()}

    trace = Run(0).train(lehr.Policy(0.25), 5)
    assert isinstance(trace, Trace)
    assert {type(x) for x in (*trace.losses, *trace.rates["lr"])} == {float}
    assert trace.rates["lr"] == [0.25] * 5
