"""Record JAX: Learners, range tests and `drive`."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from golden_learners import (
    CONTROLLED,
    MOMENTA,
    POLICY,
    RATES,
    STEPS,
    data,
    drives,
    sweep_of,
    trained,
)
from golden_values import digest, measured, traced

import lehr
import lehr.jax

DATA = data()
MOMENTUM = partial(optax.sgd, momentum=0.9)
ADAM = lehr.Policy(
    lr=RATES * 0.1, momentum=MOMENTA, weight_decay=lehr.table([0.1, 0.05, 0.2, 0.0, 0.1])
)
GROUPED = lehr.Policy(lr={"body": RATES * 0.5, "head": RATES}, momentum=MOMENTA)
GROUPS = {"body": "body", "head": "head"}


def record(recorded: dict[str, Any]) -> dict[str, Any]:
    one_cycle = lehr.one_cycle(0.1).resolve(32)
    return {
        "learner": drives(_learner, _weights),
        "learner, dropout": drives(partial(_learner, drop=0.3), _weights),
        "learner, state": trained(_learner(state=True), _weights, POLICY, STEPS),
        "learner, AdamW": trained(_learner(make=optax.adamw), _weights, ADAM, STEPS),
        "sweeps": {
            "training": _sweep(high=30.0, steps=60),
            "linear": _sweep(low=0.01, high=2.0, steps=40, spacing="linear"),
            "validation": _sweep(high=30.0, steps=40, evaluate=_validation_loss),
        },
        "drive": {
            "one cycle": _driven(one_cycle),
            "scan": _scanned(one_cycle),
            "groups": _driven(GROUPED, groups=GROUPS),
            "controller": _driven(CONTROLLED),
            "accumulation": _driven(one_cycle, micro=2),
        },
    }


def _params() -> dict[str, Any]:
    one, two = jax.random.split(jax.random.key(3))
    return {
        "body": {"w": jax.random.normal(one, (5, 8)) * 0.4, "b": jnp.zeros(8)},
        "head": {"w": jax.random.normal(two, (8, 3)) * 0.3, "b": jnp.zeros(3)},
    }


def _loss(params: Any, batch: Any, key: Any = None, drop: float = 0.0) -> Any:
    x, y = batch
    hidden = jnp.tanh(x @ params["body"]["w"] + params["body"]["b"])
    if drop and key is not None:
        hidden = hidden * jax.random.bernoulli(key, 1 - drop, hidden.shape) / (1 - drop)
    output = hidden @ params["head"]["w"] + params["head"]["b"]
    return jnp.mean((output - y) ** 2)


def _loss_and_state(params: Any, state: Any, batch: Any, key: Any) -> Any:
    loss = _loss(params, batch)
    mean = loss if key is None else 0.9 * state["mean"] + 0.1 * loss
    return loss + 0.01 * state["mean"], {"mean": mean}


def _learner(make: Any = MOMENTUM, state: bool = False, drop: float = 0.0) -> lehr.jax.Learner:
    return lehr.jax.Learner(
        _loss_and_state if state else partial(_loss, drop=drop),
        _params(),
        make,
        DATA["train"],
        state={"mean": 1.0} if state else None,
        validation=DATA["validation"],
        test=DATA["test"],
        batch_size=8,
        seed=5,
        metrics=None if state else {"root": lambda params, batch: jnp.sqrt(_loss(params, batch))},
    )


def _weights(learner: Any) -> list[Any]:
    return jax.tree.leaves((learner.params, learner.state))


def _batches() -> list[Any]:
    x, y = DATA["train"]
    return [(x[i : i + 8], y[i : i + 8]) for i in range(0, 64, 8)]


@jax.jit
def _step(state: Any, batch: Any, rate: Any) -> Any:
    params, slots = state
    loss, grads = jax.value_and_grad(_loss)(params, batch)
    slots = jax.tree.map(lambda slot, grad: 0.9 * slot + grad, slots, grads)
    return (jax.tree.map(lambda p, slot: p - rate * slot, params, slots), slots), loss


def _validation_loss(state: Any) -> Any:
    return _loss(state[0], DATA["validation"])


def _sweep(**how: Any) -> dict[str, Any]:
    params = _params()
    state = params, jax.tree.map(jnp.zeros_like, params)
    return sweep_of(lehr.jax.range_test(_step, state, _batches(), **how))


def _driven(policy: lehr.Policy, micro: int = 1, **how: Any) -> dict[str, Any]:
    """Make 32 updates twice: uninterrupted, and resumed from the state saved after 17."""
    driven = lehr.jax.drive(optax.sgd, policy, **how)
    tx = optax.MultiSteps(driven, micro) if micro > 1 else driven

    @jax.jit
    def update(params: Any, state: Any, batch: Any) -> Any:
        loss, grads = jax.value_and_grad(_loss)(params, batch)
        updates, state = tx.update(grads, state, params)
        return optax.apply_updates(params, updates), state, loss

    def run(params: Any, state: Any, first: int, last: int) -> Any:
        batches, losses, rates = _batches(), [], []
        for n in range(first, last):
            params, state, loss = update(params, state, batches[n % len(batches)])
            losses.append(float(loss))
            rates.append({k: float(v) for k, v in lehr.jax.hyperparams(state).items()})
            if policy.control is not None and n % 4 == 3:
                metric = _loss(params, DATA["validation"])
                state = driven.observe(state, metric)
        return params, state, losses, rates

    params, state, losses, rates = run(_params(), tx.init(_params()), 0, 32)
    half, kept, first_losses, first_rates = run(_params(), tx.init(_params()), 0, 17)
    saved = json.loads(json.dumps(driven.state_dict(kept)))
    resumed = run(half, driven.load_state_dict(kept, saved), 17, 32)
    weights = digest(*jax.tree.leaves(params))
    parts = digest(*jax.tree.leaves(resumed[0])), first_losses + resumed[2], first_rates
    return {
        "losses": measured(losses),
        "rates": {name: traced(rate[name] for rate in rates) for name in rates[0]},
        "weights": weights,
        "resumed alike": (*parts[:2], parts[2] + resumed[3]) == (weights, losses, rates),
        "step": driven.state_dict(state)["step"],
    }


def _scanned(policy: lehr.Policy) -> dict[str, Any]:
    """Make 32 updates in one compiled scan."""
    tx = lehr.jax.drive(optax.sgd, policy)
    x, y = (jnp.tile(part.reshape(8, 8, -1), (4, 1, 1)) for part in DATA["train"])

    def update(carry: Any, batch: Any) -> Any:
        params, state = carry
        loss, grads = jax.value_and_grad(_loss)(params, batch)
        updates, state = tx.update(grads, state, params)
        outputs = loss, lehr.jax.hyperparams(state)
        return (optax.apply_updates(params, updates), state), outputs

    params = _params()
    (params, _), (losses, rates) = jax.jit(lambda carry: jax.lax.scan(update, carry, (x, y)))(
        (params, tx.init(params))
    )
    return {
        "losses": measured(losses.tolist()),
        "rates": {name: traced(values.tolist()) for name, values in rates.items()},
        "weights": digest(*jax.tree.leaves(params)),
    }
