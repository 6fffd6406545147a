"""Blocks of updates for the Learner, each backend's fastest way to make many in one dispatch.

A block takes (data, rows of each batch, values of the hyperparameters for each update) and
returns the true loss of each batch and the values that the optimizer really used.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

BLOCK = 256  # most updates in one dispatch


def _jax_block(model: keras.Model) -> Callable[..., Any]:
    """Return a function that makes a block of updates in one compiled loop of JAX."""
    import jax
    import jax.numpy as jnp

    optimizer = model.optimizer
    model.reset_metrics()
    no_metrics = [np.array(keras.ops.convert_to_numpy(v)) for v in model.metrics_variables]
    places = [
        next(i for i, v in enumerate(optimizer.variables) if v is optimizer.variable_of(name))
        for name in optimizer.moves
    ]

    def update(i: Any, carry: Any, data: Any, rows: Any, values: Any) -> Any:
        (trainable, other, slots), losses, used = carry
        slots = list(slots)
        for column, place in enumerate(places):
            slots[place] = values[i, column].astype(slots[place].dtype)
        batch = tuple(array[rows[i]] for array in data)
        logs, state = model.train_step((trainable, other, slots, no_metrics), batch)
        seen = jnp.stack([state[2][place].astype("float32") for place in places])
        return state[:3], losses.at[i].set(logs["loss"]), used.at[i].set(seen)

    # one capacity and a traced count: blocks of any size share one compilation
    def run(state: Any, data: Any, rows: Any, values: Any, count: Any) -> Any:
        def body(i: Any, carry: Any) -> Any:
            return update(i, carry, data, rows, values)

        nothing = jnp.zeros(BLOCK), jnp.zeros((BLOCK, len(places)))
        return jax.lax.fori_loop(0, count, body, (state, *nothing))

    compiled = jax.jit(run, donate_argnums=0)

    def block(data: Any, rows: Any, values: Any) -> tuple[Any, Any]:
        size = len(rows)
        rows, values = (np.pad(a, ((0, BLOCK - size), (0, 0))) for a in (rows, values))
        groups = (model.trainable_variables, model.non_trainable_variables, optimizer.variables)
        state = tuple([v.value for v in group] for group in groups)
        state, losses, used = compiled(state, data, rows, values, size)
        for group, new in zip(groups, state, strict=True):
            for variable, value in zip(group, new, strict=True):
                variable.assign(value)
        return np.asarray(losses)[:size], np.asarray(used)[:size]

    return block


def _tensorflow_block(model: keras.Model) -> Callable[..., Any]:
    """Return a function that makes a block of updates in one graph loop of TensorFlow."""
    import tensorflow as tf

    variables = [model.optimizer.variable_of(name) for name in model.optimizer.moves]

    @tf.function(jit_compile=model.jit_compile)  # type: ignore[untyped-decorator]
    def update(batch: Any, values: Any) -> Any:
        for i, variable in enumerate(variables):
            variable.assign(values[i])
        model.reset_metrics()
        loss = model.train_step(batch)["loss"]
        return loss, tf.stack([tf.cast(variable.value, "float32") for variable in variables])

    @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
    def run(data: Any, rows: Any, values: Any) -> Any:
        size = tf.shape(rows)[0]
        losses = tf.TensorArray("float32", size)
        used = tf.TensorArray("float32", size)
        for i in tf.range(size):
            batch = tuple(tf.gather(array, rows[i]) for array in data)
            loss, seen = update(batch, values[i])
            losses, used = losses.write(i, loss), used.write(i, seen)
        return losses.stack(), used.stack()

    def block(data: Any, rows: Any, values: Any) -> tuple[Any, Any]:
        losses, used = run(data, tf.constant(rows), tf.constant(values))
        return losses.numpy(), used.numpy()

    return block


def _torch_block(model: keras.Model) -> Callable[..., Any]:
    """Return a function that makes a block of updates, eagerly, and reads them once."""
    import torch

    variables = [model.optimizer.variable_of(name) for name in model.optimizer.moves]

    def block(data: Any, rows: Any, values: Any) -> tuple[Any, Any]:
        losses, used = [], []
        mode = model.training
        model.train()
        for chosen, wanted in zip(torch.from_numpy(rows).long(), values.tolist(), strict=True):
            for variable, value in zip(variables, wanted, strict=True):
                variable.assign(value)
            model.reset_metrics()
            batch = tuple(array[chosen] for array in data)
            losses.append(model.train_step(batch)["loss"].detach())
            used.append(torch.stack([variable.value.detach().float() for variable in variables]))
        model.train(mode)
        return torch.stack(losses).cpu().numpy(), torch.stack(used).cpu().numpy()

    return block


BLOCKS = {"jax": _jax_block, "tensorflow": _tensorflow_block, "torch": _torch_block}
