"""What the tests of lehr.jax share."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax

import lehr.jax


def close(used, wanted):
    """Float32 in a graph: within 4e-7 of the largest value."""
    wanted = np.asarray(wanted)
    assert np.abs(np.asarray(used, np.float64) - wanted).max() <= 4e-7 * wanted.max()


def regression(seed):
    """Return a Learner for a seed: a task for a Study."""
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
