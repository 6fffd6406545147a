"""Cases of JAX users that failed once, by their numbers: K4, K5, K12, K14 and K15."""

from dataclasses import astuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import lehr
import lehr.jax
from lehr.controllers import State


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_k4_hyperparameters_are_float32_with_low_precision_parameters(dtype):
    """Against Adam in float32 on the same gradients: beta2 of 0.999 is 1 in bfloat16."""
    policy = lehr.Policy(0.01, extra={"beta2": 0.999})
    tx = lehr.jax.drive(optax.adam, policy)
    params = jnp.ones((3,), dtype)
    state = tx.init(params)
    dtypes = jax.tree.map(jnp.result_type, state)
    gradients = jnp.asarray([0.5, -0.25, 1.0], dtype)
    for _ in range(3):
        changes, state = jax.jit(tx.update)(gradients, state, params)
        assert changes.dtype == dtype
        np.testing.assert_allclose(np.asarray(changes, float), [-0.01, 0.01, -0.01], rtol=0.02)
        params = optax.apply_updates(params, changes)
    assert jax.tree.map(jnp.result_type, state) == dtypes
    assert state.hyperparams["beta2"].dtype == jnp.float32


def test_k4_a_rate_below_the_smallest_float16():
    tx = lehr.jax.drive(optax.sgd, 1e-8)
    params = jnp.ones((), jnp.float16)
    state = tx.init(params)
    assert float(state.hyperparams["lr"]) == pytest.approx(1e-8)
    changes, _ = tx.update(jnp.asarray(1000.0, jnp.float16), state, params)
    assert float(changes) == pytest.approx(-1e-5, rel=0.01)


def test_k5_the_state_is_serialized_by_flax():
    serialization = pytest.importorskip("flax.serialization")
    control = lehr.Plateau(patience=1)
    tx = lehr.jax.drive(optax.adam, lehr.Policy(lehr.linear(0.1, 0.0, 8), control=control))
    params = {"w": jnp.ones(2)}
    state = tx.init(params)
    for metric in (1.0, 2.0):
        _, state = tx.update({"w": jnp.ones(2)}, state, params)
        state = tx.observe(state, metric)
    saved = serialization.to_bytes(state)
    restored = serialization.from_bytes(tx.init(params), saved)
    jax.tree.map(np.testing.assert_array_equal, restored, state)
    assert float(tx.factor(restored)) == 0.5
    assert tx.state_dict(restored) == tx.state_dict(state)


def test_k12_groups_in_a_tree_that_is_callable():
    @jax.tree_util.register_pytree_node_class
    class Net:
        def __init__(self, head, body):
            self.head, self.body = head, body

        def __call__(self, x):
            return self.head * x + self.body

        def tree_flatten(self):
            return (self.head, self.body), None

        @classmethod
        def tree_unflatten(cls, _, parts):
            return cls(*parts)

    policy = lehr.Policy({"fast": 0.5, "slow": 0.25})
    tx = lehr.jax.drive(optax.sgd, policy, groups=Net("fast", "slow"))
    params = Net(jnp.ones(()), jnp.ones(()))
    changes, _ = tx.update(Net(jnp.ones(()), jnp.ones(())), tx.init(params), params)
    assert (float(changes.head), float(changes.body)) == (-0.5, -0.25)
    by_function = lehr.jax.drive(optax.sgd, policy, groups=lambda _: Net("slow", "fast"))
    changes, _ = by_function.update(params, by_function.init(params), params)
    assert (float(changes.head), float(changes.body)) == (-0.25, -0.5)


def test_k14_a_metric_passed_as_value_reaches_the_controller():
    """The convention of optax.contrib.reduce_on_plateau; decisions by hand."""
    control = lehr.Plateau(patience=2, factor=0.5)
    tx = lehr.jax.drive(optax.sgd, lehr.Policy(1.0, control=control))
    state, moved = tx.init(0.0), []
    update = jax.jit(lambda state, value: tx.update(1.0, state, 0.0, value=value))
    for value in (1.0, 1.0, 1.0, 0.5, 0.5, 0.5):
        changes, state = update(state, value)
        moved.append(-float(changes))
    assert moved == [1.0, 1.0, 0.5, 0.5, 0.5, 0.25]
    plain = control.init()
    for value in (1.0, 1.0, 1.0, 0.5, 0.5, 0.5):
        plain = control.update(plain, value)
    assert tuple(part.item() for part in state.control) == astuple(plain) != astuple(State())


def test_k14_value_is_ignored_without_a_controller():
    tx = lehr.jax.drive(optax.sgd, 1.0)
    changes, _ = tx.update(1.0, tx.init(0.0), 0.0, value=3.0)
    assert float(changes) == -1.0


def test_k15_a_traced_peak_names_with_factor():
    with pytest.raises(
        TypeError, match=r"(?s)peak must be .*; .* peak 1 and tx.with_factor\(state, pe"
    ):
        jax.vmap(lambda peak: lehr.cosine(peak, 10)(3))(jnp.ones(2))
