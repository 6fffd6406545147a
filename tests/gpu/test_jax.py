"""JAX on a GPU: the decisions of a controller, updates within a scan."""

import random

import jax
import jax.numpy as jnp
import optax
import pytest

import lehr
import lehr.jax

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(jax.default_backend() != "gpu", reason="JAX finds no GPU"),
]


@pytest.mark.parametrize("kind", [lehr.Plateau, lehr.Greedy])
@pytest.mark.parametrize("average", [1, 3, 7])
def test_g1_decisions_equal_those_of_plain_python(average, kind):
    """The mean of equal metrics is exactly the metric: no improvement at a threshold of 0."""
    draw = random.Random(average)
    for threshold in (0.0, 1e-3):
        control = kind("loss", patience=2, average=average, threshold=threshold, factor=0.9)
        driver = lehr.jax.drive(optax.sgd, lehr.Policy(0.1, control=control))
        plain, state = control.init(), driver.init(jnp.ones(2))
        for _ in range(100):
            metric = draw.choice([0.1, 0.2, 0.3, 0.7, 0.9, 1.001]) * draw.choice([1, 1e-6, 3e4])
            for _ in range(average):
                plain = control.update(plain, metric)
                state = driver.observe(state, metric)
            assert float(driver.factor(state)) == pytest.approx(plain.factor, rel=1e-5)
        assert driver.factor(state).devices().pop().platform == "gpu"


def test_rates_in_a_scan_of_many_updates():
    policy = lehr.warmup(0.1, 500).then(lehr.cosine(0.1, 9500))
    driver = lehr.jax.drive(optax.sgd, policy)

    def update(carry, _):
        parameter, state = carry
        used = driver.values(state)["lr"]
        updates, state = driver.update(jnp.ones_like(parameter), state, parameter)
        return (optax.apply_updates(parameter, updates), state), used

    parameter = jnp.zeros(2)
    _, used = jax.lax.scan(update, (parameter, driver.init(parameter)), length=10_000)
    expected = [policy(step) for step in range(10_000)]
    assert used.devices().pop().platform == "gpu"
    assert max(abs(a - b) for a, b in zip(used.tolist(), expected, strict=True)) <= 4e-7 * 0.1
