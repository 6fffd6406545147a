"""Rules of other authors over a sweep, and several sweeps in one call."""

import inspect
import math

import pytest
from sweeps import curve, flat
from toys import Toy

import lehr
from lehr.finder import RULES, Suggestion, Sweep, agree, grid, repeat
from lehr.finder.run import RangeTest, RangeTestOptions
from lehr.finder.terminal import draw_text

# results of fastai 2.8.12 for these curves (run once, in float32)
FASTAI = [
    ((100, 0.02, 0), {"valley": 0.0107226727, "slide": 0.0141747417, "minimum_tenth": 0.123284674}),
    ((100, 0.2, 1), {"valley": 0.0187381748, "slide": 0.0162975080, "minimum_tenth": 0.123284674}),
    ((60, 0.05, 2), {"valley": 0.0070381355, "slide": 0.0070381355, "minimum_tenth": 0.121547425}),
]


@pytest.mark.parametrize(("settings", "expected"), FASTAI)
@pytest.mark.parametrize("rule", ["valley", "slide", "minimum_tenth"])
def test_the_rules_of_fastai_give_the_rates_of_fastai(settings, expected, rule):
    points, noise, seed = settings
    sweep = curve(points=points, noise=noise, seed=seed)
    assert RULES[rule](sweep).lr == pytest.approx(expected[rule], rel=1e-6)


def straight() -> Sweep:
    """A loss of 3 that falls by 1 per decade from 1e-4 to 1e-2, and rises from 1e-1."""
    logs = [-6 + i / 25 for i in range(151)]
    losses = [3 - max(0, min(2, x + 4)) + 3 * max(0, x + 1) for x in logs]
    rates = tuple(10.0**x for x in logs)
    return Sweep(rates, tuple(losses), "geometric", 151, "diverged")


@pytest.mark.parametrize(
    ("rule", "lr"), [("halfway", 1e-3), ("steepest", 1e-3), ("book", 10**-2.5), ("smith", 10**-1.5)]
)
def test_rules_find_the_known_rate_of_a_piecewise_linear_curve(rule, lr):
    assert RULES[rule](straight()).lr == pytest.approx(lr, rel=0.5)


def test_the_bounds_of_smith_are_the_start_and_end_of_the_fall():
    found = RULES["smith"](straight())
    assert found.low == pytest.approx(10**-3.8, rel=0.3)
    assert found.high == found.lr


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_rejects_a_flat_curve(rule):
    found = RULES[rule](flat())
    assert (found.rule, found.lr) == (rule, None)
    assert "flat within its noise" in found.reason


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_gives_bounds_around_its_rate(rule):
    found = RULES[rule](curve())
    assert 0 < found.low <= found.lr <= found.high < math.inf


def test_several_seeds_agree_on_their_median():
    sweeps = [curve(0.1, seed=seed, noise=0.1) for seed in range(5)]
    rates = sorted(sweep.suggest("one-cycle").lr for sweep in sweeps)
    found = agree(sweeps, "one-cycle")
    assert (found.low, found.lr, found.high) == (rates[0], rates[2], rates[4])
    assert found.reason.startswith("median of 5 range tests, from ")


def test_agree_needs_a_majority_of_tests_with_a_suggestion():
    assert agree([curve(), flat(), curve(seed=1)], "constant").lr is not None
    none = agree([curve(), flat(), flat()], "constant")
    assert none == Suggestion("constant", None, None, None, none.reason)
    assert none.reason.startswith("2 of 3 range tests have no suggestion: the curve is flat")
    with pytest.raises(ValueError, match="sweeps must be at least one range test"):
        agree([], "constant")


def test_repeated_tests_differ_by_their_seed_only():
    sweeps = repeat(Toy, [0, 1, 0], steps=30)
    assert sweeps[0] == sweeps[2]
    assert sweeps[0] != sweeps[1]
    assert sweeps[0].rates == sweeps[1].rates


def test_a_grid_of_range_tests_is_ordered_by_its_lowest_loss():
    cells = grid(lambda seed, noise: Toy(seed), {"seed": [0, 1], "noise": [0.1, 0.2]}, steps=30)
    assert len(cells) == 4
    assert [cell.lowest for cell in cells] == sorted(cell.lowest for cell in cells)
    assert {tuple(cell.settings) for cell in cells} == {("seed", "noise")}
    assert all(cell.largest in cell.sweep.rates for cell in cells)
    with pytest.raises(ValueError, match="momentum must be at least one value to try, got"):
        grid(lambda momentum: Toy(0), {"momentum": []})


WRONG = {
    "stepz": (30, TypeError, "unexpected keyword argument 'stepz'"),
    "steps": ("30", TypeError, "steps must be an integer >= 20, got '30'"),
    "low": (0.0, ValueError, r"low must be a number above 0, got 0\.0"),
    "spacing": ("exponential", ValueError, "spacing must be one of geometric, linear, got 'exp"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_options_are_rejected_before_a_learner_is_built(name):
    value, error, message = WRONG[name]

    def make(seed):
        pytest.fail("a learner was built")

    with pytest.raises(error, match=message):
        repeat(make, [0], **{name: value})
    with pytest.raises(error, match=message):
        grid(make, {"seed": [0]}, **{name: value})


def test_the_arguments_of_range_tests_equal_the_options_class():
    checked = inspect.signature(RangeTest).parameters
    for name, parameter in list(inspect.signature(lehr.range_test).parameters.items())[1:]:
        assert parameter == checked[name]
    assert checked.keys() == RangeTestOptions.__annotations__.keys()


def test_the_validation_loss_is_measured_after_each_update():
    learner, twin = Toy(2), Toy(2)
    sweep = lehr.range_test(learner, low=1e-4, high=1e-2, steps=25, objective="validation")
    losses = []
    for rate in sweep.rates:
        twin.train(lehr.Policy(lr=rate), 1)
        losses.append(twin.evaluate()["loss"])
    assert list(sweep.losses) == losses
    assert sweep.objective == "validation"
    assert Sweep.from_json(sweep.to_json()) == sweep
    assert learner.snapshot().digest() == Toy(2).snapshot().digest()
    with pytest.raises(ValueError, match="objective must be one of training, validation"):
        lehr.range_test(Toy(0), objective="test")


def test_the_terminal_drawing_has_its_lowest_column_over_the_mark():
    sweep = curve(0.1)
    lowest = sweep.suggest("one-cycle").lr
    *rows, marks, ends = draw_text(sweep, {"o": lowest}).splitlines()
    filled = [sum(row[i] != " " for row in rows) for i in range(len(rows[0]))]
    side = rows[0].index("│") + 1
    place = marks.index("o")
    assert filled[place] == min(filled[side:])
    assert ends.split() == ["1e-05", "10"]
    assert draw_text(Sweep((1.0,), (1.0,), "linear", 1, "end"), {}) == "too few losses to draw"
