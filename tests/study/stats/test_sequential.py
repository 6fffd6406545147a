"""Interim looks: the spending against published bounds, stops and verdicts by hand."""

import math
import random

import pytest
from scipy import stats

from lehr.study.stats.paired import compare
from lehr.study.stats.sequential import cannot_win, increments, judge, looks, spent


def test_looks_are_every_four_seeds_without_a_single_last_one() -> None:
    expected = {
        2: (2,),
        4: (4,),
        5: (5,),
        6: (4, 6),
        8: (4, 8),
        9: (4, 9),
        10: (4, 8, 10),
        16: (4, 8, 12, 16),
    }
    assert {n: looks(n) for n in expected} == expected
    with pytest.raises(ValueError, match="seeds must be an integer >= 2, got 1"):
        looks(1)


def test_spending_is_the_published_one() -> None:
    """Five equal looks at one-sided 0.025: O'Brien-Fleming bounds 4.8769, 3.3569, ..."""
    first, second = 4.8769, 3.3569
    assert spent(0.2, 0.025) == pytest.approx(stats.norm.sf(first), rel=1e-3)
    # the scores of two looks have correlation sqrt(0.2 / 0.4); -Z has the same distribution
    both = stats.multivariate_normal([0, 0], [[1, 0.5**0.5], [0.5**0.5, 1]]).cdf([-first, -second])
    either = stats.norm.sf(first) + stats.norm.sf(second) - both
    assert spent(0.4, 0.025) == pytest.approx(either, rel=1e-3)
    assert spent(1.0) == pytest.approx(0.05, rel=1e-12)
    assert 0 <= spent(1e-6) < 1e-300


@pytest.mark.parametrize("seeds", [5, 8, 10, 40])
def test_increments_add_up_to_alpha(seeds: int) -> None:
    levels = increments(seeds, 0.05)
    assert tuple(levels) == looks(seeds)
    assert math.fsum(levels.values()) == pytest.approx(0.05, rel=1e-12)
    assert min(levels.values()) == next(iter(levels.values()))  # the first look spends least


def near(base: list[float], shift: float, std: float, seed: int) -> list[float]:
    rng = random.Random(seed)
    return [value + shift + rng.gauss(0, std) for value in base]


BASE = near([0.8] * 8, 0, 0.01, seed=0)


def test_an_arm_cannot_win_whose_interval_lies_below_the_best() -> None:
    scores = {"a": BASE, "far": near(BASE, -0.1, 0.01, 1), "near": near(BASE, -0.005, 0.01, 2)}
    assert cannot_win(scores) == {"far": "a"}
    turned = {name: [-s for s in values] for name, values in scores.items()}
    assert cannot_win(turned, "min") == {"far": "a"}


def test_stopping_is_corrected_for_all_pairs() -> None:
    """An arm behind at p = 0.0124 stops among three arms, not among four, which make six pairs."""
    lost = near(BASE, -0.01, 0.0068, 3)
    p = stats.ttest_rel(lost, BASE).pvalue
    assert 0.05 / 6 < p < 0.05 / 3
    two = {"a": BASE, "lost": lost}
    three = two | {"b": near(BASE, -0.002, 0.004, 4)}
    four = three | {"c": near(BASE, -0.002, 0.004, 6)}
    assert [set(cannot_win(scores)) for scores in (two, three, four)] == [{"lost"}, {"lost"}, set()]
    # an arm stopped earlier still counts as a pair, and is not listed again
    stopped_before = three | {"c": [0.1] * 4}
    assert cannot_win(stopped_before) == {}


def test_a_diverged_arm_cannot_win_while_another_is_finite() -> None:
    bad = [*BASE[:7], math.nan]
    assert cannot_win({"bad": bad, "good": BASE, "worse": [math.inf] * 8}) == {
        "bad": "good",
        "worse": "good",
    }
    assert cannot_win({"bad": bad, "worse": [math.inf] * 8}) == {}


def test_equal_arms_are_not_stopped() -> None:
    assert cannot_win({"a": BASE, "b": list(BASE)}) == {}
    constant_gap = {"a": [1.0] * 4, "b": [0.5] * 4}  # four equal signs decide nothing at 0.05
    assert cannot_win(constant_gap) == {}


def test_without_looks_the_judgement_is_the_comparison() -> None:
    scores = {"a": BASE, "b": near(BASE, 0.02, 0.01, 6), "c": near(BASE, 0, 0.01, 7)}
    others = {name: scores[name] for name in "bc"}
    assert judge(scores, "a") == compare(BASE, others)
    with_a_diverged = scores | {"d": [math.nan] * 8}
    assert judge(with_a_diverged, "a") == compare(BASE, others)
    assert judge(scores, "b") == compare(scores["b"], {"a": BASE, "c": scores["c"]})


def test_a_stopped_arm_is_judged_at_its_look_and_the_others_at_the_rest() -> None:
    first, rest = increments(8).values()
    scores = {
        "a": BASE,
        "stopped": near(BASE, -0.1, 0.002, 8)[:4],
        "b": near(BASE, 0.02, 0.01, 9),
        "c": near(BASE, 0, 0.01, 10),
    }
    found = judge(scores, "a", stopped={"stopped": 4})
    at_four = stats.ttest_rel(scores["stopped"], BASE[:4])
    interval = at_four.confidence_interval(1 - first / 3)
    stopped = found["stopped"]
    assert (stopped.n, stopped.verdict) == (4, "worse")
    assert stopped.level == pytest.approx(first / 3, rel=1e-12)
    assert (stopped.low, stopped.high) == pytest.approx(tuple(interval), rel=1e-9)
    assert stopped.p_value == pytest.approx(3 * at_four.pvalue * 0.05 / first, rel=1e-9)
    assert found["b"].level == pytest.approx(rest / 3, rel=1e-12)
    assert found["c"].level == pytest.approx(rest / 2, rel=1e-12)
    assert [found[name].verdict for name in "bc"] == ["better", "undecided"]
    assert list(found) == ["stopped", "b", "c"]
    # interim looks cost power even if no arm was stopped
    assert judge(scores | {"stopped": BASE}, "a", stopped={})["c"].level < 0.05


@pytest.mark.parametrize("seed", range(20))
def test_p_values_are_compared_with_alpha_at_every_look(seed: int) -> None:
    rng = random.Random(seed)
    base = [rng.gauss(0, 1) for _ in range(12)]
    shifts = {f"arm {i}": rng.choice([0, 1, -4]) for i in range(5)}
    scores = {
        name: near(base, shift, 0.7, seed + i) for i, (name, shift) in enumerate(shifts.items())
    }
    stopped = {"arm 0": 4, "arm 1": 8}
    ended = {name: s[: stopped.get(name, 12)] for name, s in scores.items()}
    for c in judge({"base": base} | ended, "base", stopped=stopped).values():
        assert (c.p_value <= 0.05) == (c.verdict != "undecided") == (c.low > 0 or c.high < 0)


def test_a_study_that_ends_early_names_the_planned_seeds() -> None:
    """When all other arms are stopped the reference needs no more seeds either."""
    scores = {"a": BASE[:4], "b": near(BASE, -0.1, 0.002, 8)[:4]}
    found = judge(scores, "a", stopped={"b": 4}, seeds=8)["b"]
    assert found.level == pytest.approx(spent(0.5), rel=1e-9)


@pytest.mark.parametrize(
    ("stopped", "message"),
    [
        ({"b": 3}, r"stopped\['b'\] must be one of the looks \[4, 8\], got 3"),
        ({}, "number of scores of b must be 8, as at its last look, got 5"),
    ],
)
def test_an_impossible_stop_is_rejected(stopped: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        judge({"a": BASE, "b": BASE[:5]}, "a", stopped=stopped)


def test_a_reference_must_be_present_and_finite() -> None:
    with pytest.raises(ValueError, match="reference must be one of a, b, got 'c'"):
        judge({"a": BASE, "b": BASE}, "c")
    with pytest.raises(ValueError, match="scores of b and the reference must be finite"):
        judge({"a": [math.nan] * 8, "b": BASE}, "a")
