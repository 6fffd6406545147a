"""The comparison: tests against SciPy, Holm by hand, intervals consistent with the verdicts."""

import random

import numpy as np
import pytest
from scipy import stats

from lehr.study.stats.paired import compare, paired_test


def test_two_arms_are_scipys_paired_t() -> None:
    rng = random.Random(1)
    reference = [rng.gauss(0.8, 0.05) for _ in range(8)]
    arm = [r + rng.gauss(0.01, 0.02) for r in reference]
    expected = stats.ttest_rel(arm, reference)
    interval = expected.confidence_interval(0.95)
    found = compare(reference, {"b": arm})["b"]
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-9)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), rel=1e-9)
    assert (found.test, found.n, found.level) == ("paired t", 8, 0.05)


def test_holm_steps_down_by_hand() -> None:
    reference = [0.0] * 5
    arms = {
        "far": [1.0, 1.1, 0.9, 1.05, 0.95],
        "near": [0.10, 0.02, 0.11, 0.03, 0.08],
        "none": [0.1, -0.1, 0.05, -0.06, 0.02],
    }
    unadjusted = {name: stats.ttest_1samp(x, 0).pvalue for name, x in arms.items()}
    assert unadjusted["far"] < unadjusted["near"] < unadjusted["none"]
    found = compare(reference, arms)
    assert found["far"].p_value == pytest.approx(3 * unadjusted["far"], rel=1e-9)
    assert found["near"].p_value == pytest.approx(2 * unadjusted["near"], rel=1e-9)
    assert found["none"].p_value == pytest.approx(unadjusted["none"], rel=1e-9)
    # each interval has the level of its Holm step: 0.05 / 3, 0.05 / 2, 0.05
    for name, level in (("far", 0.05 / 3), ("near", 0.05 / 2), ("none", 0.05)):
        interval = stats.ttest_1samp(arms[name], 0).confidence_interval(1 - level)
        assert (found[name].low, found[name].high) == pytest.approx(tuple(interval), rel=1e-9)
    assert [c.verdict for c in found.values()] == ["better", "better", "undecided"]


def test_holm_stops_at_the_first_hypothesis_not_rejected() -> None:
    """The second p value would pass alone at 0.05; Holm stops at the first that does not pass."""
    reference = [0.0] * 4
    arms = {"a": [1.0, 0.2, 0.9, 0.6], "b": [1.1, 0.25, 0.8, 0.5]}
    unadjusted = sorted(stats.ttest_1samp(x, 0).pvalue for x in arms.values())
    assert 0.025 < unadjusted[0] < unadjusted[1] < 0.05
    found = compare(reference, arms)
    assert all(c.verdict == "undecided" and c.low < 0 < c.high for c in found.values())


@pytest.mark.parametrize("n", [6, 10, 13, 19])
@pytest.mark.parametrize("seed", range(15))
def test_an_interval_excludes_zero_exactly_when_there_is_a_verdict(seed: int, n: int) -> None:
    rng = random.Random(seed)
    reference = [rng.gauss(0, 1) for _ in range(n)]
    arms = {
        str(i): [r + rng.gauss(rng.choice([0, 0.5, 1.5]), 0.7) for r in reference] for i in range(5)
    }
    for c in compare(reference, arms).values():
        assert (c.low > 0 or c.high < 0) == (c.verdict != "undecided")
        assert (c.p_value <= 0.05) == (c.verdict != "undecided")
        assert c.low < c.difference < c.high


def test_less_is_better_in_mode_min() -> None:
    reference = [1.0, 2.0, 3.0]
    lower = [0.5, 1.51, 2.49]
    assert compare(reference, {"a": lower}, "min")["a"].verdict == "better"
    assert compare(reference, {"a": lower}, "max")["a"].verdict == "worse"


def test_equal_differences_are_judged_by_signs() -> None:
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


def test_undecided_names_the_number_of_seeds_to_add() -> None:
    """With the same mean and standard deviation, that many seeds decide, and one fewer does not."""
    differences = [0.3, -0.1, 0.2, 0.05, -0.05, 0.15]
    found = compare([0.0] * 6, {"a": differences})["a"]
    mean, std = np.mean(differences), np.std(differences, ddof=1)

    def p_value(n: int) -> float:
        return 2 * stats.t.sf(mean / (std / n**0.5), n - 1)

    assert found.verdict == "undecided"
    assert p_value(6 + found.more_seeds) < 0.05 < p_value(6 + found.more_seeds - 1)
    hopeless = compare([0.0] * 4, {"a": [1.0, -1.0, 1.0, -0.999]})["a"]
    assert hopeless.more_seeds is None


def scipys_p_value(pair: np.ndarray) -> float:
    found = stats.permutation_test(
        (pair,), np.mean, permutation_type="samples", n_resamples=np.inf, vectorized=True
    )
    return float(found.pvalue)


@pytest.mark.parametrize("n", [10, 12])
@pytest.mark.parametrize("images", [20, 10**6])  # accuracies of few images have many ties
def test_from_ten_seeds_on_the_p_value_is_scipys_exact_sign_flip(n: int, images: int) -> None:
    rng = np.random.default_rng(n)
    for shift in (0.0, 0.02, 0.05):
        reference, arm = np.round(rng.normal([[0.8], [0.8 + shift]], 0.05, (2, n)) * images)
        found = compare(list(reference / images), {"b": list(arm / images)})["b"]
        assert found.test == "sign flip"
        assert found.p_value == pytest.approx(scipys_p_value(arm - reference), rel=1e-12)


@pytest.mark.parametrize("level", [0.05, 0.05 / 7])
def test_the_sign_flip_interval_is_the_range_that_scipy_does_not_reject(level: float) -> None:
    pair = np.random.default_rng(3).exponential(size=12) - 0.7
    low, high = paired_test(list(pair), level).interval(level)
    for end, inwards in ((low, 1), (high, -1)):
        assert scipys_p_value(pair - end - inwards * 1e-9) > level
        assert scipys_p_value(pair - end + inwards * 1e-9) <= level


def test_many_seeds_draw_their_flips_and_stay_near_the_normal() -> None:
    """At 60 seeds t and sign flip agree except for the draws, which are the same every time."""
    rng = random.Random(5)
    pair = [rng.gauss(0.25, 1) for _ in range(60)]
    found = paired_test(pair)
    expected = stats.ttest_1samp(pair, 0)
    assert found.name == "sign flip"
    assert found.p_value == pytest.approx(expected.pvalue, abs=0.004)
    interval = expected.confidence_interval(0.95)
    assert found.interval(0.05) == pytest.approx((interval.low, interval.high), abs=0.02)
    assert found.p_value == paired_test(pair).p_value


def test_the_t_test_is_used_where_sign_flips_cannot_reach_the_level() -> None:
    """Ten signs reach 2 / 1024: sufficient for 25 arms at 0.05, not for 26."""
    reference = [0.0] * 10
    arm = [1.0, 1.1, 0.9, 1.2, 0.8, 1.3, 0.7, 1.25, 0.95, 1.05]
    tests = [compare(reference, {"a": arm}, family=m)["a"] for m in (25, 26)]
    assert [c.test for c in tests] == ["sign flip", "paired t"]
    assert [c.verdict for c in tests] == ["better", "better"]
    assert (tests[0].low, tests[0].high) == (0.7, 1.3)  # at k = 1 the smallest and the largest


def test_an_arm_with_fewer_seeds_is_paired_with_the_first_ones() -> None:
    reference = [0.5, 0.6, 0.7, 0.1, 0.9]
    arm = [0.55, 0.61, 0.78]
    found = compare(reference, {"a": arm})["a"]
    assert found.n == 3
    assert found.p_value == pytest.approx(stats.ttest_rel(arm, reference[:3]).pvalue, rel=1e-9)


def test_a_larger_family_and_another_alpha_are_corrected_for() -> None:
    reference = [0.0] * 5
    arm = [0.10, 0.02, 0.11, 0.03, 0.08]
    unadjusted = stats.ttest_1samp(arm, 0)
    found = compare(reference, {"a": arm}, alpha=0.1, family=4)["a"]
    assert (found.level, found.verdict) == (0.025, "better")
    assert found.p_value == pytest.approx(4 * unadjusted.pvalue, rel=1e-9)
    interval = unadjusted.confidence_interval(1 - 0.025)
    assert (found.low, found.high) == pytest.approx(tuple(interval), rel=1e-9)


def test_the_effect_size_is_cohens_dz() -> None:
    pair = [0.3, -0.1, 0.2, 0.05, -0.05, 0.15]
    found = compare([1.0] * 6, {"a": [1 + d for d in pair], "same": [1.0] * 6})
    assert found["a"].effect_size == pytest.approx(np.mean(pair) / np.std(pair, ddof=1), rel=1e-9)
    assert found["same"].effect_size is None


def test_twelve_equal_differences_decide_by_their_signs() -> None:
    found = compare([0.0] * 12, {"a": [0.125] * 12, "same": [0.0] * 12})
    assert (found["a"].p_value, found["a"].verdict) == (2 * 2**-11, "better")
    assert (found["a"].low, found["a"].high) == (0.125, 0.125)
    assert (found["same"].p_value, found["same"].verdict) == (1.0, "undecided")
    assert (found["same"].low, found["same"].high) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("arms", "options", "message"),
    [
        ({"b": [1.0]}, {}, "number of scores of b must be 2 to the reference's 3, got 1"),
        ({"b": [1.0] * 4}, {}, "number of scores of b must be 2 to the reference's 3, got 4"),
        ({"b": [1.0, float("nan")]}, {}, "scores of b and the reference must be finite"),
        ({"b": [1.0, 2.0]}, {"mode": "best"}, "mode must be one of min, max, got 'best'"),
        ({"b": [1.0, 2.0]}, {"alpha": 0}, "alpha must be a number above 0 and below 1, got 0"),
        ({"b": [1.0, 2.0]}, {"family": 0}, "family must be an integer >= 1, got 0"),
    ],
)
def test_wrong_input_is_rejected(arms: dict, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        compare([1.0, 2.0, 3.0], arms, **options)
