"""The schedules of Optax in a training loop, as `learning_rate=` and in a chain.

To run it with Optax alone, import the schedules from optax.
"""

import jax
import jax.numpy as jnp
import optax

from lehr.compat.optax import (
    cosine_onecycle_schedule,
    exponential_decay,
    join_schedules,
    linear_schedule,
    piecewise_constant_schedule,
    sgdr_schedule,
    warmup_cosine_decay_schedule,
)

STEPS = 40
CYCLE = {"init_value": 0.01, "peak_value": 0.2, "warmup_steps": 4, "decay_steps": 20}
SCHEDULES = {
    "exponential": exponential_decay(0.2, transition_steps=10, decay_rate=0.5, staircase=True),
    "warmup_cosine": warmup_cosine_decay_schedule(0.0, 0.2, warmup_steps=5, decay_steps=STEPS),
    "one_cycle": cosine_onecycle_schedule(STEPS, 0.2),
    "restarts": sgdr_schedule([CYCLE, {**CYCLE, "peak_value": 0.1}]),
    "joined": join_schedules(
        [linear_schedule(0.0, 0.2, 5), piecewise_constant_schedule(0.2, {10: 0.5, 20: 0.2})], [5]
    ),
}


def train(name, optimizer, rate):
    """Train a linear model and print the rate of each update."""
    weights = jnp.zeros(3)
    state = optimizer.init(weights)

    @jax.jit
    def update(weights, state, x):
        def loss(w):
            return jnp.mean((x @ w - x.sum(1)) ** 2)

        value, gradients = jax.value_and_grad(loss)(weights)
        updates, state = optimizer.update(gradients, state, weights)
        return optax.apply_updates(weights, updates), state, value

    for step, key in enumerate(jax.random.split(jax.random.key(0), STEPS)):
        weights, state, loss = update(weights, state, jax.random.normal(key, (16, 3)))
        print(f"{name}: update {step} rate {float(rate(step)):.6g} loss {float(loss):.4f}")


if __name__ == "__main__":
    for name, schedule in SCHEDULES.items():
        train(name, optax.adam(learning_rate=schedule), schedule)
    schedule = SCHEDULES["warmup_cosine"]
    chained = optax.chain(
        optax.clip_by_global_norm(1.0),
        optax.scale_by_adam(),
        optax.scale_by_schedule(schedule),
        optax.scale(-1.0),
    )
    train("chain", chained, schedule)
