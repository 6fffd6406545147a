"""The range test on a user's JAX step does not modify the user's state."""

import inspect
import random
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax_models import BATCHES, make
from programs import run_python

import lehr
import lehr.jax


@pytest.mark.parametrize("donate", [False, True])
def test_training_continues_as_if_there_had_been_no_test(donate):
    losses = []
    for tested in (False, True):
        step, state = make(donate)
        seen = []
        for half in range(2):
            for batch in BATCHES:
                state, loss = step(state, batch, jnp.float32(0.01))
                seen.append(float(loss))
            if tested and half == 0:
                lehr.jax.range_test(step, state, BATCHES, steps=40)
        losses.append(seen)
    assert losses[0] == losses[1]


class Noisy:
    """Batches from three generators: the two global ones of the process, and one of the data."""

    def __init__(self):
        self.random = np.random.default_rng(1)

    def __iter__(self):
        for x, y in BATCHES:
            scale = 1 + 0.1 * (self.random.random() + np.random.random() + random.random())
            yield x * scale, y


def test_the_order_and_noise_of_the_batches_are_restored():
    losses = []
    for tested in (False, True):
        random.seed(1), np.random.seed(2)
        (step, state), batches = make(), Noisy()
        if tested:
            lehr.jax.range_test(step, state, batches, steps=20)
        seen = []
        for batch in batches:
            state, loss = step(state, batch, jnp.float32(0.01))
            seen.append(float(loss))
        losses.append(seen)
    assert losses[0] == losses[1]


@pytest.mark.parametrize("spacing", ["geometric", "linear"])
def test_the_losses_are_those_of_each_batch_at_those_rates(spacing):
    step, state = make()
    sweep = lehr.jax.range_test(step, state, BATCHES, steps=30, high=0.1, spacing=spacing)
    losses = []
    for i, rate in enumerate(sweep.rates):
        state, loss = step(state, BATCHES[i % 6], jnp.float32(rate))
        losses.append(float(loss))
    assert list(sweep.losses) == losses
    assert (sweep.rates[0], sweep.rates[-1]) == (np.float32(1e-5), np.float32(0.1))
    grid = np.geomspace if spacing == "geometric" else np.linspace
    np.testing.assert_allclose(sweep.rates, grid(1e-5, 0.1, 30), rtol=1e-6)


def test_g7_two_devices_of_the_cpu():
    """State replicated or sharded over both devices, batches sharded: the same curve."""
    program = Path(__file__).parents[1] / "helpers" / "jax_devices.py"
    run = run_python(program)
    with jax.default_device(jax.local_devices(backend="cpu")[0]):  # as in the program
        reference = lehr.jax.range_test(*make(), BATCHES, steps=30, high=0.1)
    sweeps = [lehr.Sweep.from_json(line) for line in run.stdout.splitlines()]
    assert len(sweeps) == 2
    for sweep in sweeps:
        assert sweep.rates == reference.rates
        assert sweep.losses == pytest.approx(reference.losses, rel=1e-4)


def test_a_jitted_step_compiles_once():
    step, state = make()
    lehr.jax.range_test(step, state, BATCHES, steps=40)
    assert step._cache_size() == 1


def test_the_loss_of_another_set_after_each_update():
    step, state = make()
    seen = []

    def evaluate(state):
        seen.append(float(jnp.sum(state[0]["v"])))
        return seen[-1]

    sweep = lehr.jax.range_test(step, state, BATCHES, evaluate=evaluate, steps=20, high=0.1)
    assert list(sweep.losses) == seen
    assert sweep.objective == "validation"


def test_it_stops_where_the_loss_diverges():
    def step(weight, batch, rate):
        loss, slope = jax.value_and_grad(lambda w: jnp.mean((batch[0] @ w - batch[1]) ** 2))(weight)
        return weight - rate * slope, loss

    sweep = lehr.jax.range_test(jax.jit(step), jnp.zeros(4), BATCHES, high=1e3)
    assert sweep.stopped == "diverged"
    assert len(sweep.losses) < 100
    assert sweep.losses[-1] > 4 * min(sweep.losses)


def test_low_precision_and_batches_of_any_layout():
    """The step receives each batch unchanged: here a dictionary, with bfloat16 in the state."""
    step, (params, opt, key) = make()
    state = params, opt, key
    dictionaries = [{"x": x, "y": y, "name": "a batch"} for x, y in BATCHES]

    def low(state, batch, rate):
        weights = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), state[0])
        (new, opt, key), loss = step((weights, *state[1:]), (batch["x"], batch["y"]), rate)
        new = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), new)
        return (new, opt, key), loss.astype(jnp.bfloat16)

    state = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), params), opt, key
    sweep = lehr.jax.range_test(low, state, dictionaries, steps=20, high=0.1)
    plain = lehr.jax.range_test(*make(), BATCHES, steps=20, high=0.1)
    assert sweep.losses == pytest.approx(plain.losses, rel=0.02)


def learner(seed=0, weight_decay=0.0, momentum=0.9, batch_size=8):
    draw = np.random.default_rng(seed)
    x = draw.normal(size=(96, 4)).astype("float32")

    def loss(weights, batch, key):
        return jnp.mean((batch[0] @ weights - batch[1]) ** 2)

    def make(learning_rate):
        decay = optax.add_decayed_weights(weight_decay)
        return optax.chain(decay, optax.sgd(learning_rate, momentum))

    data = (x, x.sum(1) + draw.normal(scale=0.1, size=96).astype("float32"))
    return lehr.jax.Learner(loss, jnp.zeros(4), make, data, batch_size=batch_size, seed=seed)


def test_several_seeds_give_a_band():
    sweeps = lehr.finder.repeat(learner, range(3))
    assert len({sweep.losses for sweep in sweeps}) == 3
    found = lehr.finder.agree(sweeps, "one-cycle")
    assert 1e-3 < found.low <= found.lr <= found.high < 1


def test_a_grid_over_weight_decay_momentum_and_batch_size():
    axes = {"weight_decay": [0.0, 3.0], "momentum": [0.9], "batch_size": [8, 32]}
    cells = lehr.finder.grid(learner, axes)
    assert [cell.settings["weight_decay"] for cell in cells] == [0.0, 0.0, 3.0, 3.0]
    one = next(c for c in cells if tuple(c.settings.values()) == (0.0, 0.9, 8))
    assert one.sweep == lehr.range_test(learner())


def test_it_stops_at_a_loss_that_is_not_finite():
    def step(count, batch, rate):
        return count + 1, jnp.where(count == 24, jnp.nan, 1.0)

    sweep = lehr.jax.range_test(step, 0, iter([0] * 200))
    assert (sweep.stopped, len(sweep.losses)) == ("not finite", 25)


@pytest.mark.parametrize(
    ("batches", "loss", "message"),
    [
        ([], 1.0, "data must be an iterable with a batch for each update"),
        (iter([0] * 5), 1.0, "data must be an iterable with a batch for each update"),
        ([0], jnp.ones(3), r"loss must be a scalar, got 'shape \(3,\)'; return its mean"),
    ],
)
def test_bad_data_and_losses_are_rejected(batches, loss, message):
    with pytest.raises(ValueError, match=message):
        lehr.jax.range_test(lambda state, batch, rate: (state, jnp.asarray(loss)), 0, batches)


@pytest.mark.parametrize(
    ("step", "error", "message"),
    [
        (3, TypeError, r"train_step must be a function train_step\(state, batch, rate\), got 3"),
        (lambda s, b: (s, 1.0), TypeError, r"train_step must be .*, got '<lambda>\(s, b\)'"),
        (lambda s, b, r: s, TypeError, r"result of train_step must be \(state, loss\), got 'dict'"),
        (lambda s, b, r: (1.0, s), TypeError, r"must be \(state, loss\), got '\(float, dict\)'"),
        (lambda s, b, r: (1.0, s["w"]), ValueError, "loss must be a scalar, .*; return its mean"),
    ],
)
def test_wrong_steps_are_rejected(step, error, message):
    with pytest.raises(error, match=message):
        lehr.jax.range_test(step, {"w": jnp.ones(3), "b": 0.0}, [0])


def test_a_swapped_state_of_one_array_is_rejected():
    with pytest.raises(ValueError, match=r"loss must be .*; return \(state, loss\), in this order"):
        lehr.jax.range_test(lambda state, batch, rate: (1.0, state), jnp.ones(3), [0])


def test_the_shared_arguments_have_the_defaults_of_every_range_test():
    shared = inspect.signature(lehr.range_test).parameters
    own = inspect.signature(lehr.jax.range_test).parameters
    for name in ("low", "high", "steps", "spacing", "divergence"):
        assert own[name] == shared[name]
