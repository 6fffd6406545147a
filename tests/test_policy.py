"""Policies, one cycle, and the plateau controller beside torch's and Keras's."""

import importlib.util
import json
import math
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lehr
from lehr import Plateau, Policy, one_cycle
from lehr.control import State
from lehr.policy import as_policy, resolved_policy
from lehr.schedule import Constant
from strategies import RUN, any_lengths, policies, schedules, whole_steps

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
    with pytest.raises(TypeError, match=r"^policy must be a schedule or a number, got 'fast'"):
        resolved_policy("fast")
    assert resolved_policy(p, 10).momentum.length == 10


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


def test_optax_one_cycle_agrees():
    optax, jax = pytest.importorskip("optax"), pytest.importorskip("jax")
    # final_div_factor divides the start, not the peak as optax's own text says
    theirs = optax.cosine_onecycle_schedule(200, 0.1, 0.3, 25.0, 1e2)
    p = one_cycle(0.1, 200, final=0.1 / 25 / 100)
    steps = np.arange(230)
    peer = np.asarray(jax.vmap(theirs)(steps))  # optax's takes one step at a time
    assert np.abs(p.lr(steps) - peer).max() <= 4e-7 * 0.1


def test_torch_one_cycle_agrees_about_shape_and_ends_one_step_earlier():
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 0.1, total_steps=101, pct_start=31 / 101, final_div_factor=1e3
    )
    p = one_cycle(0.1, 100, final=0.1 / 25 / 1e3)  # its last step is total_steps - 1
    for t in range(101):
        group = optimizer.param_groups[0]
        assert group["lr"] == pytest.approx(p.lr(t), rel=1e-12)
        assert group["momentum"] == pytest.approx(p.momentum(t), rel=1e-12)
        optimizer.step()
        if t < 100:
            scheduler.step()


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


@given(whole_steps.filter(lambda n: n > 1), st.floats(0.01, 0.99))
def test_one_cycle_is_json(steps, rise):
    p = one_cycle(0.1, steps, rise=rise)
    assert lehr.loads(p.dumps()) == p


# Plateau.


def factors(plateau: Plateau, metrics) -> list[float]:
    state, seen = plateau.init(), []
    for metric in metrics:
        state = plateau.update(state, metric)
        seen.append(state.factor)
    return seen


def test_plateau_by_hand():
    plateau = Plateau(factor=0.5, patience=2, threshold=0.0)
    #          best  better  1    2=cut  1   better  1    2=cut
    metrics = [1.00, 0.90, 0.90, 0.95, 0.90, 0.80, 0.80, 0.80]
    assert factors(plateau, metrics) == [1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25]


def test_plateau_cooldown_ignores_as_many_metrics_as_it_says():
    plateau = Plateau(factor=0.5, patience=1, cooldown=2)
    assert factors(plateau, [1.0] * 8) == [1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.125]
    # a better metric during the cooldown is remembered
    state = plateau.init()
    for metric in (1.0, 1.0, 0.5):
        state = plateau.update(state, metric)
    assert state == State(factor=0.5, best=0.5, waited=0, resting=1)


def test_plateau_floor_and_max_mode():
    plateau = Plateau(factor=0.5, patience=1, floor=0.3, mode="max")
    assert factors(plateau, [0.5, 0.6, 0.6, 0.6, 0.6]) == [1, 1, 0.5, 0.3, 0.3]
    assert factors(replace(plateau, floor=1.0), [1.0] * 5) == [1.0] * 5


def test_plateau_threshold_is_relative_to_the_best():
    plateau = Plateau(factor=0.5, patience=1, threshold=0.25)
    assert factors(plateau, [100.0, 76.0]) == [1, 0.5]  # 24 % better: not enough
    assert factors(plateau, [100.0, 74.0]) == [1, 1]
    assert factors(plateau, [-100.0, -124.0]) == [1, 0.5]
    assert factors(plateau, [-100.0, -126.0]) == [1, 1]
    upward = replace(plateau, mode="max")
    assert factors(upward, [100.0, 124.0]) == [1, 0.5]
    assert factors(upward, [100.0, 126.0]) == [1, 1]
    assert factors(upward, [-100.0, -76.0]) == [1, 0.5]
    assert factors(upward, [-100.0, -74.0]) == [1, 1]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("mode", ["min", "max"])
def test_what_is_not_finite_never_improves_and_is_never_the_best(bad, mode):
    plateau = Plateau(factor=0.5, patience=2, mode=mode)
    assert factors(plateau, [bad] * 4) == [1, 0.5, 0.5, 0.25]
    state = plateau.init()
    for metric in (bad, 1.0, bad):
        state = plateau.update(state, metric)
    assert state == State(best=1.0, waited=1)


streams = st.lists(
    st.one_of(st.floats(0.01, 2.0), st.sampled_from([0.5, 1.0, 1.0, math.nan])),
    min_size=1,
    max_size=60,
)


@given(streams)
def test_the_same_metrics_give_the_same_decisions_and_the_state_is_all(metrics):
    plateau = Plateau(factor=0.5, patience=2, cooldown=1)
    whole = factors(plateau, metrics)
    assert whole == factors(plateau, [np.float32(m) for m in metrics]) or any(
        np.float32(m) != m for m in metrics if m == m
    )
    half = len(metrics) // 2
    state = plateau.init()
    for metric in metrics[:half]:
        state = plateau.update(state, metric)
    resumed = State(**json.loads(json.dumps(vars(state))))
    rest = []
    for metric in metrics[half:]:
        resumed = plateau.update(resumed, metric)
        rest.append(resumed.factor)
    assert rest == whole[half:]


def torch_factors(plateau: Plateau, metrics) -> list[float]:
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer,
        mode=plateau.mode,
        factor=plateau.factor,
        patience=plateau.patience - 1,  # torch waits for one metric more than it is told
        threshold=plateau.threshold,
        cooldown=plateau.cooldown,
        min_lr=plateau.floor,
        eps=0.0,
    )
    seen = []
    for metric in metrics:
        scheduler.step(metric)
        seen.append(optimizer.param_groups[0]["lr"])
    return seen


settings_that_peers_share = st.builds(
    Plateau,
    factor=st.sampled_from([0.5, 0.1]),
    patience=st.integers(1, 4),
    threshold=st.sampled_from([0.0, 2.0**-13, 0.125]),  # exact, so that ties are ties to both
    mode=st.sampled_from(["min", "max"]),
    cooldown=st.integers(0, 3),
    floor=st.sampled_from([0.0, 0.2]),
)


@given(settings_that_peers_share, streams)
def test_torch_decides_alike_on_positive_metrics(plateau, metrics):
    assert factors(plateau, metrics) == torch_factors(plateau, metrics)


@given(settings_that_peers_share, streams)
def test_torch_decides_alike_on_negative_metrics_without_a_threshold(plateau, metrics):
    plateau = replace(plateau, threshold=0.0)
    negative = [-m for m in metrics]
    assert factors(plateau, negative) == torch_factors(plateau, negative)


def test_torch_takes_a_worse_negative_metric_for_a_better_one_and_we_do_not():
    plateau = Plateau(factor=0.5, patience=2, threshold=0.1)
    worsening = [-1.0, -0.95, -0.92, -0.9]
    # torch's fault: best * (1 - threshold) lies on the wrong side of a negative best
    assert torch_factors(plateau, worsening) == [1, 1, 1, 1]
    assert factors(plateau, worsening) == [1, 1, 0.5, 0.5]


KERAS = """
import json, sys, types
from keras.callbacks import ReduceLROnPlateau

def run(case):
    options, metrics = case
    optimizer = types.SimpleNamespace(learning_rate=1.0)
    callback = ReduceLROnPlateau(monitor="m", min_delta=0.0, **options)
    callback.set_model(types.SimpleNamespace(optimizer=optimizer))
    callback.on_train_begin()
    seen = []
    for epoch, metric in enumerate(metrics):
        callback.on_epoch_end(epoch, {"m": metric})
        seen.append(float(optimizer.learning_rate))
    return seen

print(json.dumps([run(case) for case in json.load(sys.stdin)]))
"""


def test_keras_decides_alike():
    if not (importlib.util.find_spec("keras") and importlib.util.find_spec("jax")):
        pytest.skip("Keras on JAX is not installed")
    random = np.random.default_rng(7)
    ours, cases = [], []
    for i in range(200):
        mode = ("min", "max")[i % 2]
        cooldown = int(random.integers(0, 4))
        plateau = Plateau(
            factor=0.5, patience=1 + i % 4, threshold=0.0, mode=mode, cooldown=cooldown, floor=0.125
        )
        metrics = [0.3, *random.choice([-1.0, -0.5, 0.25, 0.5, 1.0, math.nan], 40).tolist()]
        ours.append(factors(plateau, metrics))
        # Keras ends a cooldown one metric early: of 2 it ignores 1, and of 1 it ignores none
        their_cooldown = cooldown + 1 if cooldown else 0
        options = {"factor": 0.5, "patience": plateau.patience, "mode": mode, "min_lr": 0.125}
        cases.append((options | {"cooldown": their_cooldown}, metrics))
    improving = [math.nan, 1.0, 0.9, 0.8, 0.7]
    cases.append(({"factor": 0.5, "patience": 2, "mode": "min"}, improving))
    done = subprocess.run(
        [sys.executable, "-c", KERAS],
        input=json.dumps(cases),
        capture_output=True,
        text=True,
        env=os.environ | {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert len({tuple(f) for f in ours}) > 20  # the streams do lead to different decisions
    *theirs, after_nan = json.loads(done.stdout.splitlines()[-1])
    assert ours == theirs
    # Keras's fault: a NaN that comes first is its best for ever, and nothing improves on it
    assert after_nan == [1, 1, 0.5, 0.5, 0.25]
    assert factors(Plateau(factor=0.5, patience=2), improving) == [1, 1, 1, 1, 1]
