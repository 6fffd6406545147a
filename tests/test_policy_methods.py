"""A Policy has the methods of a Schedule: length, resolve, summary, lint, draw, plot."""

import copy
import math
import pickle

import pytest
from hypothesis import given
from strategies import RUN, policies

import lehr
from lehr import Policy

# Two batches of 4 tokens, then batches of 8: 8 tokens after 2 steps, 24 after 4.
TOKENS = lehr.piecewise([2], [4, 8])
GPT3 = lehr.warmup(6e-4, "3.75e8 tokens").then(lehr.cosine(6e-4, "2.6e11 tokens", floor="10%"))


def found(policy, *steps, **run):
    return [(finding.where, finding.name) for finding in policy.lint(*steps, **run)]


# Length.


@pytest.mark.parametrize(
    ("policy", "length"),
    [
        (Policy(lehr.cosine(0.1, 100), momentum=0.9), 100),
        (Policy(lehr.cosine(0.1, 100), momentum=lehr.linear(0.9, 0.8, 120)), 120),
        (Policy({"a": lehr.cosine(0.1, 7), "b": lehr.constant(0.1)}), 7),
        (Policy(0.1, values={"ema_decay": lehr.linear(0.9, 1.0, 30)}), 30),
        (Policy(0.1, momentum=0.9), math.inf),
        (Policy(lehr.cosine(0.1, 100), momentum=lehr.exponential(0.9, 0.5, 10)), math.inf),
        (Policy(lehr.cosine(0.1), momentum=lehr.linear(0.9, 0.8, 120)), "the rest of the run"),
        (Policy(lehr.cosine(0.1, "5%"), momentum=lehr.linear(0.9, 0.8)), None),
    ],
)
def test_the_length_is_that_of_the_longest_schedule_that_is_not_constant(policy, length):
    assert policy.length == length


# Resolve.


def test_all_schedules_follow_the_tokens_of_a_ramp():
    p = Policy(
        {"a": lehr.warmup(1.0, "8 tokens").then(lehr.linear(1.0, 0.0, "16 tokens")), 1: 0.5},
        weight_decay=lehr.piecewise(["24 tokens"], [0.1, 0.0]),
        values={"clip_norm": lehr.piecewise(["8 tokens"], [5.0, 1.0])},
    ).resolve("40 tokens", tokens_per_step=TOKENS)
    assert [p(t)["lr"]["a"] for t in range(6)] == [0.0, 0.5, 1.0, 0.5, 0.0, 0.0]
    assert [p(t)["clip_norm"] for t in range(4)] == [5.0, 5.0, 1.0, 1.0]
    assert [p(t)["weight_decay"] for t in (3, 4)] == [0.1, 0.0]


def test_a_ramp_is_evaluated_once_for_all_schedules(monkeypatch):
    calls = []
    original = lehr.schedule.Piecewise.at
    monkeypatch.setattr(
        lehr.schedule.Piecewise,
        "at",
        lambda self, t, xp: (calls.append(t), original(self, t, xp))[1],
    )
    one, four = Policy(lehr.cosine(0.1, "1K tokens")), dict.fromkeys("abc", lehr.cosine(0.1))
    counts = []
    for policy in (one, Policy(one.lr, values=four)):
        calls.clear()
        policy.resolve(100, tokens_per_step=TOKENS)
        counts.append(len(calls))
    assert counts[0] == counts[1] > 0


@pytest.mark.parametrize(
    ("sizes", "match"),
    [
        ({"steps": 0}, "steps must be at least 1 step, got 0"),
        ({"steps_per_epoch": -1}, "steps_per_epoch must be a number above 0, got -1"),
        ({"tokens_per_step": 0}, "tokens_per_step must be a number above 0, got 0"),
        ({"samples_per_step": math.nan}, "samples_per_step must be a number above 0, got nan"),
    ],
)
@pytest.mark.parametrize("policy", [Policy(0.1), Policy(lehr.cosine(0.1))])
def test_invalid_sizes_are_rejected_even_if_unused(policy, sizes, match):
    for method in (policy.resolve, policy.summary, policy.lint, policy.draw, policy.plot):
        with pytest.raises(ValueError, match=match):
            method(**{"steps": 5} | sizes)


def test_an_unknown_size_is_a_type_error():
    for method in (Policy.resolve, Policy.summary, Policy.lint, Policy.draw, Policy.plot):
        with pytest.raises(TypeError, match="tokens"):
            method(Policy(0.1), 5, tokens=4)


def test_a_missing_size_is_named_with_the_schedule_and_can_be_passed():
    """S28: each method accepts the size named in its error."""
    policy = Policy(0.1, momentum=lehr.linear(0.9, 0.8, "1B tokens"))
    match = "in momentum: tokens_per_step must be given .*'1B tokens'.*; pass tokens_per_step="
    for name in ("resolve", "summary", "lint", "draw", "plot"):
        with pytest.raises(ValueError, match=match):
            getattr(policy, name)(100)
        assert getattr(policy, name)(100, tokens_per_step=1e7) is not None
    schedule = lehr.cosine(0.1, "1e9 tokens")
    with pytest.raises(ValueError, match=r"tokens_per_step must .*; pass tokens_per_step="):
        schedule.lint(100)
    assert schedule.lint(100, tokens_per_step=1e7) == []
    samples = Policy(
        lehr.cosine(0.1, "500 samples"), values={"x": lehr.linear(0.0, 1.0, "1 epoch")}
    )
    for name in ("resolve", "summary", "lint", "draw", "plot"):
        with pytest.raises(
            ValueError, match=r"in lr: samples_per_step must be .*; pass samples_per"
        ):
            getattr(samples, name)(100)
        with pytest.raises(
            ValueError, match=r"in x: steps_per_epoch must be .*; pass steps_per_ep"
        ):
            getattr(samples, name)(100, samples_per_step=5)
        result = getattr(samples, name)(100, samples_per_step=5, steps_per_epoch=31.5)
        assert result is not None


# Summary, drawing, figure.


def test_the_summary_has_a_line_for_each_schedule_and_names_the_first_step_at_the_peak():
    body = lehr.warmup(0.1, 100).then(lehr.constant(0.1, 100)).then(lehr.linear(0.1, 0.0, 200))
    policy = Policy({"body": body, 1: body * 2}, momentum=0.9, values={"k": lehr.linear(0, 8, 4)})
    summary = policy.summary()
    lines = str(summary).splitlines()
    assert [line.partition(": ")[0] for line in lines] == ["lr/body", "lr/1", "momentum", "k"]
    assert lines[0] == (
        "lr/body: 400 steps: 0 at the start, peak 0.1 at step 100, lowest 0, 0.0005 at the last "
        "step, 0 after it"
    )
    assert "peak 0.2 at step 100" in lines[1]
    assert lines[2] == "momentum: 0.9 at every step"
    assert "peak 8 at step 4" in lines[3]
    assert summary.steps == 400
    assert summary.schedules["lr/body"] == body.summary()
    assert policy.summary(50).schedules["lr/1"].peak_step == 49


def test_the_summary_of_a_run_in_tokens():
    summary = Policy(GPT3).summary(
        "300B tokens", tokens_per_step=lehr.linear(32e3, 3.2e6, 5000), steps_per_epoch=10
    )
    # 5000 steps on the ramp are 8.08e9 - 1.6e6 tokens; each later step is 3.2e6 tokens
    assert summary.steps == 5000 + round((300e9 - 5000 * (32e3 + 3.2e6) / 2) / 3.2e6)
    # 32e3 t + 316.8 t (t - 1) is 3.75e8 at t = 1039.3
    assert summary.schedules["lr"].peak_step == 1039


def test_a_policy_without_an_end_needs_steps():
    for policy in (Policy(0.1), Policy(lehr.exponential(0.1, 0.5, 10), momentum=0.9)):
        for name in ("summary", "draw", "plot"):
            with pytest.raises(ValueError, match="steps must be given for a policy without an end"):
                getattr(policy, name)()
            assert getattr(policy, name)(20) is not None


def test_only_schedules_that_change_are_drawn():
    policy = Policy(lehr.linear(0.5, 0.0), momentum=0.9, values={"t": lehr.linear(0.0, 7.0)})
    drawing = policy.draw("2 epochs", steps_per_epoch=10)
    lr, t = drawing.split("\n\n")
    assert lr.splitlines()[0] == "lr"
    assert lr.partition("\n")[2] == lehr.linear(0.5, 0.0).draw(20)
    assert t.partition("\n")[2] == lehr.linear(0.0, 7.0).draw(20)
    assert Policy(0.1, momentum=0.9).draw(5).count("momentum") == 1


def test_the_figure_has_a_panel_for_each_name():
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    policy = Policy({"a": lehr.linear(0.5, 0.0), "b": 0.1}, values={"ema_decay": 0.99})
    figure = policy.plot("80 samples", samples_per_step=4)
    rates, decay = figure.axes
    assert rates.get_ylabel() == "learning rate"
    assert decay.get_ylabel() == "ema decay"
    assert [line.get_label() for line in rates.lines] == ["a", "b"]
    assert list(rates.lines[0].get_xdata())[-1] == 20
    assert rates.lines[0].get_ydata()[10] == 0.25


# Lint.


def test_lint_returns_one_list_that_names_the_schedules():
    policy = Policy(
        {"a": lehr.cosine(0.1, 2000), "b": lehr.multi_step(0.1, 0.1, ["30 epochs", "60 epochs"])},
        momentum=lehr.cosine_restarts(0.9, 300),
        values={"window": lehr.piecewise([500, 1500], [1, 2, 3])},
    )
    assert found(policy, 400, steps_per_epoch=10) == [
        ("lr/a", "too long"),
        ("lr/b", "never reached"),
        ("momentum", "cycle cut off"),
        ("window", "never reached"),
    ]
    (finding,) = Policy(lehr.cosine(0.1, 2000)).lint(1000)
    assert finding.advice.startswith("it takes 2000 steps and the run has 1000")


def test_lint_reports_parts_without_a_step_and_milestones_in_tokens():
    """S30, also in tokens."""
    small = lehr.warmup(0.1, "1%").then(lehr.cosine(0.1))
    policy = Policy(small, weight_decay=lehr.multi_step(0.1, 0.1, ["1B tokens"]))
    assert found(policy, 5, tokens_per_step=1e6) == [
        ("lr", "part without a step"),
        ("weight_decay", "never reached"),
    ]
    assert found(policy, 2000, tokens_per_step=1e6) == []
    assert found(policy, "2B tokens", tokens_per_step=1e6) == []
    assert "'1%'" in policy.lint(5, tokens_per_step=1e6)[0].advice


def test_lint_of_a_resolved_policy_is_the_same():
    policy = Policy(lehr.multi_step(0.1, 0.1, ["30 epochs", "60 epochs"]))
    run = {"steps": 400, "steps_per_epoch": 10}
    assert found(policy, **run) == found(policy.resolve(**run), **run) == [("lr", "never reached")]


def test_mistakes_specific_to_rates_are_not_reported_for_other_values():
    policy = Policy(
        lehr.cosine(0.1),
        momentum=lehr.warmup(0.95, 300, start=0.85),
        weight_decay=0.0,
        values={
            "exploration": lehr.constant(0.0),
            "offset": lehr.linear(-1.0, 1.0, 100),
            "batch": lehr.constant(32, 100).then(lehr.constant(64)),
        },
    )
    assert found(policy, 1000) == []
    assert found(Policy(0.0), 1000) == [("lr", "always zero")]
    assert found(Policy(lehr.linear(0.1, 0.0, 100)), 1000) == [("lr", "too short")]
    momentum = lehr.constant(0.5, 100).then(lehr.constant(0.9))
    assert found(Policy(0.1, momentum=momentum), 1000) == [("momentum", "jump at a joint")]


def test_lint_needs_the_steps():
    with pytest.raises(TypeError, match="steps"):
        Policy(0.1).lint()
    with pytest.raises(ValueError, match="steps must be given to resolve the rest of the run"):
        Policy(lehr.cosine(0.1)).lint(None)


@given(policies)
def test_policies_can_be_copied_and_pickled(policy):
    for p in (policy, policy.resolve(**RUN)):
        assert pickle.loads(pickle.dumps(p)) == p
        assert copy.deepcopy(p) == p


# Values read by the training loop.


def test_values_of_the_loop_are_read_and_not_written():
    policy = Policy(
        lehr.linear(1.0, 0.0, 4),
        momentum=0.9,
        values={"ema_decay": lehr.linear(0.0, 1.0, 2), "k": 3},
    )
    assert list(policy.targets) == ["lr", "momentum"]
    assert policy(1, factor=0.5) == {"lr": 0.375, "momentum": 0.9, "ema_decay": 0.5, "k": 3.0}
    assert policy.written(1, factor=0.5) == {"lr": 0.375, "momentum": 0.9}
    assert policy.read(1) == {"ema_decay": 0.5, "k": 3.0}
    assert Policy(0.1).read(0) == {}


def test_values_of_the_loop_are_part_of_the_policy():
    rate = lehr.linear(0.1, 0.05, 9)
    policy = Policy(rate, values={"ema_decay": lehr.linear(0.9, 1.0), "clip_norm": -1})
    for same in (lehr.loads(policy.dumps()), Policy.from_dict(policy.to_dict())):
        assert same == policy
        assert hash(same) == hash(policy)
    assert policy != Policy(rate, values={"ema_decay": lehr.linear(0.9, 1.0), "clip_norm": -2})
    assert policy != Policy(rate)
    assert Policy(0.1, values={}) == Policy(0.1)
    assert not policy.resolved
    for changed in (policy * 2, policy.then(0.2), policy.decay_from(5, 5)):
        assert changed.values == policy.values
    nested = Policy(0.1, values={"groups": 1.0, "kind": 2.0, "lehr": 3.0})
    assert lehr.loads(nested.dumps()) == nested


def test_then_joins_values_of_the_loop():
    first = Policy(lehr.linear(1.0, 0.0, 2), values={"k": lehr.linear(0.0, 4.0, 2)})
    both = first.then(Policy(0.5, values={"k": 9}))
    assert [both(t) for t in (1, 2)] == [{"lr": 0.5, "k": 2.0}, {"lr": 0.5, "k": 9.0}]
    with pytest.raises(ValueError, match=r"other must be a policy of lr, k, got \['j'\]"):
        first.then(Policy(0.5, values={"j": 9}))


@pytest.mark.parametrize(
    ("values", "error", "match"),
    [
        (0.9, TypeError, "values must be a dict from names to schedules or numbers, got 0.9"),
        ({1: 0.9}, TypeError, "values must be a dict from names to schedules or numbers"),
        ({"a": "0.9"}, TypeError, r"values\['a'\] must be a schedule or a number, got '0.9'"),
        ({"a": {"head": 1}}, TypeError, r"values\['a'\] must be a schedule or a number"),
        ({"momentum": 0.9}, ValueError, "values must be names other than the optimizer's"),
        ({"dampening": 0.9}, ValueError, "values must be names other than the optimizer's"),
    ],
)
def test_invalid_values_of_the_loop_are_rejected(values, error, match):
    with pytest.raises(error, match=match):
        Policy(0.1, extra={"dampening": 0.5}, values=values)


def test_a_teachers_momentum_is_a_value_of_the_loop():
    """S26: DINO's teacher momentum ends at 1."""
    teacher = lehr.warmup(1.0, 100, start=0.996, curve="cosine")
    with pytest.raises(ValueError, match=r"below 1, got 1.0; .* values=\{'ema_decay': ...\}"):
        Policy(0.1, momentum=teacher)
    assert Policy(0.1, values={"ema_decay": teacher})(100)["ema_decay"] == 1.0
