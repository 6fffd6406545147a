"""A loss in plain JAX as a task: `lehr find jax_task:digits`, `lehr compare jax_task:digits`."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.datasets import load_digits

import lehr


def digits(seed: int, momentum: float = 0.9) -> lehr.jax.Learner:
    """Return a Learner of a small network on scikit-learn's digits."""
    first, second = jax.random.split(jax.random.key(seed))
    params = {
        "hidden": jax.random.normal(first, (64, 32)) / 8,
        "output": jax.random.normal(second, (32, 10)) / 6,
    }
    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))
    x, y = (x[order] / 16).astype("float32"), y[order].astype("int32")
    return lehr.jax.Learner(
        loss,
        params,
        functools.partial(optax.sgd, momentum=momentum),
        (x[600:], y[600:]),
        validation=(x[300:600], y[300:600]),
        test=(x[:300], y[:300]),
        batch_size=32,
        seed=seed,
        metrics={"accuracy": accuracy},
    )


def logits(params, x):
    return jnp.tanh(x @ params["hidden"]) @ params["output"]


def loss(params, batch, key):
    x, y = batch
    if key is not None:  # add noise in training
        x = x + 0.1 * jax.random.normal(key, x.shape)
    return optax.softmax_cross_entropy_with_integer_labels(logits(params, x), y).mean()


def accuracy(params, batch):
    x, y = batch
    return (logits(params, x).argmax(1) == y).mean()
