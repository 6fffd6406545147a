"""lehr.jax.drive: values read by the loop, and runs in tokens, samples and epochs."""

import copy
import json

import jax
import jax.numpy as jnp
import optax
import pytest
from jax_models import close

import lehr
import lehr.jax

DECAY = lehr.linear(0.5, 1.0, 10)
POLICY = lehr.Policy(
    lehr.linear(1.0, 0.0, 10), momentum=0.5, values={"ema_decay": DECAY, "clip_norm": 2}
)
ONE = jnp.ones(())


def updated(tx, state, updates):
    for _ in range(updates):
        _, state = tx.update(ONE, state, ONE)
    return state


def numbers(values):
    return jax.tree.map(float, values)


# Current values.


def test_values_of_the_loop_are_read_at_each_update():
    """S27: an average of a weight in a scan with the policy's decay, by hand."""
    tx = lehr.jax.drive(optax.sgd, POLICY)

    def update(carry, _):
        weight, average, state = carry
        values = tx.values(state)
        moved, state = tx.update(ONE, state)
        weight = optax.apply_updates(weight, moved)
        average = optax.incremental_update(weight, average, 1 - values["ema_decay"])
        return (weight, average, state), values

    weight = jnp.zeros(())
    scanned = jax.jit(lambda carry: jax.lax.scan(update, carry, length=12))
    (_, average, state), values = scanned((weight, weight, tx.init(weight)))
    assert set(values) == {"lr", "momentum", "ema_decay", "clip_norm"}
    for name, used in values.items():
        close(used, [POLICY(t)[name] for t in range(12)])
    at, velocity, by_hand = 0.0, 0.0, 0.0
    for t in range(12):
        velocity = 0.5 * velocity + 1.0
        at -= max(1 - t / 10, 0) * velocity
        share = min(0.5 + t / 20, 1.0)
        by_hand = share * by_hand + (1 - share) * at
    assert float(average) == pytest.approx(by_hand, rel=1e-6)
    assert set(state.hyperparams) == {"lr", "momentum"}  # only hyperparameters are set
    assert numbers(tx.values(state)) == pytest.approx(POLICY(12))


def test_values_have_the_groups_of_the_policy():
    policy = lehr.Policy({"a": DECAY, "b": 0.25}, values={"k": 3})
    groups = {"x": "a", "y": "b"}
    tx = lehr.jax.drive(optax.sgd, policy, groups=groups)
    state = tx.init({"x": ONE, "y": ONE})
    assert numbers(tx.values(state)) == {"lr": {"a": 0.5, "b": 0.25}, "k": 3.0} == policy(0)


def test_the_factor_scales_only_the_rate():
    policy = lehr.Policy(0.5, values={"k": 3}, control=lehr.Plateau(patience=1, factor=0.5))
    tx = lehr.jax.drive(optax.sgd, policy)
    state = tx.init(ONE)
    for metric in (1.0, 1.0):
        state = tx.observe(state, metric)
    assert numbers(tx.values(state)) == {"lr": 0.25, "k": 3.0}
    assert numbers(tx.values(tx.with_factor(state, 0.1))) == pytest.approx({"lr": 0.05, "k": 3})


@pytest.mark.parametrize(
    "around",
    [
        lambda tx: optax.chain(optax.clip_by_global_norm(1.0), tx),
        lambda tx: optax.MultiSteps(tx, 1).gradient_transformation(),
        lambda tx: optax.apply_if_finite(tx, 3),
        lambda tx: optax.masked(tx, True),
        lambda tx: optax.with_extra_args_support(tx),
    ],
)
def test_values_are_found_in_the_state_of_other_transformations(around):
    tx = lehr.jax.drive(optax.sgd, POLICY)
    outer = around(tx)
    state = outer.init(ONE)
    for t in range(4):
        assert numbers(tx.values(state)) == pytest.approx(POLICY(t))
        _, state = jax.jit(outer.update)(ONE, state, ONE)


def test_micro_batches_do_not_count():
    tx = lehr.jax.drive(optax.sgd, POLICY)
    outer = optax.MultiSteps(tx, 2)
    state = outer.init(ONE)
    for micro in range(6):
        assert float(tx.values(state)["ema_decay"]) == pytest.approx(DECAY(micro // 2))
        _, state = outer.update(ONE, state, ONE)


def test_the_driver_is_an_optax_optimizer_with_a_policy():
    tx = lehr.jax.drive(optax.sgd, lehr.cosine(0.1), 20)
    assert isinstance(tx, lehr.jax.Driver)
    assert isinstance(tx, optax.GradientTransformationExtraArgs)
    assert optax.with_extra_args_support(tx) is tx
    assert tx.policy == lehr.Policy(lehr.cosine(0.1, 20)) == copy.copy(tx).policy
    init, update = tx
    assert (init, update) == (tx.init, tx.update)


def test_a_state_without_a_driven_part_is_rejected():
    tx = lehr.jax.drive(optax.sgd, POLICY)
    with pytest.raises(ValueError, match=r"a state created by lehr.jax.drive, got 'tup"):
        tx.values(optax.sgd(0.1).init(ONE))


# Saving and resuming.


@pytest.mark.parametrize("cut", [0, 1, 7, 12])
def test_values_of_the_loop_resume_exactly(cut):
    tx = lehr.jax.drive(optax.sgd, POLICY)
    saved = json.loads(json.dumps(tx.state_dict(updated(tx, tx.init(ONE), cut))))
    assert lehr.loads(saved["policy"]) == POLICY
    state = tx.load_state_dict(tx.init(ONE), saved)
    assert numbers(tx.values(state)) == pytest.approx(POLICY(cut))


def test_another_value_of_the_loop_is_rejected_or_continued():
    new = lehr.Policy(POLICY.lr, momentum=0.5, values={"ema_decay": DECAY * 0.5, "clip_norm": 2})
    tx = lehr.jax.drive(optax.sgd, POLICY)
    saved = tx.state_dict(updated(tx, tx.init(ONE), 4))
    tx = lehr.jax.drive(optax.sgd, new)
    match = r"ema_decay was .* ema_decay at step 4 would jump from 0.7 to 0.35; pass on_change="
    with pytest.raises(ValueError, match=match):
        tx.load_state_dict(tx.init(ONE), saved)
    tx = lehr.jax.drive(optax.sgd, new, on_change="continue")
    state = tx.load_state_dict(tx.init(ONE), saved)
    assert numbers(tx.values(state)) == pytest.approx(new(4))


def test_a_learner_omits_values_of_the_loop():
    def trained(policy):
        x = jnp.arange(16.0)
        learner = lehr.jax.Learner(
            lambda weight, batch, key: jnp.mean((weight * batch[0] - batch[1]) ** 2) / 100,
            0.0,
            lambda learning_rate, momentum=0.9: optax.sgd(learning_rate, momentum),
            (x, 2 * x),
            batch_size=4,
        )
        return learner.train(policy, 12)

    trace = trained(POLICY)
    assert list(trace.rates) == ["lr", "momentum"]
    assert trace == trained(lehr.Policy(POLICY.lr, momentum=0.5))


# Lengths in every unit.

RAMP = lehr.piecewise([2], [4, 8])  # 8 after two steps, 16 after three, 24 after four


@pytest.mark.parametrize(
    ("length", "steps", "sizes"),
    [
        (8, (), {}),
        (None, (8,), {}),
        ("50%", ("16 steps",), {}),
        (None, ("2 epochs",), {"steps_per_epoch": 4.1}),
        ("2K samples", (), {"samples_per_step": 250}),
        (None, ("2T tokens",), {"tokens_per_step": 2.5e11}),
    ],
)
def test_a_run_length_may_use_any_unit(length, steps, sizes):
    wanted = lehr.Policy(lehr.linear(1.0, 0.0, 8))
    policy = lehr.Policy(lehr.linear(1.0, 0.0, length))
    tx = lehr.jax.drive(optax.sgd, policy, *steps, **sizes)
    assert tx.policy == wanted
    saved = tx.state_dict(tx.init(ONE))
    assert lehr.loads(saved["policy"]) == wanted
    tx.load_state_dict(tx.init(ONE), saved)


@pytest.mark.parametrize("unit", ["samples", "tokens"])
def test_the_rate_follows_a_ramp_of_the_batch_size(unit):
    tx = lehr.jax.drive(
        optax.sgd, lehr.linear(1.0, 0.0, f"24 {unit}"), **{f"{unit}_per_step": RAMP}
    )
    state, moves = tx.init(ONE), []
    for _ in range(6):
        move, state = jax.jit(tx.update)(ONE, state)
        moves.append(-move)
    close(moves, [1, 20 / 24, 16 / 24, 8 / 24, 0, 0])


def test_a_missing_size_can_be_passed():
    """S28: passing the size that the error names is accepted."""
    policy = lehr.cosine(0.1, "1B tokens")
    with pytest.raises(ValueError, match=r"tokens_per_step must be given.*; pass tokens_per_step"):
        lehr.jax.drive(optax.sgd, policy, 100)
    assert lehr.jax.drive(optax.sgd, policy, 100, tokens_per_step=1e7).policy.length == 100


def test_wrong_sizes_are_rejected_even_if_unused():
    for policy in (0.1, lehr.cosine(0.1, 10), lehr.cosine(0.1)):
        with pytest.raises(ValueError, match="tokens_per_step must be a number above 0, got 0"):
            lehr.jax.drive(optax.sgd, policy, 10, tokens_per_step=0)
        with pytest.raises(ValueError, match="steps must be at least 1 step, got 0"):
            lehr.jax.drive(optax.sgd, policy, 0)
