"""Invalid input that was accepted or raised an error of Python: the low cases of an attack."""

import numpy as np
import pytest

import lehr


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (
            lambda: lehr.Policy({0: 0.1, "0": 0.2}),
            ValueError,
            r"lr must be a dict without a group twice, .*, got \[0, '0'\]",
        ),
        (lambda: lehr.table({0.3, 0.2}), TypeError, "values must be a list of at least one number"),
        (lambda: lehr.table(5), TypeError, "values must be a list of at least one number, got 5"),
        (
            lambda: lehr.multi_step(0.1, 1e308, [3, 5]),
            ValueError,
            r"factor must be a number whose power 2 is finite, got 1e\+308",
        ),
        (
            lambda: lehr.exponential(1.0, 1.0, 1e-300),
            ValueError,
            "timescale must be at least 1e-09 steps, got 1e-300",
        ),
        (
            lambda: lehr.warmup(0.1, 5, curve=np.zeros(3)),
            ValueError,
            r"curve must be one of linear, .*, got array\(\[0",
        ),
        (lambda: lehr.flat_cosine(float("nan"), 5), ValueError, "peak must be a number above 0"),
        (
            lambda: lehr.Plateau().update(lehr.Plateau().init(), "x"),
            TypeError,
            "metric must be a number, got 'x'",
        ),
        (
            lambda: lehr.Plateau().update(lehr.Plateau().init(), None),
            TypeError,
            "metric must be a number, got None",
        ),
    ],
)
def test_invalid_values_are_rejected(make, error, match):
    with pytest.raises(error, match=match):
        make()


@pytest.mark.parametrize(
    ("fields", "error", "match"),
    [
        ({"metric": None}, TypeError, "metric must be the name of a metric of the task, got None"),
        ({"metric": ""}, TypeError, "metric must be the name of a metric"),
        ({"options": ""}, TypeError, "options must be a dict of plain values by name, got ''"),
        ({"tuning_seeds": 10**9}, ValueError, "tuning_seeds must be at most 1000, got 1000000000"),
        ({"peaks": 3001}, ValueError, "peaks must be at most 25, got 3001"),
    ],
)
def test_invalid_studies_are_rejected(fields, error, match):
    with pytest.raises(error, match=match):
        lehr.Study("digits-mlp", {"a": 0.1, "b": 0.2}, **fields)


def test_sequences_of_any_kind_make_a_table():
    expected = lehr.table([0.25, 0.5])
    for values in ((0.25, 0.5), np.array([0.25, 0.5]), (x / 4 for x in (1, 2))):
        assert lehr.table(values) == expected


def test_a_number_is_the_shortest_text_of_an_arm():
    study = lehr.Study("digits-mlp", {"a": 0.1, "b": lehr.cosine(0.1)}, epochs=2)
    assert repr(study) == "Study('digits-mlp', {'a': 0.1, 'b': cosine(0.1)}, epochs=2)"
    assert eval(repr(study), vars(lehr) | {"Study": lehr.Study, "cosine": lehr.cosine}) == study
