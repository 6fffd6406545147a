"""lehr.jax.Learner: losses of each batch, rates applied, exact restore."""

from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax_models import close, matrices, regression

import lehr
import lehr.jax

CYCLE = lehr.one_cycle(0.1, steps=40)
WILD = lehr.Policy(lr=1.0, momentum=0.5)


def data(rows=70, seed=1):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 4)).astype("float32")
    return {"x": x, "y": x.sum(1) + rng.normal(scale=0.1, size=rows).astype("float32")}


def loss(params, state, batch, key):
    """With dropout, and a running mean as in batch norm."""
    x = batch["x"] - (state["mean"] if key is None else batch["x"].mean(0))
    hidden = jnp.tanh(x @ params["a"])
    if key is not None:
        hidden *= jax.random.bernoulli(key, 0.8, hidden.shape) / 0.8
        state = {"mean": 0.9 * state["mean"] + 0.1 * batch["x"].mean(0)}
    return jnp.mean(((hidden @ params["b"])[:, 0] - batch["y"]) ** 2), state


def error(params, state, batch):
    output = jnp.tanh((batch["x"] - state["mean"]) @ params["a"]) @ params["b"]
    return jnp.mean(jnp.abs(output[:, 0] - batch["y"]))


MAKES = {
    "sgd": partial(optax.sgd, momentum=0.9, nesterov=True),
    "adamw": optax.adamw,
}


def learner(name="sgd", seed=1, dtype=jnp.float32):
    return lehr.jax.Learner(
        loss,
        matrices(seed, dtype),
        MAKES[name],
        data(),
        state={"mean": jnp.zeros(4)},
        validation=data(30, 2),
        test=data(2100, 3),
        batch_size=8,
        seed=seed,
        metrics={"error": error},
    )


@pytest.mark.parametrize("name", MAKES)
def test_the_same_run_as_a_plain_optax_loop(name):
    """Losses of each batch, weights and state are equal; the rates are those of the policy."""
    run = learner(name)
    trace = run.train(CYCLE, 40)
    assert list(trace.rates) == ["lr", "momentum"]
    for hyperparameter, used in trace.rates.items():
        close(used, [CYCLE.targets[hyperparameter](t) for t in range(40)])
    make = optax.adamw if name == "adamw" else partial(optax.sgd, nesterov=True)
    tx = lehr.jax.drive(make, CYCLE)
    params, state, keys = matrices(1), {"mean": jnp.zeros(4)}, jax.random.key(1)
    slots, rows = tx.init(params), data()

    @jax.jit
    def update(params, state, slots, batch, key):
        (value, state), grads = jax.value_and_grad(loss, has_aux=True)(params, state, batch, key)
        updates, slots = tx.update(grads, slots, params)
        return optax.apply_updates(params, updates), state, slots, value

    losses = []
    for step in range(40):
        batch = {name: array[run.rows(step)] for name, array in rows.items()}
        key = jax.random.fold_in(keys, step)
        params, state, slots, value = update(params, state, slots, batch, key)
        losses.append(float(value))
    np.testing.assert_allclose(trace.losses, losses, rtol=1e-5)
    for actual, expected in ((run.params, params), (run.state, state)):
        jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-6), actual, expected)


def test_a_weight_moves_by_the_rates_in_the_trace():
    policy = lehr.Policy(lr=lehr.linear(0.5, 0.1, 400), extra={"beta2": 0.9})
    ones = (np.ones(4),)
    run = lehr.jax.Learner(
        lambda w, batch, key: w * batch[0].mean(), 0.0, no_adam, ones, batch_size=1
    )
    trace = run.train(policy, 300, first=100, factor=0.5)
    wanted = [0.5 * policy.lr(t) for t in range(100, 400)]
    close(trace.rates["lr"], wanted)
    close(trace.rates["beta2"], [0.9] * 300)
    moves = [0.0, *(-0.9 * np.cumsum(wanted))]  # a loss is the weight before its update
    np.testing.assert_allclose([*trace.losses, float(run.params)], moves, rtol=1e-5)


def weight_times_rows(weight, batch, key):
    return weight * batch[0].mean()


def no_adam(learning_rate, b2=0.0):
    return optax.scale(-learning_rate * b2)


def test_hyperparameters_outside_the_policy_are_unchanged():
    run, plain = learner(), learner()
    actual = run.train(lehr.Policy(lr=0.1), 20)
    expected = plain.train(lehr.Policy(lr=0.1, momentum=0.9), 20)
    assert list(actual.rates) == ["lr"]
    np.testing.assert_allclose(actual.losses, expected.losses, rtol=1e-4)


def same(one, two):
    assert one.snapshot().digest() == two.snapshot().digest()


def assert_they_continue_identically(tested, untouched):
    same(tested, untouched)
    actual, expected = (run.train(CYCLE, 20, first=5) for run in (tested, untouched))
    assert actual == expected
    same(tested, untouched)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize(("name", "where"), [("sgd", "memory"), ("adamw", "file")])
def test_a_restored_run_continues_bit_identically(name, where, dtype, tmp_path):
    tested, untouched = learner(name, dtype=dtype), learner(name, dtype=dtype)
    for run in (tested, untouched):
        run.train(CYCLE, 5)
    if where == "memory":
        before = tested.snapshot()
        digest = before.digest()
        tested.train(WILD, 17)
        assert tested.snapshot().digest() != digest == before.digest()
        tested.restore(before)
    else:
        tested.save(tmp_path / "run.npz")
        tested = learner(name, dtype=dtype)
        tested.train(WILD, 17)
        tested.load(tmp_path / "run.npz")
    assert_they_continue_identically(tested, untouched)


@pytest.mark.parametrize("name", MAKES)
def test_a_range_test_restores_the_run(name):
    tested, untouched = learner(name), learner(name)
    for run in (tested, untouched):
        run.train(CYCLE, 5)
    sweep = lehr.range_test(tested, low=1e-4, high=10.0, steps=40)
    assert sweep.rates[0] == pytest.approx(1e-4, rel=4e-7)
    assert len(sweep.losses) >= 10
    assert_they_continue_identically(tested, untouched)


def test_blocks_of_any_size_give_the_same_run_in_one_compilation():
    full, parts = learner(), learner()
    together = full.train(CYCLE, 300)
    first = parts.train(CYCLE, 13)
    asked = []
    second = parts.train(CYCLE, 27, first=13, until=lambda t: asked.append(len(t.losses)))
    parts.restore(parts.snapshot())
    third = parts.train(CYCLE, 260, first=40)
    assert asked == [16, 27]
    assert first.losses + second.losses + third.losses == together.losses
    assert first.rates["lr"] + second.rates["lr"] + third.rates["lr"] == together.rates["lr"]
    same(full, parts)
    assert parts._compiled._cache_size() == full._compiled._cache_size() == 1


def test_until_stops_between_blocks():
    run = learner()
    trace = run.train(CYCLE, 60, until=lambda trace: len(trace.losses) >= 20)
    assert len(trace.losses) == len(trace.rates["lr"]) == run.snapshot().metadata["step"] == 32


def test_evaluation_is_the_mean_over_the_rows_without_side_effects():
    asked, silent = learner(), learner()
    for run in (asked, silent):
        run.train(CYCLE, 4)
    metrics = asked.evaluate("test")
    rows = data(2100, 3)
    by_hand = float(loss(asked.params, asked.state, rows, None)[0])
    assert metrics["loss"] == pytest.approx(by_hand, rel=1e-5)
    assert metrics["error"] == pytest.approx(
        float(error(asked.params, asked.state, rows)), rel=1e-5
    )
    assert asked.evaluate() == asked.evaluate("validation") != metrics
    assert_they_continue_identically(asked, silent)


def test_seeds_differ_and_the_users_arrays_are_unchanged():
    mine = matrices(1)
    still = {"mean": jnp.zeros(4)}
    one = lehr.jax.Learner(loss, mine, optax.sgd, data(), state=still, batch_size=8)
    one.train(lehr.Policy(lr=0.1), 3)
    jax.tree.map(np.testing.assert_array_equal, mine, matrices(1))  # not donated
    assert still["mean"].tolist() == [0.0] * 4
    two = learner(seed=2)
    assert one.rows(0).tolist() != two.rows(0).tolist()
    assert one.steps_per_epoch == 8
    rows = np.concatenate([two.rows(i) for i in range(8)])
    assert len(set(rows.tolist())) == 64


def test_each_update_has_a_separate_key_by_seed():
    def noise(weight, batch, key):
        return jax.random.normal(key) + 0.0 * weight

    def losses(seed):
        run = lehr.jax.Learner(noise, 0.0, optax.sgd, np.ones(8), batch_size=4, seed=seed)
        return run.train(lehr.Policy(lr=0.1), 20).losses

    assert losses(0) == losses(0) != losses(1)
    assert len(set(losses(0))) == 20


def test_a_study_of_a_jax_learner(tmp_path, monkeypatch):
    """Trials in worker processes equal the learner run alone; the ledger is checked."""
    pytest.importorskip("filelock", reason="lehr[study] is not installed")
    monkeypatch.chdir(Path(__file__).parents[1] / "helpers")
    plateau = lehr.Policy(lr=0.01, control=lehr.Plateau(patience=1, threshold=0.9))
    arms = {"cycle": lehr.one_cycle(0.05), "plateau": plateau}
    study = lehr.Study(
        "jax_models:regression",
        arms,
        epochs=3,
        seeds=2,
        metric="loss",
        mode="min",
        storage=tmp_path,
    )
    trials = study.run().trials
    alone = regression(1)
    trace = alone.train(lehr.one_cycle(0.05).resolve(24), 24)
    cycle, lowered = trials["cycle", 3, 1], trials["plateau", 3, 1]
    assert cycle.trace == trace
    assert cycle.metadata["test"] == alone.evaluate("test")
    assert cycle.metadata["pairing"] == lowered.metadata["pairing"]
    close(lowered.trace.rates["lr"], [0.01] * 16 + [0.005] * 8)


@pytest.mark.parametrize(
    ("act", "error", "match"),
    [
        (
            lambda run: run.train(lehr.Policy(lr=0.1, weight_decay=0.1), 1),
            ValueError,
            "make_optimizer must be a function that accepts weight_decay",
        ),
        (
            lambda run: run.train(lehr.Policy(lr={"head": 0.1}), 1),
            ValueError,
            "lr must be one schedule for a jax.Learner",
        ),
        (lambda run: run.train(lehr.cosine(0.1), 1), ValueError, "policy must be in integer steps"),
        (lambda run: run.train(CYCLE, 1.5), TypeError, "steps must be an integer"),
        (lambda run: run.evaluate("tets"), ValueError, r"split must be one of \['train', 'valid"),
        (
            lambda run: run.restore(learner("adamw").snapshot()),
            ValueError,
            r"snapshot must be one of the same parameters and optimizer, got \['\.slots",
        ),
    ],
)
def test_wrong_arguments_are_rejected(act, error, match):
    with pytest.raises(error, match=match):
        act(learner())


def test_momentum_requires_an_optimizer_with_momentum():
    run = lehr.jax.Learner(weight_times_rows, 0.0, optax.sgd, (np.ones(8),), batch_size=4)
    match = r"must be None where momentum of .*partial\(make_optimizer, momentum=\.\.\.\)"
    with pytest.raises(ValueError, match=match):
        run.train(CYCLE, 1)


@pytest.mark.parametrize(
    ("train", "settings", "error", "match"),
    [
        ((np.ones(8), np.ones(7)), {}, ValueError, "train must be arrays with the same number"),
        (
            np.float32(1.0),
            {},
            ValueError,
            r"train must be arrays with .*, got \[\(\)",
        ),
        (np.ones(8), {"validation": ()}, ValueError, "validation must be arrays with"),
        (np.ones(8), {"batch_size": 9}, ValueError, "batch_size must be at most the 8 training"),
        (np.ones(8), {"batch_size": 0}, ValueError, "batch_size must be an integer >= 1"),
        (np.ones(8), {"seed": -1}, ValueError, "seed must be an integer >= 0"),
    ],
)
def test_wrong_data_is_rejected(train, settings, error, match):
    with pytest.raises(error, match=match):
        lehr.jax.Learner(
            lambda w, batch, key: w, 0.0, optax.sgd, train, **({"batch_size": 4} | settings)
        )
