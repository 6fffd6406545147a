"""The range test, its record and the suggestion rules."""

import json
import math

import pytest
from sweeps import curve, flat
from toys import Toy

import lehr
from lehr.finder import Sweep, minimum, range_test, smoothed, steepest


def test_the_geometric_grid_has_exact_ends_and_a_constant_ratio() -> None:
    sweep = range_test(Toy(0), low=1e-4, high=1e-2, steps=21)
    assert len(sweep.rates) == 21
    assert sweep.rates[0] == 1e-4
    assert sweep.rates[-1] == 1e-2
    ratios = [b / a for a, b in zip(sweep.rates, sweep.rates[1:], strict=False)]
    assert all(ratio == pytest.approx(100 ** (1 / 20), rel=1e-12) for ratio in ratios)


def test_the_linear_grid_has_a_constant_difference() -> None:
    sweep = range_test(Toy(0), low=0.001, high=0.021, steps=21, spacing="linear")
    assert sweep.rates == pytest.approx([0.001 * i for i in range(1, 22)], rel=1e-12)


def test_it_records_the_losses_of_the_batches_at_those_rates() -> None:
    learner, twin = Toy(3), Toy(3)
    sweep = range_test(learner, low=1e-4, high=1e-2, steps=30)
    losses = []
    for rate in sweep.rates:
        losses += twin.train(lehr.Policy(lr=rate), 1).losses
    assert list(sweep.losses) == losses


def test_it_restores_the_learner() -> None:
    learner, untouched = Toy(1), Toy(1)
    policy = lehr.Policy(lr=0.01)
    learner.train(policy, 5), untouched.train(policy, 5)
    range_test(learner)
    assert learner.snapshot().digest() == untouched.snapshot().digest()
    assert learner.train(policy, 7) == untouched.train(policy, 7)


def test_only_a_training_run_is_accepted() -> None:
    with pytest.raises(TypeError, match=r"run must be a TrainingRun, got <function .*; pass a"):
        range_test(lambda: 0)  # type: ignore[arg-type]


def test_it_restores_when_training_raises() -> None:
    class Breaking(Toy):
        def used(self, rate: float) -> float:
            if self.step > 12:
                raise RuntimeError("out of memory")
            return rate

    learner = Breaking(0)
    before = learner.snapshot().digest()
    with pytest.raises(RuntimeError, match="out of memory"):
        range_test(learner)
    assert learner.snapshot().digest() == before


def test_it_stops_on_divergence() -> None:
    sweep = range_test(Toy(0), low=1e-3, high=100.0, steps=200)
    assert sweep.stopped == "diverged"
    assert len(sweep.losses) < 200
    assert max(sweep.losses[:-5]) < max(sweep.losses)


def test_it_stops_at_the_first_loss_that_is_not_finite() -> None:
    class Bursting(Toy):
        def update(self, values):
            loss, used = super().update(values)
            return (loss if self.step <= 30 else math.nan), used

    sweep = range_test(Bursting(0), low=1e-4, high=1e-2, steps=60)
    assert sweep.stopped == "not finite"
    assert len(sweep.losses) == 31
    assert math.isnan(sweep.losses[-1])


def test_losses_below_zero_do_not_stop_it() -> None:
    class Negative(Toy):
        def update(self, values):
            loss, used = super().update(values)
            return loss - 100, used

    assert range_test(Negative(0), low=1e-4, high=1e-2, steps=60).stopped == "end"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"low": 0.0}, r"low must be a number above 0, got 0\.0"),
        ({"high": 1e-6}, r"high must be above low \(1e-05\), got 1e-06"),
        ({"steps": 3}, "steps must be an integer >= 20, got 3"),
        ({"spacing": "log"}, "spacing must be one of geometric, linear, got 'log'"),
        ({"high": math.nan}, "high must be a number above 0, got nan"),
        ({"divergence": 1}, "divergence must be a number above 1, got 1"),
    ],
)
def test_bad_arguments_are_rejected(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        range_test(Toy(0), **arguments)


def test_minimum_finds_the_lowest_point_with_noise() -> None:
    found = [minimum(curve(0.1, noise=0.05, seed=seed)).lr for seed in range(20)]
    assert all(0.03 < lr < 0.3 for lr in found)


def test_minimum_of_a_symmetric_valley_is_its_middle() -> None:
    rates = [10.0 ** (i / 20) for i in range(-60, 61)]
    losses = [math.log10(rate) ** 2 for rate in rates]
    sweep = Sweep(tuple(rates), tuple(losses), "geometric", len(rates), "end")
    assert minimum(sweep).lr == 1.0


def test_smoothing_does_not_change_a_straight_line() -> None:
    rates = [10.0 ** (i / 50) for i in range(-200, 1)]
    sweep = Sweep(tuple(rates), tuple(3 - math.log10(r) for r in rates), "geometric", 201, "end")
    _, line = smoothed(sweep)
    # away from the ends the centred kernel has no lag
    assert line[100] == pytest.approx(sweep.losses[100], rel=1e-6)


def test_one_exploding_batch_has_little_effect() -> None:
    calm = curve(0.1)
    for burst in (1e2, 1e6, 1e30):
        rates, losses = (*calm.rates, 20.0), (*calm.losses, burst)
        sweep = Sweep(rates, losses, "geometric", 101, "diverged")
        assert minimum(sweep).lr == pytest.approx(minimum(calm).lr, rel=0.2)
        assert steepest(sweep).lr == pytest.approx(steepest(calm).lr, rel=0.2)


def test_a_constant_loss_is_reported_as_flat() -> None:
    sweep = Sweep(curve().rates, (2.3,) * 100, "geometric", 100, "end")
    assert "flat" in minimum(sweep).reason


def test_steepest_of_a_logistic_is_its_middle() -> None:
    rates = [10.0 ** (i / 25) for i in range(-100, 26)]
    losses = [1 / (1 + math.exp(6 * (math.log10(r) + 2))) for r in rates]
    sweep = Sweep(tuple(rates), tuple(losses), "geometric", len(rates), "diverged")
    assert steepest(sweep).lr == pytest.approx(0.01, rel=0.15)


def test_uses_take_their_share_of_the_minimum() -> None:
    sweep = curve()
    lowest = minimum(sweep).lr
    assert sweep.suggest("one-cycle").lr == pytest.approx(0.8 * lowest)
    assert sweep.suggest("constant").lr == pytest.approx(0.4 * lowest)
    cyclical = sweep.suggest("cyclical")
    assert cyclical.lr == pytest.approx(0.8 * lowest)
    assert cyclical.low == pytest.approx(0.08 * lowest)


def test_an_unknown_use_is_rejected() -> None:
    with pytest.raises(ValueError, match="use must be one of constant, one-cycle, cyclical"):
        curve().suggest("onecycle")


def rising() -> Sweep:
    rates = curve().rates
    return Sweep(rates, tuple(1 + i for i in range(100)), "geometric", 100, "end")


def falling() -> Sweep:
    rates = curve().rates
    return Sweep(rates, tuple(3 - 0.02 * i for i in range(100)), "geometric", 100, "end")


def short() -> Sweep:
    return Sweep((1.0, 2.0, 3.0), (1.0, 2.0, math.inf), "linear", 100, "not finite")


@pytest.mark.parametrize(
    ("sweep", "reason"),
    [
        (flat(), "flat within its noise"),
        (rising(), "rises from the start"),
        (falling(), "still falls at the end"),
        (short(), "fewer than 20 points"),
    ],
)
@pytest.mark.parametrize("use", ["constant", "one-cycle", "cyclical"])
def test_unusable_curves_give_no_suggestion(sweep: Sweep, reason: str, use: str) -> None:
    suggestion = sweep.suggest(use)
    assert (suggestion.lr, suggestion.low, suggestion.high) == (None, None, None)
    assert reason in suggestion.reason
    assert steepest(sweep).lr is None


def test_json_round_trip_with_losses_that_are_not_finite() -> None:
    sweep = Sweep((0.1, 0.2, 0.3), (1.0, math.inf, -math.inf), "linear", 5, "not finite")
    json.loads(sweep.to_json(), parse_constant=pytest.fail)  # valid JSON, without NaN
    assert Sweep.from_json(sweep.to_json()) == sweep
    nan = Sweep((0.1,), (math.nan,), "linear", 5, "not finite")
    assert math.isnan(Sweep.from_json(nan.to_json()).losses[0])


def test_json_of_another_object_is_rejected() -> None:
    with pytest.raises(ValueError, match=r"data must be a sweep as plain data, got \[1\]; Sweep"):
        Sweep.from_json("[1]")
    with pytest.raises(ValueError, match=r"text must be the JSON of a sweep, got 'x'; Sweep.to_j"):
        Sweep.from_json("x")
    with pytest.raises(TypeError, match=r"text must be the JSON of a sweep, got 3; Sweep.to_json"):
        Sweep.from_json(3)
    with pytest.raises(ValueError, match="fields of a sweep must be losses, objective, rates"):
        Sweep.from_json('{"lehr_sweep": 2}')


def test_a_record_of_format_version_1_is_rejected() -> None:
    saved = curve().to_dict() | {"lehr_sweep": 1, "spacing": "exponential"}
    message = r"format version \('lehr_sweep'\) must be 2, got 1; run the range test again"
    with pytest.raises(ValueError, match=message):
        Sweep.from_dict(saved)


def test_the_repr_of_a_sweep_is_one_short_line() -> None:
    rates = tuple(1e-5 * 1.2**i for i in range(40))
    sweep = Sweep(rates, (1.0,) * 40, "geometric", 100, "diverged", "validation")
    assert repr(sweep) == (
        "<Sweep: validation loss of 40 of 100 updates at 1e-05 to 0.0122, geometric; "
        "ended: diverged>"
    )
    assert repr(Sweep((), (), "linear", 20, "end")) == (
        "<Sweep: training loss of 0 of 20 updates, linear; ended: end>"
    )


def test_a_record_must_be_consistent() -> None:
    with pytest.raises(ValueError, match="number of losses must be the number of rates, 2"):
        Sweep((0.1, 0.2), (1.0,), "linear", 2, "end")
    with pytest.raises(ValueError, match="rates must be strictly increasing"):
        Sweep((0.2, 0.1), (1.0, 1.0), "linear", 2, "end")


def test_a_linear_sweep_is_read_like_a_geometric_one() -> None:
    def loss(rate: float) -> float:
        return math.log10(rate / 0.1) ** 2

    geometric = [10.0 ** (-3 + i / 50) for i in range(151)]
    linear = [0.001 + 0.999 * i / 999 for i in range(1000)]
    found = [
        minimum(Sweep(tuple(rates), tuple(map(loss, rates)), spacing, len(rates), "end")).lr
        for rates, spacing in ((geometric, "geometric"), (linear, "linear"))
    ]
    assert found[1] == pytest.approx(found[0], rel=0.25)
