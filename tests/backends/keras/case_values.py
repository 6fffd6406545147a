"""Values read by the loop, in Python and in the graph; runs in tokens, samples and epochs."""

import keras
import keras_models as models
import numpy as np
import pytest
from keras_models import BACKEND, BLOCKS, inner, number

import lehr
import lehr.keras

SCALE = lehr.linear(1.0, 3.0, 16)
POLICY = lehr.Policy(lehr.linear(0.5, 0.0, 32), momentum=0.5, values={"scale": SCALE, "k": 2})
SGD = keras.optimizers.SGD


def attach(policy=POLICY, *steps, momentum=0.9, accumulation=None, **options):
    stock = SGD(momentum=momentum, gradient_accumulation_steps=accumulation)
    return lehr.keras.attach(stock, policy, *steps, **options)


def read(optimizer):
    return {name: number(value) for name, value in optimizer.values().items()}


def assert_in_use(model, step, policy=POLICY, factor=1.0):
    values = read(lehr.keras.driven(model))
    assert list(values) == list(policy(0))
    assert values == pytest.approx(policy(step, factor), rel=2e-7)


class ReadsScale(keras.Sequential):
    """Multiplies its inputs by a value that the loop reads in the graph."""

    if BACKEND == "jax":

        def train_step(self, state, data):
            variables = zip(self.optimizer.variables, state[2], strict=True)
            with keras.StatelessScope(variables):
                scale = lehr.keras.driven(self).values()["scale"]
            return super().train_step(state, (data[0] * scale, data[1]))

    else:

        def train_step(self, data):
            scale = lehr.keras.driven(self).values()["scale"]
            return super().train_step((data[0] * scale, data[1]))


def reader(optimizer, **compiled):
    """A model whose gradient is the scale."""
    layer = keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")
    model = ReadsScale([keras.layers.Input((1,)), layer])
    model.compile(optimizer, loss=models.mean_prediction, **compiled)
    return model


# Current values.


@pytest.mark.parametrize("accumulation", [None, 2])
@pytest.mark.parametrize("block", BLOCKS)
def test_every_update_reads_its_value_in_the_graph(block, accumulation):
    """S27: with gradient s(n), update n moves the weight by rate * velocity, by hand."""
    optimizer = attach(accumulation=accumulation, record=32)
    model = reader(optimizer, steps_per_execution=block)
    models.fit_one_weight(model, 32, accumulation or 1)
    weight, velocity = 0.0, 0.0
    for n in range(32):
        velocity = 0.5 * velocity - (0.5 - n / 64) * min(1 + n / 8, 3)
        weight += velocity
    assert number(model.weights[0]) == pytest.approx(weight, rel=2e-6)
    assert_in_use(model, 32)
    assert list(inner(model).recorded()) == ["lr", "momentum"]  # only hyperparameters are recorded


@pytest.mark.parametrize("jit", [True, False])
def test_values_under_loss_scaling(jit):
    if BACKEND == "torch" and jit:
        pytest.skip("a minute of compilation")
    wrapped = keras.optimizers.LossScaleOptimizer(attach(), initial_scale=4.0)
    model = reader(wrapped, jit_compile=jit)
    models.fit_one_weight(model, 6)
    assert_in_use(model, 6)
    gradients = [1 + n / 8 for n in range(6)]
    rates = np.array([(0.5 - n / 64) * gradient for n, gradient in enumerate(gradients)])
    by_hand = models.moved(rates, np.full(6, 0.5))[-1]
    assert number(model.weights[0]) == pytest.approx(by_hand, rel=2e-6)


def test_values_between_updates_of_fit():
    """Before a batch and after it, `values()` are those of the next update."""
    seen = []

    class Reads(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            seen.append(read(lehr.keras.driven(self.model))["scale"])

        def on_train_batch_end(self, batch, logs=None):
            seen.append(read(lehr.keras.driven(self.model))["scale"])

    model = models.one_weight(attach())
    models.fit_one_weight(model, 4, callbacks=[Reads()])
    assert seen == pytest.approx([SCALE(t) for t in (0, 1, 1, 2, 2, 3, 3, 4)], rel=2e-7)


def test_values_in_a_loop_without_fit():
    optimizer = attach()
    variable = keras.Variable([0.0])
    optimizer.build([variable])
    for n in range(4):
        assert read(optimizer) == pytest.approx(POLICY(n), rel=2e-7)
        optimizer.apply([keras.ops.ones(1)])


def test_the_factor_scales_only_the_rate():
    model = models.one_weight(attach())
    models.fit_one_weight(model, 3)
    lehr.keras.driven(model).factor = 0.5
    assert_in_use(model, 3, factor=0.5)
    assert float(inner(model).values()["lr"]) == pytest.approx(0.5 * POLICY.lr(3))


def test_a_traced_step_on_jax_needs_the_optimizers_state():
    if BACKEND != "jax":
        pytest.skip("the variables of the others have values in a graph")
    import jax

    optimizer = attach()
    match = r"values\(\) requires the state of the optimizer .* keras.StatelessScope\(zip\(self"
    with pytest.raises(RuntimeError, match=match):
        jax.jit(lambda: optimizer.values()["scale"])()
    assert read(optimizer)["scale"] == 1.0

    class WithoutVariables(ReadsScale):
        def train_step(self, state, data):
            return super().train_step(state, (data[0] * inner(self).values()["scale"], data[1]))

    model = WithoutVariables([keras.layers.Input((1,)), keras.layers.Dense(1)])
    model.compile(attach(), loss="mse")
    with pytest.raises(RuntimeError, match=match):
        models.fit_one_weight(model, 2)


# Saving and resuming.


def test_values_of_the_loop_are_saved_with_the_model(tmp_path):
    model = models.one_weight(attach())
    models.fit_one_weight(model, 5)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert lehr.keras.driven(loaded).policy == POLICY
    assert_in_use(loaded, 5)
    resumed = models.one_weight(attach())
    resumed.optimizer.build(resumed.trainable_variables)
    resumed.load_weights(tmp_path / "model.keras")
    assert_in_use(resumed, 5)
    models.fit_one_weight(resumed, 3)
    models.fit_one_weight(model, 3)
    assert models.same(models.arrays(model), models.arrays(resumed))
    assert_in_use(resumed, 8)


def test_another_value_of_the_loop_is_rejected_or_continued(tmp_path):
    model = models.one_weight(attach())
    models.fit_one_weight(model, 4)
    model.save_weights(tmp_path / "run.weights.h5")
    new = lehr.Policy(POLICY.lr, momentum=0.5, values={"scale": SCALE * 2, "k": 2})
    match = r"scale was .*; scale at step 4 would jump from 1.5 to 3; .*on_change='continue'"
    for on_change in ("refuse", "continue"):
        other = models.one_weight(attach(new, on_change=on_change))
        other.optimizer.build(other.trainable_variables)
        if on_change == "refuse":
            with pytest.raises(ValueError, match=f"(?s){match}"):
                other.load_weights(tmp_path / "run.weights.h5")
        else:
            other.load_weights(tmp_path / "run.weights.h5")
            assert_in_use(other, 4, new)


def test_a_learner_omits_values_of_the_loop():
    def trained(policy):
        model = models.network(SGD(0.1, momentum=0.9))
        learner = lehr.keras.Learner(model, models.data(), batch_size=8, seed=0)
        return learner.train(policy, 12)

    trace = trained(POLICY)
    assert list(trace.rates) == ["lr", "momentum"]
    assert trace == trained(lehr.Policy(POLICY.lr, momentum=0.5))


# Lengths in every unit.

RAMP = lehr.piecewise([2], [4, 8])  # 8 after two steps, 16 after three, 24 after four
RUNS = [
    (8, (), {}),
    (None, (8.0,), {}),
    ("50%", ("16 steps",), {}),
    (None, ("2 epochs",), {"steps_per_epoch": 4.1}),
    ("2K samples", (), {"samples_per_step": 250}),
    (None, ("2T tokens",), {"tokens_per_step": 2.5e11}),
]


@pytest.mark.parametrize(("length", "steps", "sizes"), RUNS)
def test_a_run_length_may_use_any_unit(length, steps, sizes):
    wanted = lehr.linear(1.0, 0.0, 8)
    given = lehr.linear(1.0, 0.0, length)
    assert attach(given, *steps, **sizes).policy.lr == wanted
    assert lehr.keras.schedule(given, *steps, **sizes).definition == wanted.dumps()


@pytest.mark.parametrize("unit", ["samples", "tokens"])
def test_the_rate_follows_a_ramp_of_the_batch_size(unit):
    falls, sizes = lehr.linear(1.0, 0.0, f"24 {unit}"), {f"{unit}_per_step": RAMP}
    wanted = [1, 20 / 24, 16 / 24, 8 / 24, 0, 0]
    model = models.one_weight(attach(falls, momentum=0.0, record=6, **sizes))
    models.fit_one_weight(model, 6)
    assert inner(model).recorded()["lr"] == pytest.approx(wanted, rel=4e-7, abs=4e-7)
    rates = lehr.keras.schedule(falls, **sizes)
    assert [number(rates(n)) for n in range(6)] == pytest.approx(wanted, rel=4e-7, abs=4e-7)


def test_a_missing_size_can_be_passed():
    """S28: passing the size that the error names is accepted."""
    policy = lehr.cosine(0.1, "1B tokens")
    for call in (attach, lehr.keras.schedule):
        with pytest.raises(ValueError, match=r"tokens_per_step must be given.*; pass tokens_per_s"):
            call(policy, 100)
        assert call(policy, 100, tokens_per_step=1e7) is not None
        with pytest.raises(ValueError, match="samples_per_step must be a number above 0, got 0"):
            call(0.1, 100, samples_per_step=0)
