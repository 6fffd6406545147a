"""Blocks of updates: many updates in one dispatch, implemented for each backend.

A block is a function of the data, the row indices of each batch, and the values of the writable
variables in each update. It returns the loss of each batch and the values that the optimizer
applied.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from lehr.keras import _private
from lehr.keras.batches import taken
from lehr.schedule.errors import fail

BLOCK = 256  # maximum number of updates in one dispatch


def _loss(logs: dict[str, Any]) -> Any:
    if "loss" not in logs:
        fail("train_step", "a method that returns the loss of the batch as 'loss'", sorted(logs))
    return logs["loss"]


def _padded(rows: Any, values: Any) -> tuple[Any, Any]:
    """Pad rows and values to `BLOCK` updates, so that all block sizes share one compilation."""
    missing = BLOCK - len(rows)
    return np.pad(rows, ((0, missing), (0, 0))), np.pad(values, ((0, missing), (0, 0)))


def _convolves(model: keras.Model) -> bool:
    """Return whether a model has convolutions: XLA on CPUs runs them 15 times slower in a loop."""
    return any("Conv" in type(layer).__name__ for layer in _private.flatten_layers(model))


def _jax_block(model: keras.Model, moved: Sequence[Any]) -> Callable[..., Any]:
    """Return a block for JAX: one compiled loop, or single steps for convolutions on CPUs."""
    import jax
    import jax.numpy as jnp

    optimizer = model.optimizer
    model.reset_metrics()
    no_metrics = [np.array(keras.ops.convert_to_numpy(v)) for v in model.metrics_variables]
    places = [
        next(i for i, v in enumerate(optimizer.variables) if v is variable) for variable in moved
    ]

    def update(i: Any, carry: Any, data: Any, rows: Any, values: Any) -> Any:
        (trainable, other, slots), losses, used = carry
        slots = list(slots)
        for column, place in enumerate(places):
            slots[place] = values[i, column].astype(slots[place].dtype)
        batch = taken(data, rows[i])
        logs, state = model.train_step((trainable, other, slots, no_metrics), batch)
        row = jnp.stack([state[2][place].astype("float32") for place in places])
        return state[:3], losses.at[i].set(_loss(logs)), used.at[i].set(row)

    def run(state: Any, data: Any, rows: Any, values: Any, count: Any) -> Any:
        def body(i: Any, carry: Any) -> Any:
            return update(i, carry, data, rows, values)

        empty = jnp.zeros(BLOCK), jnp.zeros((BLOCK, len(places)))
        carry = (state, *empty)
        if compiles and not steps:
            return jax.lax.fori_loop(0, count, body, carry)
        for i in range(count):
            carry = body(i, carry)
        return carry

    compiles = model.jit_compile and not model.run_eagerly
    steps = jax.default_backend() == "cpu" and _convolves(model)
    if compiles:
        if steps:
            update = jax.jit(update, donate_argnums=1)
        else:
            run = jax.jit(run, donate_argnums=0)

    def block(data: Any, rows: Any, values: Any) -> tuple[Any, Any]:
        size = len(rows)
        rows, values = _padded(rows, values)
        groups = (model.trainable_variables, model.non_trainable_variables, optimizer.variables)
        state = tuple([v.value for v in group] for group in groups)
        state, losses, used = run(state, data, rows, values, size)
        for group, new in zip(groups, state, strict=True):
            for variable, value in zip(group, new, strict=True):
                variable.assign(value)
        return np.asarray(losses)[:size], np.asarray(used)[:size]

    return block


def _tensorflow_block(model: keras.Model, moved: Sequence[Any]) -> Callable[..., Any]:
    """Return a block for TensorFlow: one loop in a ``tf.function``."""
    import tensorflow as tf

    def update(batch: Any, values: Any) -> Any:
        for i, variable in enumerate(moved):
            variable.assign(values[i])
        model.reset_metrics()
        loss = _loss(model.train_step(batch))
        return loss, tf.stack([tf.cast(variable.value, "float32") for variable in moved])

    def run(data: Any, rows: Any, values: Any, size: Any) -> Any:
        losses = tf.TensorArray("float32", size)
        used = tf.TensorArray("float32", size)
        for i in tf.range(size):
            chosen = rows[i]
            batch = keras.tree.map_structure(lambda array: tf.gather(array, chosen), data)  # noqa: B023
            loss, row = update(batch, values[i])
            losses, used = losses.write(i, loss), used.write(i, row)
        return losses.stack(), used.stack()

    if not model.run_eagerly:
        update = tf.function(update, jit_compile=model.jit_compile)
        run = tf.function(run, reduce_retracing=True)

    def block(data: Any, rows: Any, values: Any) -> tuple[Any, Any]:
        size = tf.constant(len(rows))
        rows, values = _padded(rows, values)
        losses, used = run(data, tf.constant(rows), tf.constant(values), size)
        return losses.numpy(), used.numpy()

    return block


def _torch_block(model: keras.Model, moved: Sequence[Any]) -> Callable[..., Any]:
    """Return a block for PyTorch: a Python loop, whose results are copied to the host once."""
    import torch

    train_step = torch.compile(model.train_step) if model.jit_compile else model.train_step

    def block(data: Any, rows: Any, values: Any) -> tuple[Any, Any]:
        losses, used = [], []
        mode = model.training
        model.train()
        try:
            for chosen, wanted in zip(torch.from_numpy(rows).long(), values.tolist(), strict=True):
                for variable, value in zip(moved, wanted, strict=True):
                    variable.assign(value)
                model.reset_metrics()
                losses.append(_loss(train_step(taken(data, chosen))).detach().float())
                used.append(torch.stack([variable.value.detach().float() for variable in moved]))
        finally:
            model.train(mode)
        return torch.stack(losses).cpu().numpy(), torch.stack(used).cpu().numpy()

    return block


BLOCKS = {"jax": _jax_block, "tensorflow": _tensorflow_block, "torch": _torch_block}
