"""Policies and one cycle."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import RUN, any_lengths, policies, schedules

import lehr
from lehr import Policy, one_cycle
from lehr.policy import as_policy, resolved_policy
from lehr.schedule import Constant

# Policy.


def test_numbers_become_schedules():
    p = Policy(lr=0.1, momentum=0.9, weight_decay=0)
    assert p.lr == Constant(0.1)
    assert p.values(7) == {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.0}
    assert list(p.targets) == ["lr", "momentum", "weight_decay"]
    assert Policy(lr=0.1).values(0) == {"lr": 0.1}


def test_groups_have_their_own_schedules():
    body = lehr.linear(1.0, 0.0, 4)
    p = Policy(lr={"body": body, "head": body * 0.25}, momentum={"body": 0.9})
    assert p.values(2) == {"lr": {"body": 0.5, "head": 0.125}, "momentum": {"body": 0.9}}
    assert p == Policy(lr={"head": body * 0.25, "body": body}, momentum={"body": 0.9})
    assert p != Policy(lr={"body": body, "head": body}, momentum={"body": 0.9})


def test_a_policy_keeps_its_own_dict():
    mine = {"head": 0.1}
    p = Policy(lr=mine)
    mine["body"] = 0.2
    assert p.lr == {"head": Constant(0.1)}
    assert mine == {"head": 0.1, "body": 0.2}


@given(policies)
def test_policies_resolve_once(p):
    resolved = p.resolve(**RUN)
    assert resolved.resolved
    assert resolved.control == p.control
    assert resolved.resolve(**RUN) is resolved
    assert resolved.targets.keys() == p.targets.keys()
    assert (resolved is p) == p.resolved
    assert resolved_policy(p, **RUN) == resolved


@given(schedules(any_lengths, depth=1), st.floats(0, 1))
def test_a_schedule_or_number_is_a_policy(s, number):
    assert as_policy(s) == Policy(lr=s)
    assert as_policy(number) == Policy(lr=number)
    p = Policy(lr=s, momentum=0.5)
    assert as_policy(p) is p


def test_drivers_refuse_what_is_unresolved_and_say_so():
    p = Policy(lr=0.1, momentum=lehr.linear(0.9, 0.8))
    message = (
        r"policy must be in whole steps before it drives an optimizer, got Ramp\(start=0.9.*; "
        r"pass steps= \(updates in the run\) or call .resolve\(steps=...\)"
    )
    with pytest.raises(ValueError, match=message):
        resolved_policy(p)
    with pytest.raises(
        TypeError, match=r"^policy must be a policy, a schedule or a number, got 'fast'"
    ):
        resolved_policy("fast")
    assert resolved_policy(p, 10).momentum.length == 10


# Other hyperparameters, groups by index.


def test_others_are_targets_by_the_optimizers_names():
    damp = lehr.linear(0.5, 0.0, 4)
    p = Policy(lr=0.1, others={"dampening": damp, "beta2": {"head": 0.99}})
    assert list(p.targets) == ["lr", "dampening", "beta2"]
    assert p.values(2, factor=0.5) == {"lr": 0.05, "dampening": 0.25, "beta2": {"head": 0.99}}
    assert lehr.loads(p.dumps()) == p
    assert Policy(lr=0.1, others={}) == Policy(lr=0.1)
    unresolved = Policy(lr=0.1, others={"eps": lehr.linear(1.0, 0.0)})
    assert unresolved.resolve(10).others == {"eps": lehr.linear(1.0, 0.0, 10)}


def test_groups_by_index_are_groups_by_its_text():
    p = Policy(lr={0: 0.1, "head": 0.2}, others={"eps": {1: 0.5}})
    assert p == Policy(lr={"0": 0.1, "head": 0.2}, others={"eps": {"1": 0.5}})
    assert p.values(0) == {"lr": {"0": 0.1, "head": 0.2}, "eps": {"1": 0.5}}
    assert lehr.loads(p.dumps()) == p


@pytest.mark.parametrize(
    ("others", "error", "match"),
    [
        ({"lr": 0.1}, ValueError, r"others must be without lr, got \['lr'\]; give it as lr="),
        ({"momentum": 0.9}, ValueError, "others must be without momentum, .* give it as momentum="),
        ({1: 0.9}, TypeError, "others must be a dict from hyperparameters' names to schedules"),
        (0.9, TypeError, "others must be a dict from hyperparameters' names to schedules, got 0.9"),
        ({"eps": "fast"}, TypeError, "eps must be a schedule or a number, got 'fast'"),
        ({"eps": {}}, ValueError, "eps must be a schedule, or a dict from parameter groups' names"),
        ({"eps": {1.5: 0.1}}, ValueError, "eps must be .* names or indices to schedules, got"),
        ({"eps": -1}, ValueError, "eps must be a number at least 0, got -1"),
    ],
)
def test_other_hyperparameters_that_cannot_be_are_refused(others, error, match):
    with pytest.raises(error, match=match):
        Policy(lr=0.1, others=others)


# Decay from here.

decays = st.fixed_dictionaries(
    {
        "step": st.integers(0, 300),
        "steps": st.integers(1, 100),
        "curve": st.sampled_from(["1-sqrt", "linear", "cosine"]),
        "floor": st.just(0.0),
    }
)


@given(policies, decays)
def test_decay_from_falls_from_where_the_policy_stands(p, decay):
    trunk = p.resolve(**RUN)
    branch = trunk.decay_from(**decay)
    step, end = decay["step"], decay["step"] + decay["steps"]
    for t in {0, step // 2, max(step - 1, 0)} - {step}:
        assert branch.values(t) == trunk.values(t)
    groups = trunk.lr if isinstance(trunk.lr, dict) else {None: trunk.lr}
    for group, schedule in groups.items():
        branched = branch.lr if group is None else branch.lr[group]
        assert branched(step) == schedule(step)  # no jump
        assert branched(end) == branched(end + 10**6) == decay["floor"]
    for t in (step, end, end + 7):  # whatever else moves goes on
        for name in trunk.targets.keys() - {"lr"}:
            assert branch.values(t)[name] == trunk.values(t)[name]
    assert branch.control == trunk.control
    assert lehr.loads(branch.dumps()) == branch


def test_decay_from_by_hand():
    trunk = Policy(lr={"body": lehr.warmup(0.4, 4).then(lehr.constant(0.4)), 1: 0.2})
    p = trunk.decay_from(2, steps=2, curve="linear", floor=0.1)
    assert [p.lr["body"](t) for t in range(6)] == pytest.approx([0, 0.1, 0.2, 0.15, 0.1, 0.1])
    assert [p.lr["1"](t) for t in range(6)] == pytest.approx([0.2, 0.2, 0.2, 0.15, 0.1, 0.1])
    root = Policy(lr=0.4).decay_from(0, 4).lr
    assert [root(t) for t in range(5)] == pytest.approx(
        [0.4, 0.2, 0.4 * (1 - 0.5**0.5), 0.4 * (1 - 0.75**0.5), 0]
    )


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ((-1, 5), ValueError, "step must be a whole number >= 0, got -1"),
        ((2.5, 5), TypeError, "step must be a whole number >= 0, got 2.5"),
        ((1, 0), ValueError, "steps must be a whole number of steps >= 1, got 0"),
    ],
)
def test_decays_that_cannot_be_are_refused(arguments, error, match):
    with pytest.raises(error, match=match):
        Policy(lr=0.1).decay_from(*arguments)
    with pytest.raises(ValueError, match=r"policy must be in whole steps to decay from"):
        Policy(lr=lehr.cosine(0.1)).decay_from(5, 5)


# One cycle.


def test_one_cycle_by_hand():
    p = one_cycle(1.0, 20, curve="linear", rise=0.25, start=0.5, final=0.25, momentum=(0.75, 0.5))
    rates = [0.5 + 0.1 * t for t in range(5)] + [1.0 - 0.05 * t for t in range(16)] + [0.25, 0.25]
    assert [p.lr(t) for t in range(23)] == pytest.approx(rates, rel=1e-15)
    assert [p.momentum(t) for t in (0, 5, 20, 99)] == [0.75, 0.5, 0.75, 0.75]
    assert p.momentum(3) == pytest.approx(0.75 - 0.25 * 3 / 5, rel=1e-15)


def test_one_cycle_as_fastai_has_it():
    p = one_cycle(0.1, 100)
    assert p.values(0) == {"lr": 0.1 / 25, "momentum": 0.95}
    assert p.values(30) == {"lr": 0.1, "momentum": 0.85}
    assert p.values(100) == p.values(10**6) == {"lr": 0.0, "momentum": 0.95}
    assert p.lr(15) == pytest.approx((0.1 + 0.004) / 2, rel=1e-15)
    assert p.lr(65) == pytest.approx(0.05, rel=1e-15)


@pytest.mark.parametrize("curve", ["linear", "cosine", "sqrt"])
@pytest.mark.parametrize("rise", [1e-9, 0.1, 0.3, 0.5, 0.999])
def test_one_cycle_of_any_length_stays_in_its_range(curve, rise):
    for steps in range(2, 51):
        p = one_cycle(0.1, steps, rise=rise, curve=curve, final=0.001)
        rates = [p.lr(t) for t in range(steps + 5)]
        momenta = [p.momentum(t) for t in range(steps + 5)]
        assert p.lr.length == p.momentum.length == steps
        assert rates[0] == 0.1 / 25
        assert max(rates) == 0.1  # reached exactly
        assert min(rates) >= 0.001
        assert set(rates[steps:]) == {0.001}
        assert rates.index(0.1) == momenta.index(0.85)
        assert (momenta[0], min(momenta), momenta[steps]) == (0.95, 0.85, 0.95)


@given(st.integers(2, 1000), st.floats(0.01, 0.99), st.floats(1e-6, 100.0))
def test_one_cycle_momentum_mirrors_the_rate(steps, rise, peak):
    p = one_cycle(peak, steps, rise=rise, start=0.0, final=0.0)
    for t in range(0, steps + 1, max(1, steps // 20)):
        height = p.lr(t) / peak
        assert p.momentum(t) == pytest.approx(0.95 - 0.1 * height, rel=1e-12)


@pytest.mark.parametrize("rise", [0.3, 0.1, 1 / 3, 0.7, 0.123456789])
@pytest.mark.parametrize("steps_per_epoch", [1, 7, 100, 391, 1563])
def test_one_cycle_in_epochs_or_over_the_run_adds_up(rise, steps_per_epoch):
    total = 5 * steps_per_epoch
    for length in ("5 epochs", None, "100%", total):
        p = one_cycle(0.1, length, rise=rise)
        resolved = p.resolve(total, steps_per_epoch=steps_per_epoch)
        assert resolved.lr.length == resolved.momentum.length == total
        assert abs(resolved.lr.parts[0].length - rise * total) <= 0.5 + 1e-9
        assert resolved == one_cycle(0.1, total, rise=rise)


def test_one_cycle_without_momentum_and_of_one_step():
    assert one_cycle(0.1, 10, momentum=None).momentum is None
    with pytest.raises(ValueError, match=r"^steps must be at least 2, one for each phase, got 1$"):
        one_cycle(0.1, 1)
    with pytest.raises(ValueError, match="at least one step of this run of 1 steps"):
        one_cycle(0.1).resolve(1)
    p = one_cycle(0.1, whole := 40).lr
    assert p.length == whole


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (
            lambda: Policy(0.1, momentum=lehr.linear(0.9, 1.5, 5).then(lehr.linear(1.5, 0.9, 5))),
            r"momentum at step 5 must be a number .*below 1, got 1\.5",
        ),
        (lambda: Policy(0.1, others={"beta2": 1.5}), r"beta2 must be a number .*below 1, got 1\.5"),
        (
            lambda: Policy(lehr.linear(0.1, -0.1, 5).then(lehr.linear(-0.1, 0.1, 5))),
            r"lr at step 5 must be a number at least 0, got -0\.1",
        ),
        (
            lambda: Policy(lehr.cosine(0.1, 100)).decay_from(90, 10, floor=0.05),
            r"floor must be .* the rate there \(0\.0024",
        ),
    ],
)
def test_values_that_cannot_be_are_refused_wherever_they_stand(make, match):
    with pytest.raises(ValueError, match=match):
        make()


def test_policies_are_hashable_groups_and_all():
    a, b = (Policy(lr={"head": 0.1, "body": lehr.cosine(0.1, 10)}, momentum=0.9) for _ in "ab")
    assert hash(a) == hash(b)
    assert len({a, b, Policy(0.1)}) == 2
