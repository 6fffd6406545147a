"""Metrics and losses of a task: numbers of every library, and other values."""

import fractions
import math
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
import torch
from toys import Toy

import lehr
from lehr.learner import Trace, real
from lehr.study import Study, TrialError

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


@pytest.fixture(autouse=True)
def tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run in an empty folder; worker processes find this module."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(Path(__file__).parent))


def study(place: str, kind: str, arm: object = 0.01) -> Study:
    options = {"place": place, "kind": kind}
    return Study("test_metrics:make", {"a": arm}, epochs=1, seeds=1, options=options, peaks=1)


@pytest.mark.parametrize("kind", NUMBERS)
def test_a13_numbers_become_floats(kind: str) -> None:
    found = real("x", NUMBERS[kind])
    assert type(found) is float
    expected = math.inf if kind == "10**400" else float(NUMBERS[kind])
    assert found == expected or math.isnan(expected)


@pytest.mark.parametrize("kind", OTHERS)
def test_a13_other_values_are_rejected(kind: str) -> None:
    with pytest.raises(TypeError, match=r"^metric x must be a number, got "):
        real("metric x", OTHERS[kind])


@pytest.mark.parametrize("kind", ["np.float32", "0-d array", "jax", "torch", "nan", "10**400"])
@pytest.mark.parametrize("place", ["metric", "loss"])
def test_a13_a_study_takes_numbers_of_every_type(place: str, kind: str) -> None:
    results = study(place, kind).run(workers=1)
    record = results.trials["a", 1, 0]
    if place == "metric":
        expected = float(NUMBERS[kind]) if kind != "10**400" else math.inf
        (score,) = results.scores("a")
        assert score == (
            expected if math.isfinite(expected) else pytest.approx(math.nan, nan_ok=True)
        )
    else:
        assert all(type(loss) is float for loss in record.trace.losses)


@pytest.mark.parametrize("kind", ["text", "None", "complex", "bool", "list", "array"])
@pytest.mark.parametrize("arm", [0.01, lehr.study.Arm(1.0, tune="constant")], ids=["", "tuned"])
@pytest.mark.parametrize("place", ["validation", "test", "metric"])
def test_a13_other_metrics_are_rejected_before_the_training(
    place: str, arm: object, kind: str
) -> None:
    message = r"metric accuracy of test_metrics:make must be a number, got "
    with pytest.raises(TrialError, match=message):
        study(place, kind, arm).run(workers=1)
    # the check that a learner is reusable makes 2 times 4 updates
    assert Path("updates").stat().st_size == 8 * (1 if arm == 0.01 else 3)


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
    with pytest.raises(TrialError, match=message):
        study(place, kind).run(workers=1)
    assert Path("updates").stat().st_size <= 8


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
