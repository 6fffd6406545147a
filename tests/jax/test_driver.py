"""lehr.jax.drive: real training with optax; the values used in each update."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from error_cases import cases
from jax_models import close, matrices

import lehr
import lehr.jax

STEPS = 20
CYCLE = lehr.one_cycle(0.1, steps=STEPS)
TOTAL = sum(CYCLE.lr(t) for t in range(STEPS))


def loss(params, x):
    return jnp.mean((jnp.tanh(x @ params["a"]) @ params["b"] - x.sum(1, keepdims=True)) ** 2)


X = jax.random.normal(jax.random.PRNGKey(1), (STEPS, 16, 4))


def step_of(tx, ledger=lehr.jax.hyperparams):
    def step(carry, x):
        params, state = carry
        updates, state = tx.update(jax.grad(loss)(params, x), state, params)
        return (optax.apply_updates(params, updates), state), ledger(state)

    return step


def loop(tx, step=None):
    step, carry, ledger = jax.jit(step or step_of(tx)), (matrices(), tx.init(matrices())), []
    for x in X:
        carry, used = step(carry, x)
        ledger.append(used)
    return carry, {name: [used[name] for used in ledger] for name in ledger[0]}


@pytest.mark.parametrize(
    ("make", "constants", "moves"),
    [
        (optax.sgd, {"nesterov": True}, ("lr", "momentum")),
        (optax.sgd, {}, ("lr",)),
        (optax.adam, {"b2": 0.99}, ("lr", "momentum")),
        (optax.adamw, {}, ("lr", "momentum", "weight_decay")),
        (optax.lion, {}, ("lr", "weight_decay")),
        (optax.rmsprop, {}, ("lr", "momentum")),
    ],
)
def test_every_update_uses_the_policys_values(make, constants, moves):
    schedules = {
        "lr": CYCLE.lr,
        "momentum": CYCLE.momentum,
        "weight_decay": lehr.linear(0.1, 0.0, STEPS),
    }
    policy = lehr.Policy(**{name: schedules[name] for name in moves})
    tx = lehr.jax.drive(partial(make, **constants), policy)
    _, ledger = loop(tx)
    assert tuple(ledger) == moves
    for name in moves:
        close(ledger[name], [schedules[name](t) for t in range(STEPS)])


def test_a_weight_moves_by_the_sum_of_the_rates():
    """Measured on the weight, independent of the record."""
    tx = lehr.jax.drive(optax.sgd, CYCLE.lr)
    weight, state, moves = jnp.zeros(()), tx.init(jnp.zeros(())), []
    for _ in range(STEPS):
        updates, state = tx.update(jnp.ones(()), state)
        moves.append(-updates)
        weight = optax.apply_updates(weight, updates)
    close(moves, [CYCLE.lr(t) for t in range(STEPS)])
    assert -float(weight) == pytest.approx(TOTAL, rel=STEPS * 6e-8)


def test_the_driven_optimizer_equals_injected_optax():
    """Against optax with the same functions injected, momentum too: bit for bit."""
    mine, _ = loop(lehr.jax.drive(partial(optax.sgd, nesterov=True), CYCLE))
    injected = optax.inject_hyperparams(optax.sgd, static_args="nesterov")(
        learning_rate=CYCLE.lr, momentum=CYCLE.momentum, nesterov=True
    )

    def step(carry, x):
        params, state = carry
        updates, state = injected.update(jax.grad(loss)(params, x), state, params)
        return (optax.apply_updates(params, updates), state), state.hyperparams

    carry, ledger = (matrices(), injected.init(matrices())), []
    for x in X:
        carry, used = jax.jit(step)(carry, x)
        ledger.append(used)
    jax.tree.map(np.testing.assert_array_equal, mine[0], carry[0])


def test_momentum_may_start_at_zero():
    _, ledger = loop(
        lehr.jax.drive(optax.sgd, lehr.Policy(lr=0.01, momentum=lehr.linear(0, 0.9, 10)))
    )
    close(ledger["momentum"], [min(0.09 * t, 0.9) for t in range(STEPS)])


def test_loop_and_scan_are_bit_identical():
    tx = lehr.jax.drive(optax.adamw, CYCLE)
    carry, ledger = loop(tx)
    scanned, scan_ledger = jax.jit(lambda carry: jax.lax.scan(step_of(tx), carry, X))(
        (matrices(), tx.init(matrices()))
    )
    # XLA of JAX 0.4 fuses a multiplication with an addition in one of the two programs only
    exact = jax.__version_info__ >= (0, 5)
    nearly = partial(np.testing.assert_allclose, rtol=1e-6, atol=1e-7)
    equal = np.testing.assert_array_equal if exact else nearly
    jax.tree.map(equal, carry, scanned)
    for name, used in ledger.items():
        equal(np.stack(used), scan_ledger[name])
    assert int(scanned[1].step) == STEPS
    assert scanned[1].step.dtype == jnp.int32


def test_multisteps_counts_updates_not_micro_batches():
    tx = optax.MultiSteps(lehr.jax.drive(optax.sgd, lehr.linear(0.5, 0.1, 4)), 4)
    weight, state, seen = jnp.zeros(()), tx.init(jnp.zeros(())), []
    for _ in range(16):
        updates, state = tx.update(jnp.ones(()), state, weight)
        weight = optax.apply_updates(weight, updates)
        seen.append(-float(updates))
    close(seen[3::4], [0.5, 0.4, 0.3, 0.2])
    assert seen[:3] == [0.0, 0.0, 0.0]
    close(lehr.jax.hyperparams(state)["lr"], 0.2)


def test_a_skipped_update_does_not_count():
    tx = optax.apply_if_finite(lehr.jax.drive(optax.sgd, lehr.linear(0.5, 0.1, 4)), 5)
    state, seen = tx.init(jnp.zeros(())), []
    for gradient in (1.0, jnp.nan, 1.0):
        updates, state = jax.jit(tx.update)(jnp.asarray(gradient), state)
        seen.append(-float(updates))
    close(seen, [0.5, 0.0, 0.4])


def both(params):
    return {name: "head" if name == "b" else "body" for name in params}


@pytest.mark.parametrize("groups", [{"a": "body", "b": "head"}, both])
def test_groups_have_separate_rates_and_one_step(groups):
    """Moves of weights with gradient one; bit for bit equal to optax's multi_transform."""
    rates = {"head": lehr.linear(0.5, 0.1, 4), "body": lehr.linear(0.05, 0.01, 4)}
    policy = lehr.Policy(lr=rates, weight_decay={"head": 0.0, "body": 0.1}, momentum=0.9)
    tx = lehr.jax.drive(optax.adamw, policy, groups=groups)
    mine, ledger = loop(tx)
    for group, rate in rates.items():
        close(ledger[f"lr/{group}"], [rate(t) for t in range(STEPS)])
    close(ledger["momentum"], [0.9] * STEPS)
    close(ledger["weight_decay/body"], [0.1] * STEPS)
    injected = optax.multi_transform(
        {
            group: optax.inject_hyperparams(optax.adamw, static_args=("mask", "b2", "eps"))(
                rate, b1=0.9, weight_decay=0.1 * (group == "body")
            )
            for group, rate in rates.items()
        },
        groups,
    )
    (params, _), _ = loop(injected, step_of(injected, lambda state: {}))
    jax.tree.map(np.testing.assert_array_equal, mine[0], params)
    assert int(mine[1].step) == STEPS

    tx = lehr.jax.drive(optax.sgd, rates_only := lehr.Policy(lr=rates), groups=groups)
    weights = {"a": jnp.zeros(()), "b": jnp.zeros(())}
    state = tx.init(weights)
    for step in range(5):
        updates, state = tx.update(jax.tree.map(jnp.ones_like, weights), state)
        wanted = rates_only(step)["lr"]
        close([-updates["b"], -updates["a"]], [wanted["head"], wanted["body"]])


def test_a_parameter_in_no_group_is_rejected():
    tx = lehr.jax.drive(optax.sgd, lehr.Policy(lr={"head": 0.1}), groups={"a": "head", "b": "hed"})
    with pytest.raises(ValueError, match=r"groups that the policy names, \['head'\], got 'hed'"):
        tx.init(matrices())


def test_any_argument_follows_the_policy():
    """By the portable name or optax's name; against Adam by hand on a gradient of two."""
    extra = {"beta2": lehr.linear(0.9, 0.99, STEPS), "eps": lehr.linear(1.0, 0.0, STEPS)}
    tx = lehr.jax.drive(optax.adam, lehr.Policy(lr=0.1, momentum=0.0, extra=extra))
    state, second = tx.init(jnp.zeros(())), 0.0
    for t in range(STEPS):
        updates, state = jax.jit(tx.update)(jnp.asarray(2.0), state)
        b2, eps = extra["beta2"](t), extra["eps"](t)
        close(lehr.jax.hyperparams(state)["beta2"], b2)
        close([lehr.jax.hyperparams(state)["eps"], 1.0], [eps, 1.0])
        second = b2 * second + (1 - b2) * 4.0
        corrected = second / (1 - b2 ** (t + 1))  # as in optax: with the newest beta2
        assert float(updates) == pytest.approx(-0.1 * 2.0 / (corrected**0.5 + eps), rel=1e-4)


def test_hyperparameters_may_use_optax_names():
    tx = lehr.jax.drive(optax.adam, lehr.Policy(lr=0.1, extra={"eps_root": 0.5}))
    assert float(lehr.jax.hyperparams(tx.init(0.0))["eps_root"]) == 0.5


def test_the_state_may_be_donated():
    tx = lehr.jax.drive(optax.adamw, CYCLE)
    step = jax.jit(step_of(tx), donate_argnums=0)
    carry = (matrices(), tx.init(matrices()))
    for x in X:
        carry, _ = step(carry, x)
    jax.tree.map(np.testing.assert_array_equal, carry, loop(tx)[0])


def test_past_2_to_the_24_steps():
    tx = lehr.jax.drive(optax.sgd, lehr.triangular(0.0, 1.0, half_cycle=5))
    state = tx.init(jnp.zeros(()))._replace(step=jnp.asarray(2**24 + 3, jnp.int32))
    used = []
    for _ in range(4):
        updates, state = jax.jit(tx.update)(jnp.ones(()), state)
        used.append(-updates)
    close(used, [lehr.triangular(0.0, 1.0, 5)(2**24 + 3 + i) for i in range(4)])


@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_low_precision_types_are_unchanged_in_a_scan(dtype, given):
    tx = lehr.jax.drive(optax.sgd, CYCLE)
    params = jnp.zeros((3,), dtype)

    def step(state, _):
        updates, state = tx.update(jnp.ones((3,), dtype), state, params if given else None)
        return state, updates

    state, updates = jax.lax.scan(step, tx.init(params), None, length=STEPS)
    assert updates.dtype == dtype
    assert state.hyperparams["lr"].dtype == jnp.float32
    assert state.control.factor.dtype == jnp.float32


def test_other_arguments_are_unchanged():
    """A mask is a function, which optax would treat as a schedule."""
    masked = partial(optax.adamw, mask=lambda params: jax.tree.map(lambda p: p.ndim > 0, params))
    tx = lehr.jax.drive(masked, lehr.Policy(lr=0.1, weight_decay=0.5))
    params = {"decays": jnp.ones((1,)), "stays": jnp.ones(())}
    updates, state = tx.update(jax.tree.map(jnp.zeros_like, params), tx.init(params), params)
    close(-updates["decays"], [0.05])
    assert float(updates["stays"]) == 0.0
    assert set(lehr.jax.hyperparams(state)) == {"lr", "weight_decay"}


def test_a_schedule_is_an_optax_schedule():
    tx = optax.sgd(CYCLE.lr)
    weight, state = jnp.zeros(()), tx.init(jnp.zeros(()))
    for _ in range(STEPS):
        updates, state = jax.jit(tx.update)(jnp.ones(()), state)
        weight += updates
    assert -float(weight) == pytest.approx(TOTAL, rel=STEPS * 6e-8)

    tx = optax.adamw(CYCLE.lr)
    params, state = matrices(), tx.init(matrices())
    driven = lehr.jax.drive(optax.adamw, CYCLE.lr)
    twin, twin_state = matrices(), driven.init(matrices())
    for x in X:
        updates, state = tx.update(jax.grad(loss)(params, x), state, params)
        params = optax.apply_updates(params, updates)
        updates, twin_state = driven.update(jax.grad(loss)(twin, x), twin_state, twin)
        twin = optax.apply_updates(twin, updates)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), params, twin)


def test_lengths_are_resolved_or_rejected():
    tx = lehr.jax.drive(optax.sgd, lehr.cosine(0.1, "2 epochs"), steps_per_epoch=5)
    _, ledger = loop(tx)
    close(ledger["lr"], [lehr.cosine(0.1, 10)(t) for t in range(STEPS)])
    _, ledger = loop(lehr.jax.drive(optax.sgd, lehr.cosine(0.1), steps=STEPS))
    close(ledger["lr"], [lehr.cosine(0.1, STEPS)(t) for t in range(STEPS)])
    with pytest.raises(ValueError, match="policy must be in integer steps before it drives an opt"):
        lehr.jax.drive(optax.sgd, lehr.cosine(0.1))


GROUPS, HEAD = {"a": "head"}, {"head": 0.1}
VALUE_ERRORS = cases(r"""
drive(optax.adagrad, CYCLE)
    accepts momentum or b1, got 'adagrad'; remove momentum from the policy
drive(lambda lr: optax.sgd(lr), 0.1)
    a function that accepts learning_rate, got '<lambda>'; name the argument learning_rate
drive(optax.sgd, Policy(lr=0.1, weight_decay=0.1))
    make_optimizer must be a function that accepts weight_decay, got 'sgd'; remove weight_decay
drive(optax.sgd, Policy(lr={'head': 0.1, 'body': 0.01}))
    lr must be one schedule, got .*; pass groups= to assign parameters to groups
drive(optax.sgd, 0.1, groups=GROUPS)
    lr must be a dict of schedules if groups= is given, .*; omit groups=
drive(optax.adamw, Policy(lr={'head': 0.1, 'body': 0.01}, weight_decay=HEAD), groups=GROUPS)
    groups of weight_decay must be the groups of the other hyperparameters, \['head', 'body'\], got
drive(optax.adam, Policy(lr=0.1, extra={'beta3': 0.8}))
    make_optimizer must be a function that accepts beta3, got 'adam'; remove beta3 from the policy
drive(optax.sgd, Policy(lr=0.1, control=lehr.Plateau(restore_best=True)))
    restore_best must be False in JAX.*call lehr\.jax\.restored\(before, after
drive(partial(optax.sgd, momentum=0.9), CYCLE)
    momentum must be omitted if the policy schedules momentum, got 0.9; remove it from functools
drive(partial(optax.sgd, nesterof=True), CYCLE)
    argument of sgd must be one of .*got 'nesterof'; did you mean nesterov
""")
TYPE_ERRORS = cases(r"""
drive(optax.sgd(0.1), 0.1)
    make_optimizer must be a function that returns an optimizer, got .*; pass optax.sgd, not optax
drive(lambda learning_rate, decay: optax.sgd(learning_rate), 0.1)
    make_optimizer must require no other arguments, got <lambda>: missing.*'decay'; fix it with func
drive(optax.sgd, Policy(lr=HEAD), groups=3)
    groups must be a tree of group names, or a function that returns one, got 3
drive(optax.sgd, 0.1, nesterov=True)
    unexpected keyword argument 'nesterov'
drive(optax.sgd, '0.1')
    policy must be a policy, a schedule or a number, got '0.1'
""")


@pytest.mark.parametrize("code", [*VALUE_ERRORS, *TYPE_ERRORS])
def test_wrong_arguments_are_rejected(code):
    error = ValueError if code in VALUE_ERRORS else TypeError
    with pytest.raises(error, match={**VALUE_ERRORS, **TYPE_ERRORS}[code]):
        eval(
            code,
            globals()
            | {
                "drive": lehr.jax.drive,
                "Policy": lehr.Policy,
                "GROUPS": {"a": "head"},
                "HEAD": {"head": 0.1},
            },
        )
