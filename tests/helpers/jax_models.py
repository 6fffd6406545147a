"""Tiny JAX models, their data, and the comparison of applied rates."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax

import lehr.jax


def close(used, expected):
    """Compare float32 values of a graph within 4e-7 of the largest value."""
    expected = np.asarray(expected)
    assert np.abs(np.asarray(used, np.float64) - expected).max() <= 4e-7 * expected.max()


def matrices(seed=0, dtype=jnp.float32):
    """Return the weights of a network with two layers."""
    a, b = jax.random.split(jax.random.key(seed))
    return {"a": jax.random.normal(a, (4, 8), dtype), "b": jax.random.normal(b, (8, 1), dtype)}


def regression(seed):
    """Return a Learner for a seed (a task of a Study)."""
    x = np.random.default_rng(seed).normal(size=(96, 4)).astype("float32")
    data = (x, x @ np.float32([1.0, -2.0, 0.5, 3.0]))
    parts = [tuple(part[rows] for part in data) for rows in (slice(64), slice(64, 96))]
    train, other = parts

    def loss(weights, batch, key):
        return jnp.mean((batch[0] @ weights - batch[1]) ** 2)

    return lehr.jax.Learner(
        loss,
        jax.random.normal(jax.random.key(seed), 4),
        partial(optax.sgd, momentum=0.9),
        train,
        validation=other,
        test=other,
        batch_size=8,
        seed=seed,
    )


X = jax.random.normal(jax.random.key(1), (6, 32, 4))
BATCHES = [(x, x.sum(1)) for x in X]


def make(donate: bool = False):
    """Return a jitted AdamW step (state, batch, rate) of a dropout network, and its state."""
    params = {"w": jnp.ones((4, 8)) * 0.1, "v": jnp.ones(8) * 0.1}
    tx = optax.inject_hyperparams(optax.adamw)(learning_rate=0.1)

    def loss(params, batch, key):
        x, y = batch
        hidden = jnp.tanh(x @ params["w"]) * jax.random.bernoulli(key, 0.9, (8,))
        return jnp.mean((hidden @ params["v"] - y) ** 2)

    def step(state, batch, rate):
        params, opt, key = state
        key, now = jax.random.split(key)
        value, grads = jax.value_and_grad(loss)(params, batch, now)
        opt = opt._replace(hyperparams=opt.hyperparams | {"learning_rate": rate})
        updates, opt = tx.update(grads, opt, params)
        return (optax.apply_updates(params, updates), opt, key), value

    state = params, tx.init(params), jax.random.PRNGKey(0)
    return jax.jit(step, donate_argnums=(0,) if donate else ()), state
