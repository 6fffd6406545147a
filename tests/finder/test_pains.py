"""Problems that users reported for other range tests, each with the issue that reports it.

docs/range-test.md lists all of them, with the tests in other files.
TLF is torch-lr-finder.
"""

import math
import pickle
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sweeps import curve
from toys import Toy

from lehr.finder import RULES, Sweep, range_test, smoothed
from lehr.finder.terminal import draw_text

USES = ("constant", "one-cycle", "cyclical")


def with_losses(sweep: Sweep, losses: list[float], stopped: str = "end") -> Sweep:
    return Sweep(sweep.rates[: len(losses)], tuple(losses), "geometric", sweep.steps, stopped)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("low", [1e-8, 1e-7, 1e-5])
def test_noise_at_the_small_rates_is_not_the_steepest_fall(low: float, seed: int) -> None:
    """Lightning #21141: a slope by the rate, not its logarithm, is steepest at the lowest rates."""
    rng = random.Random(seed)
    rates = [low * (10 / low) ** (i / 99) for i in range(100)]
    losses = []
    for rate in rates:
        x = math.log10(rate / 0.1)
        bend = 2 / (1 + math.exp(-3 * (x + 1.2)))
        losses.append(2.5 - bend + 0.05 * math.exp(2.5 * max(x, 0)) + rng.gauss(0, 0.3))
    sweep = Sweep(tuple(rates), tuple(losses), "geometric", 100, "end")
    for use in USES:
        assert 0.005 < sweep.suggest(use).lr < 0.5


@pytest.mark.parametrize("height", [4.0, -2.2])  # with -2.2 the spike is the lowest loss
@pytest.mark.parametrize("at", [0, 3, 12, 25])
def test_a_spike_among_the_first_losses_has_no_effect(at: int, height: float) -> None:
    """Lightning #1767, TLF #86 and #106, NeuralProphet #892 and #1630."""
    calm = curve()
    spiked = list(calm.losses)
    spiked[at] += height
    for use in USES:
        lr = with_losses(calm, spiked).suggest(use).lr
        assert lr == pytest.approx(calm.suggest(use).lr, rel=0.1)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 5, 6, 19])
def test_too_few_points_give_a_reason_without_a_crash(count: int) -> None:
    """Lightning #10557 and #13844, fastai #3458 and #3658: None or an IndexError, then a crash."""
    sweep = with_losses(curve(), list(curve().losses[:count]), "not finite")
    for use in USES:
        suggestion = sweep.suggest(use)
        assert suggestion.lr is None
        assert "fewer than 20 points: start lower or take more steps" in suggestion.reason
    assert all(rule(sweep).lr is None for rule in RULES.values())
    assert Sweep.from_json(sweep.to_json()) == sweep
    assert draw_text(sweep, {})
    if count:
        sweep.plot()


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_the_edge_of_not_finite_losses_is_not_suggested(loss: float) -> None:
    """Lightning #1850, fastai #3476, ignite #1482, ultralytics #25814."""
    calm = curve()
    for use in USES:
        found = with_losses(calm, [*calm.losses[:90], loss], "not finite").suggest(use)
        assert found.lr == pytest.approx(calm.suggest(use).lr, rel=0.1)
        assert found.high < calm.rates[89]


numbers = st.floats(-1e6, 1e6) | st.sampled_from([math.nan, math.inf, -math.inf, 0.0, 1e300])


@given(st.lists(numbers, max_size=60), st.sampled_from(["end", "diverged", "not finite"]))
def test_a_suggestion_is_a_tried_rate_or_none_for_any_losses(
    losses: list[float], stopped: str
) -> None:
    """transformers #16013, pytorch-forecasting #298: arbitrary rates from unusable curves."""
    rates = tuple(1e-5 * 1.2**i for i in range(len(losses)))
    sweep = Sweep(rates, tuple(losses), "geometric", 60, stopped)
    for use in USES:
        found = sweep.suggest(use)
        assert found.reason
        if found.lr is not None:
            assert rates[0] / 10 < found.low <= found.lr <= found.high <= rates[-1] * 2
    assert all(math.isfinite(value) for value in smoothed(sweep)[1])


def test_a_record_is_pickled() -> None:
    """Lightning #12706: the result of the finder cannot be sent to another process."""
    assert pickle.loads(pickle.dumps(curve())) == curve()


def test_the_next_test_gives_the_same_curve() -> None:
    """fastai #3013, #3185 and #3295: another curve each time, as some state was not restored."""
    learner = Toy(0)
    assert range_test(learner) == range_test(learner)


@pytest.mark.parametrize("sign", [-1, 1])
def test_the_scale_and_the_sign_of_the_loss_do_not_matter(sign: int) -> None:
    """fastai #962: a negative loss ends the test immediately."""
    calm = curve()
    for scale, shift in ((1.0, sign * 100.0), (1e3, 0.0), (1e-6, sign * 1e-3)):
        moved = with_losses(calm, [scale * loss + shift for loss in calm.losses])
        for use in USES:
            assert moved.suggest(use).lr == pytest.approx(calm.suggest(use).lr, rel=1e-3)
