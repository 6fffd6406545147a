"""Policies and the one-cycle policy."""

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
    assert p(7) == {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.0}
    assert list(p.targets) == ["lr", "momentum", "weight_decay"]
    assert Policy(lr=0.1)(0) == {"lr": 0.1}


def test_groups_have_their_own_schedules():
    body = lehr.linear(1.0, 0.0, 4)
    p = Policy(lr={"body": body, "head": body * 0.25}, momentum={"body": 0.9})
    assert p(2) == {"lr": {"body": 0.5, "head": 0.125}, "momentum": {"body": 0.9}}
    assert p == Policy(lr={"head": body * 0.25, "body": body}, momentum={"body": 0.9})
    assert p != Policy(lr={"body": body, "head": body}, momentum={"body": 0.9})


def test_a_policy_copies_its_dict():
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


def test_drivers_reject_an_unresolved_policy():
    p = Policy(lr=0.1, momentum=lehr.linear(0.9, 0.8))
    message = (
        r"policy must be in integer steps before it drives an optimizer, got linear\(0\.9, 0\.8\); "
        r"pass steps=, or call .resolve\(...\)"
    )
    with pytest.raises(ValueError, match=message):
        resolved_policy(p)
    with pytest.raises(
        TypeError, match=r"got one_cycle\(0\.1\); pass the policy itself, or its \.lr$"
    ):
        Policy(lr=lehr.one_cycle(0.1))
    with pytest.raises(TypeError, match=r"got one_cycle\(0\.1\); pass the policy's \.lr$"):
        lehr.constant(0.1).then(lehr.one_cycle(0.1))
    with pytest.raises(
        TypeError, match=r"^policy must be a policy, a schedule or a number, got 'fast'"
    ):
        resolved_policy("fast")
    assert resolved_policy(p, 10).momentum.length == 10
    tokens = Policy(lehr.warmup(0.1, "1M tokens").then(lehr.cosine(0.1)))
    resolved = resolved_policy(tokens, "10M tokens", tokens_per_step=10**5)
    assert resolved == Policy(lehr.warmup(0.1, 10).then(lehr.cosine(0.1, 90)))
    with pytest.raises(ValueError, match=r"in lr: in Chain part 1: tokens_per_step must be given"):
        resolved_policy(tokens, 100)


def test_a_policy_resolves_in_every_unit_of_a_run():
    p = Policy(
        {"head": lehr.cosine(0.1), "body": lehr.warmup(0.1, "6.4K samples").then(lehr.cosine(0.1))},
        momentum=lehr.linear(0.9, 0.8, "0.5 epochs"),
        weight_decay=lehr.linear(0.0, 0.1, "50%"),
        values={"ema_decay": lehr.linear(0.9, 1.0, "20M tokens")},
    )
    run = p.resolve("2 epochs", steps_per_epoch=100.5, samples_per_step=64, tokens_per_step=10**5)
    assert run.resolved
    assert run.lr["head"].length == run.lr["body"].length == 201
    assert run.lr["body"].parts[0].length == 100
    assert (run.momentum.length, run.weight_decay.length) == (50, 101)  # halves are rounded up
    assert run.values["ema_decay"].length == 200
    with pytest.raises(ValueError, match=r"^in lr: steps must be given to resolve the rest of"):
        p.resolve(steps_per_epoch=100, samples_per_step=64, tokens_per_step=10**5)
    with pytest.raises(ValueError, match="tokens_per_step must be a number above 0, got 0"):
        Policy(0.1).resolve(10, tokens_per_step=0)


# Other hyperparameters, groups by index.


def test_extra_hyperparameters_are_targets():
    damp = lehr.linear(0.5, 0.0, 4)
    p = Policy(lr=0.1, extra={"dampening": damp, "beta2": {"head": 0.99}})
    assert list(p.targets) == ["lr", "dampening", "beta2"]
    assert p(2, factor=0.5) == {"lr": 0.05, "dampening": 0.25, "beta2": {"head": 0.99}}
    assert lehr.loads(p.dumps()) == p
    assert Policy(lr=0.1, extra={}) == Policy(lr=0.1)
    unresolved = Policy(lr=0.1, extra={"eps": lehr.linear(1.0, 0.0)})
    assert unresolved.resolve(10).extra == {"eps": lehr.linear(1.0, 0.0, 10)}


def test_groups_by_index_equal_groups_by_its_string():
    p = Policy(lr={0: 0.1, "head": 0.2}, extra={"eps": {1: 0.5}})
    assert p == Policy(lr={"0": 0.1, "head": 0.2}, extra={"eps": {"1": 0.5}})
    assert p(0) == {"lr": {"0": 0.1, "head": 0.2}, "eps": {"1": 0.5}}
    assert lehr.loads(p.dumps()) == p


@pytest.mark.parametrize(
    ("extra", "error", "match"),
    [
        ({"lr": 0.1}, ValueError, "extra must use the portable name of 'lr', got 'lr'; pass lr=$"),
        (
            {"momentum": 0.9},
            ValueError,
            "the portable name of 'momentum', got 'momentum'; pass momentum=$",
        ),
        ({"learning_rate": 0.1}, ValueError, "got 'learning_rate'; pass lr=$"),
        ({"b1": 0.9}, ValueError, "got 'b1'; pass momentum=, which is beta1 in Adam"),
        ({"beta1": 0.9}, ValueError, "got 'beta1'; pass momentum=, which is beta1 in Adam"),
        ({"beta_1": 0.9}, ValueError, "got 'beta_1'; pass momentum=, which is beta1 in Adam"),
        ({"b2": 0.9}, ValueError, r"got 'b2'; pass extra=\{'beta2': \.\.\.\}$"),
        ({"beta_2": 0.9}, ValueError, r"got 'beta_2'; pass extra=\{'beta2': \.\.\.\}$"),
        ({"betas": 0.9}, ValueError, r"got 'betas'; pass momentum=, .*extra=\{'beta2': \.\.\.\}$"),
        ({"epsilon": 1e-8}, ValueError, r"got 'epsilon'; pass extra=\{'eps': \.\.\.\}$"),
        ({1: 0.9}, TypeError, "extra must be a dict from hyperparameters' names to schedules"),
        (0.9, TypeError, "extra must be a dict from hyperparameters' names to schedules, got 0.9"),
        ({"eps": "fast"}, TypeError, "eps must be a schedule or a number, got 'fast'"),
        ({"eps": {}}, ValueError, "eps must be a schedule, or a dict from parameter groups' names"),
        ({"eps": {1.5: 0.1}}, ValueError, "eps must be .* names or indices to schedules, got"),
        ({"eps": -1}, ValueError, "eps must be a number at least 0, got -1"),
    ],
)
def test_extra_hyperparameters_are_checked(extra, error, match):
    with pytest.raises(error, match=match):
        Policy(lr=0.1, extra=extra)


# decay_from.

decays = st.fixed_dictionaries(
    {
        "step": st.integers(0, 300),
        "steps": st.integers(0, 100),
        "curve": st.sampled_from(["1-sqrt", "linear", "cosine"]),
        "floor": st.just(0.0),
    }
)


@given(policies, decays)
def test_decay_from_starts_at_the_current_rate(p, decay):
    trunk = p.resolve(**RUN)
    branch = trunk.decay_from(**decay)
    step, end = decay["step"], decay["step"] + decay["steps"]
    for t in {0, step // 2, max(step - 1, 0)} - {step}:
        assert branch(t) == trunk(t)
    groups = trunk.lr if isinstance(trunk.lr, dict) else {None: trunk.lr}
    for group, schedule in groups.items():
        branched = branch.lr if group is None else branch.lr[group]
        if decay["steps"]:
            assert branched(step) == schedule(step)  # no jump
        assert branched(end) == branched(end + 10**6) == decay["floor"]
    for t in (step, end, end + 7):  # other hyperparameters are unchanged
        for name in trunk(t).keys() - {"lr"}:
            assert branch(t)[name] == trunk(t)[name]
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
        ((-1, 5), ValueError, "step must be an integer number of steps >= 0, got -1"),
        ((2.5, 5), ValueError, r"step must be a length: .*, got 2\.5; round it"),
        ((None, 5), ValueError, "step must be the first step of the decay, got None"),
        (("soon", 5), ValueError, "step must be a length: .*, got 'soon'"),
        ((True, 5), TypeError, "step must be a length: .*, got True"),
        ((1, -1), ValueError, "steps must be an integer number of steps >= 0, got -1"),
        ((1, "-5%"), ValueError, "steps must be a length of at least 0, got '-5%'"),
    ],
)
def test_invalid_decays_are_rejected(arguments, error, match):
    with pytest.raises(error, match=match):
        Policy(lr=0.1).decay_from(*arguments)


def test_decays_with_lengths_relative_to_the_run():
    p = Policy(lehr.warmup(0.5, "10%").then(lehr.constant(0.5)), momentum=0.9)
    by_share = p.decay_from("until 80%", curve="linear")
    assert not by_share.resolved
    assert lehr.loads(by_share.dumps()) == by_share
    run = by_share.resolve(100)
    assert [run(t)["lr"] for t in (5, 10, 80, 90, 100)] == [0.25, 0.5, 0.5, 0.25, 0.0]
    assert run(90)["momentum"] == 0.9
    early = p.decay_from("5%", 10, curve="linear").resolve(100)  # in the warm-up
    assert [early(t)["lr"] for t in (5, 10, 15, 99)] == [0.25, 0.125, 0.0, 0.0]
    groups = Policy({"a": lehr.cosine(0.5), "b": 0.2}).decay_from("2 epochs", "1 epoch")
    run = groups.resolve(100, steps_per_epoch=20)
    assert run.lr["a"](40) == lehr.cosine(0.5, 100)(40)
    assert (run.lr["a"](60), run.lr["b"](39), run.lr["b"](60)) == (0.0, 0.2, 0.0)
    assert run.lr["b"](45) == pytest.approx(0.1)


# then, and products with a rate.


def test_then_by_hand():
    p = one_cycle(0.1, 90, end=0.001).then(lehr.constant(1e-4, 10))
    assert p(89)["lr"] > 0.001
    assert p(90) == p(10**6) == {"lr": 1e-4, "momentum": 0.95}
    assert p(27) == {"lr": 0.1, "momentum": 0.85}
    both = Policy(lehr.linear(1.0, 0.0, 4), momentum=lehr.linear(0.5, 0.25, 2)).then(
        Policy(0.25, momentum=0.75)
    )
    assert [both(t)["lr"] for t in (0, 3, 4, 9)] == [1.0, 0.25, 0.25, 0.25]
    # both second parts start at the end of the longer first part
    assert [both(t)["momentum"] for t in (0, 1, 2, 3, 4)] == [0.5, 0.375, 0.25, 0.25, 0.75]
    fixed = Policy(lehr.linear(1.0, 0.0, 4), weight_decay=0.5)
    fixed = fixed.then(Policy(0.25, weight_decay=0.125))
    assert [fixed(t)["weight_decay"] for t in (3, 4)] == [0.5, 0.125]


def test_then_in_a_run():
    p = Policy(lehr.constant(0.1, "50%"), weight_decay=lehr.linear(0.2, 0.1, "25%"))
    p = p.then(lehr.linear(0.1, 0.0)).resolve(8)
    assert [p(t)["lr"] for t in (0, 3, 4, 6, 8)] == [0.1, 0.1, 0.1, 0.05, 0.0]
    assert [p(t)["weight_decay"] for t in (0, 2, 8)] == [0.2, 0.1, 0.1]


def test_then_for_groups():
    body, head = lehr.linear(1.0, 0.5, 2), lehr.linear(0.25, 0.5, 2)
    p = Policy({"body": body, "head": head}).then(0.125)
    assert p(1)["lr"] == {"body": 0.75, "head": 0.375}
    assert p(2)["lr"] == {"body": 0.125, "head": 0.125}
    p = Policy(body).then(Policy({"body": 0.5, "head": 0.25}))
    assert p(1)["lr"] == {"body": 0.75, "head": 0.75}
    assert p(2)["lr"] == {"body": 0.5, "head": 0.25}
    with pytest.raises(
        ValueError, match=r"lr must be given for the groups \['body', 'head'\] in bo"
    ):
        Policy({"body": body, "head": head}).then(Policy({"body": body}))


def test_then_copies_the_controller_and_the_values():
    control = lehr.Plateau(patience=3)
    p = Policy(
        lehr.cosine(0.1, 4),
        control=control,
        extra={"eps": lehr.linear(0.5, 0.25, 2)},
        values={"clip_norm": lehr.linear(4.0, 1.0, 4)},
    )
    p = p.then(Policy(0.05, values={"clip_norm": 2.0}))
    assert p.control == control
    assert p(3)["clip_norm"] == 1.75
    assert p(4) == {"lr": 0.05, "eps": 0.25, "clip_norm": 2.0}


@pytest.mark.parametrize(
    ("other", "match"),
    [
        (
            Policy(0.1, momentum=0.9),
            r"other must be a policy of lr, got \['momentum'\]; give them in both",
        ),
        (
            Policy(0.1, values={"clip_norm": 1.0}),
            r"other must be a policy of lr, got \['clip_norm'\]; give them in both",
        ),
        (
            Policy(0.1, control=lehr.Plateau()),
            r"other must be a policy without another controller, got Plateau\(",
        ),
    ],
)
def test_then_rejects_a_policy_with_other_targets_or_a_controller(other, match):
    with pytest.raises(ValueError, match=match):
        Policy(lehr.cosine(0.1, 10)).then(other)


def test_then_rejects_other_types():
    with pytest.raises(TypeError, match="other must be a policy, a schedule or a number, got 'x'"):
        Policy(lehr.cosine(0.1, 10)).then("x")


def test_a_factor_scales_the_rate_only():
    p = Policy(
        {"body": lehr.linear(1.0, 0.0, 4), "head": 0.5},
        momentum=0.9,
        weight_decay=0.1,
        control=lehr.Plateau(),
        values={"ema_decay": 0.99},
    )
    half = p * 0.5
    assert half(2) == {
        "lr": {"body": 0.25, "head": 0.25},
        "momentum": 0.9,
        "weight_decay": 0.1,
        "ema_decay": 0.99,
    }
    assert half.control == p.control
    assert 0.5 * p == half
    assert (p * lehr.warmup(1.0, 4))(2)["lr"] == {"body": 0.25, "head": 0.25}
    assert (one_cycle(1.0, 10) * 0.25)(3) == {"lr": 0.25, "momentum": 0.85}
    with pytest.raises(TypeError, match="factor must be a schedule or a number, got 'x'"):
        p * "x"


# Values that the training loop reads.


def test_values_are_read_and_not_written():
    ema = lehr.warmup(1.0, 4, start=0.5)
    p = Policy(lehr.linear(1.0, 0.0, 4), momentum=0.9, values={"ema_decay": ema, "clip_norm": 2})
    assert p.written(2) == {"lr": 0.5, "momentum": 0.9}
    assert p.read(2) == {"ema_decay": 0.75, "clip_norm": 2.0}
    assert p(2) == {"lr": 0.5, "momentum": 0.9, "ema_decay": 0.75, "clip_norm": 2.0}
    assert p(2, factor=0.5) == {"lr": 0.25, "momentum": 0.9, "ema_decay": 0.75, "clip_norm": 2.0}
    assert list(p.targets) == ["lr", "momentum"]
    assert lehr.loads(p.dumps()) == p
    assert p != Policy(lehr.linear(1.0, 0.0, 4), momentum=0.9)
    assert hash(p) != hash(Policy(lehr.linear(1.0, 0.0, 4), momentum=0.9))
    assert Policy(0.1, values={}) == Policy(0.1)
    assert Policy(0.1).read(0) == {}


def test_values_may_be_any_finite_number():
    p = Policy(0.1, values={"temperature": lehr.linear(-1.0, 1.0, 4), "batch_size": 2**20})
    assert p.read(0) == {"temperature": -1.0, "batch_size": 2.0**20}
    open_length = Policy(0.1, values={"ema_decay": lehr.warmup(1.0, "50%", start=0.5)})
    assert not open_length.resolved
    assert open_length.resolve(8).read(2) == {"ema_decay": 0.75}


@pytest.mark.parametrize(
    ("values", "error", "match"),
    [
        (0.9, TypeError, "values must be a dict from names to schedules or numbers, got 0.9"),
        ({1: 0.9}, TypeError, "values must be a dict from names to schedules or numbers, got"),
        ({"a": "x"}, TypeError, r"values\['a'\] must be a schedule or a number, got 'x'"),
        ({"a": float("inf")}, ValueError, r"values\['a'\] must be a finite number, got inf"),
        ({"lr": 0.1}, ValueError, "values must be names other than the optimizer's, .* got 'lr'"),
        ({"momentum": 0.1}, ValueError, "values must be names other .* as 'ema_momentum', got 'mo"),
        ({"eps": 0.1}, ValueError, "values must be names other than the optimizer's, .* got 'eps'"),
    ],
)
def test_invalid_values_are_rejected(values, error, match):
    with pytest.raises(error, match=match):
        Policy(lr=0.1, extra={"eps": 1e-8}, values=values)


# One cycle.


def test_one_cycle_by_hand():
    p = one_cycle(1.0, 20, curve="linear", rise=0.25, start=0.5, end=0.25, momentum=(0.75, 0.5))
    rates = [0.5 + 0.1 * t for t in range(5)] + [1.0 - 0.05 * t for t in range(16)] + [0.25, 0.25]
    assert [p.lr(t) for t in range(23)] == pytest.approx(rates, rel=1e-15)
    assert [p.momentum(t) for t in (0, 5, 20, 99)] == [0.75, 0.5, 0.75, 0.75]
    assert p.momentum(3) == pytest.approx(0.75 - 0.25 * 3 / 5, rel=1e-15)


def test_one_cycle_agrees_with_fastai():
    p = one_cycle(0.1, 100)
    assert p(0) == {"lr": 0.1 / 25, "momentum": 0.95}
    assert p(30) == {"lr": 0.1, "momentum": 0.85}
    assert p(100) == p(10**6) == {"lr": 0.0, "momentum": 0.95}
    assert p.lr(15) == pytest.approx((0.1 + 0.004) / 2, rel=1e-15)
    assert p.lr(65) == pytest.approx(0.05, rel=1e-15)


@pytest.mark.parametrize("curve", ["linear", "cosine", "1-sqrt", "sine"])
@pytest.mark.parametrize("rise", [1e-9, 0.1, 0.3, 0.5, 0.999])
def test_one_cycle_of_any_length_stays_in_its_range(curve, rise):
    for steps in range(2, 51):
        p = one_cycle(0.1, steps, rise=rise, curve=curve, end=0.001)
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
    p = one_cycle(peak, steps, rise=rise, start=0.0, end=0.0)
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
    smoke = one_cycle(0.1).resolve(1)  # the rise is rounded to 0 steps
    assert (smoke.lr.length, smoke(0)) == (1, {"lr": 0.1, "momentum": 0.85})
    p = one_cycle(0.1, whole := 40).lr
    assert p.length == whole


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (
            lambda: Policy(0.1, momentum=lehr.linear(0.9, 1.5, 5).then(lehr.linear(1.5, 0.9, 5))),
            r"momentum at step 5 must be a number .*below 1, got 1\.5",
        ),
        (
            lambda: Policy(0.1, momentum=lehr.warmup(1.0, 100, start=0.996, curve="cosine")),
            r"momentum at step 100 must be .*below 1, got 1\.0; .* values=\{'ema_decay': \.\.\.\}",
        ),
        (lambda: Policy(0.1, extra={"beta2": 1.5}), r"beta2 must be a number .*below 1, got 1\.5"),
        (
            lambda: Policy(lehr.linear(0.1, -0.1, 5).then(lehr.linear(-0.1, 0.1, 5))),
            r"lr at step 5 must be a number at least 0, got -0\.1",
        ),
        (
            lambda: Policy(lehr.cosine(0.1, 100)).decay_from(90, 10, floor=0.05),
            r"floor must be at most the rate at step 90 \(0\.0024",
        ),
    ],
)
def test_invalid_values_are_rejected_at_any_step(make, match):
    with pytest.raises(ValueError, match=match):
        make()


def test_policies_with_groups_are_hashable():
    a, b = (Policy(lr={"head": 0.1, "body": lehr.cosine(0.1, 10)}, momentum=0.9) for _ in "ab")
    assert hash(a) == hash(b)
    assert len({a, b, Policy(0.1)}) == 2
