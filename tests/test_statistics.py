"""The comparison: paired t against SciPy, Holm by hand, intervals that agree with verdicts."""

import random

import numpy as np
import pytest
from scipy import stats

from lehr.study.statistics import compare


def test_two_arms_are_scipys_paired_t() -> None:
    rng = random.Random(1)
    reference = [rng.gauss(0.8, 0.05) for _ in range(8)]
    arm = [r + rng.gauss(0.01, 0.02) for r in reference]
    expected = stats.ttest_rel(arm, reference)
    interval = expected.confidence_interval(0.95)
    found = compare(reference, {"b": arm})["b"]
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-9)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), rel=1e-9)


def test_holm_steps_down_by_hand() -> None:
    reference = [0.0] * 5
    arms = {
        "far": [1.0, 1.1, 0.9, 1.05, 0.95],
        "near": [0.10, 0.02, 0.11, 0.03, 0.08],
        "none": [0.1, -0.1, 0.05, -0.06, 0.02],
    }
    alone = {name: stats.ttest_1samp(x, 0).pvalue for name, x in arms.items()}
    assert alone["far"] < alone["near"] < alone["none"]
    found = compare(reference, arms)
    assert found["far"].p_value == pytest.approx(3 * alone["far"], rel=1e-9)
    assert found["near"].p_value == pytest.approx(2 * alone["near"], rel=1e-9)
    assert found["none"].p_value == pytest.approx(alone["none"], rel=1e-9)
    # each interval at the level of its step: 0.05 / 3, 0.05 / 2, 0.05
    for name, level in (("far", 0.05 / 3), ("near", 0.05 / 2), ("none", 0.05)):
        interval = stats.ttest_1samp(arms[name], 0).confidence_interval(1 - level)
        assert (found[name].low, found[name].high) == pytest.approx(tuple(interval), rel=1e-9)
    assert [c.verdict for c in found.values()] == ["better", "better", "undecided"]


def test_after_one_that_stands_none_falls() -> None:
    """The second p value would pass alone at 0.05; Holm stops at the first that does not."""
    reference = [0.0] * 4
    arms = {"a": [1.0, 0.2, 0.9, 0.6], "b": [1.1, 0.25, 0.8, 0.5]}
    alone = sorted(stats.ttest_1samp(x, 0).pvalue for x in arms.values())
    assert 0.025 < alone[0] < alone[1] < 0.05
    found = compare(reference, arms)
    assert all(c.verdict == "undecided" and c.low < 0 < c.high for c in found.values())


@pytest.mark.parametrize("seed", range(30))
def test_an_interval_leaves_out_zero_exactly_when_there_is_a_verdict(seed: int) -> None:
    rng = random.Random(seed)
    reference = [rng.gauss(0, 1) for _ in range(6)]
    arms = {
        str(i): [r + rng.gauss(rng.choice([0, 0.5, 1.5]), 0.7) for r in reference] for i in range(5)
    }
    for c in compare(reference, arms).values():
        assert (c.low > 0 or c.high < 0) == (c.verdict != "undecided")
        assert (c.p_value <= 0.05) == (c.verdict != "undecided")
        assert c.low < c.difference < c.high


def test_less_is_better_where_the_mode_says_so() -> None:
    reference = [1.0, 2.0, 3.0]
    lower = [0.5, 1.51, 2.49]
    assert compare(reference, {"a": lower}, "min")["a"].verdict == "better"
    assert compare(reference, {"a": lower}, "max")["a"].verdict == "worse"


def test_differences_without_spread_are_judged_by_signs() -> None:
    reference = [1.0, 2.0, 4.0]
    found = compare(reference, {"same": reference, "shifted": [2.0, 3.0, 5.0]})
    assert (found["same"].p_value, found["same"].verdict) == (1.0, "undecided")
    # three equal signs have probability 1/4 by chance; Holm doubles it
    assert (found["shifted"].p_value, found["shifted"].verdict) == (0.5, "undecided")
    assert (found["shifted"].low, found["shifted"].high) == (0.0, 2.0)
    eight = [float(i) for i in range(8)]
    certain = compare(eight, {"shifted": [x + 1 for x in eight]})["shifted"]
    assert (certain.p_value, certain.verdict) == (2**-7, "better")
    assert (certain.low, certain.high) == (1.0, 1.0)


def test_undecided_says_how_many_more_seeds_would_tell() -> None:
    """With the same mean and spread, that many seeds decide, and one fewer does not."""
    differences = [0.3, -0.1, 0.2, 0.05, -0.05, 0.15]
    found = compare([0.0] * 6, {"a": differences})["a"]
    mean, spread = np.mean(differences), np.std(differences, ddof=1)

    def p_value(n: int) -> float:
        return 2 * stats.t.sf(mean / (spread / n**0.5), n - 1)

    assert found.verdict == "undecided"
    assert p_value(6 + found.more_seeds) < 0.05 < p_value(6 + found.more_seeds - 1)
    hopeless = compare([0.0] * 4, {"a": [1.0, -1.0, 1.0, -0.999]})["a"]
    assert hopeless.more_seeds is None
