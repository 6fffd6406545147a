"""Models with several optimizers, and optimizers that do not train the model."""

import keras
import keras_models as models
import numpy as np
import pytest
from keras import ops
from keras.optimizers import SGD, Adam, LossScaleOptimizer, RMSprop
from keras_models import BACKEND, AtEpochEnd, number

import lehr
import lehr.keras

X, Y = models.data()
ONES = np.ones((8, 1), "float32")


class OwnStep(keras.Sequential):
    """A model whose `train_step` does not use the compiled optimizer."""

    def __init__(self, **held):
        super().__init__([keras.layers.Input((5,)), keras.layers.Dense(1)])
        for name, value in held.items():
            setattr(self, name, value)

    def apply(self, gradients, variables):
        """Plain gradient descent."""
        for gradient, variable in zip(gradients, variables, strict=True):
            variable.assign_sub(0.01 * gradient)

    if BACKEND == "jax":

        def train_step(self, state, data):
            import jax

            trainable, other, slots, metrics = state
            inputs, targets = data

            def loss(trainable):
                predictions, _ = self.stateless_call(trainable, other, inputs)
                return ops.mean((predictions[:, 0] - targets) ** 2)

            value, gradients = jax.value_and_grad(loss)(trainable)
            trainable = [v - 0.01 * g for v, g in zip(trainable, gradients, strict=True)]
            return {"loss": value}, (trainable, other, slots, metrics)

    elif BACKEND == "tensorflow":

        def train_step(self, data):
            import tensorflow as tf

            inputs, targets = data
            with tf.GradientTape() as tape:
                loss = ops.mean((self(inputs)[:, 0] - ops.cast(targets, "float32")) ** 2)
            self.apply(tape.gradient(loss, self.trainable_variables), self.trainable_variables)
            return {"loss": loss}

    else:

        def train_step(self, data):
            import torch

            inputs, targets = data
            self.zero_grad()
            loss = ops.mean((self(inputs)[:, 0] - ops.cast(targets, "float32")) ** 2)
            loss.backward()
            with torch.no_grad():
                self.apply([v.value.grad for v in self.trainable_weights], self.trainable_weights)
            return {"loss": loss}


class Adversarial(OwnStep):
    """Applies `self.g_optimizer` to the kernel and `self.d_optimizer` to the bias, as a GAN."""

    def apply(self, gradients, variables):
        for optimizer, gradient, variable in zip(
            (self.g_optimizer, self.d_optimizer[0]), gradients, variables, strict=True
        ):
            optimizer.apply([gradient], [variable])


class Counting(OwnStep):
    """Also changes all kinds of variables in attributes."""

    def apply(self, gradients, variables):
        self.optimizer.apply(gradients, variables)
        self.counts["updates"][0].assign_add(1.0)
        self.noise.assign(keras.random.normal((2,), seed=self.seeds[0]))
        self.seen.update_state(ops.ones((3,)))
        self.d_optimizer.apply([ops.ones((2,))], [self.average])


def adversarial(optimizer="rmsprop", build=True):
    keras.utils.set_random_seed(1)
    model = Adversarial(g_optimizer=Adam(0.01), d_optimizer=[SGD(0.01, momentum=0.9)])
    model.compile(optimizer, loss="mse")
    if build:
        model.optimizer.build(model.trainable_variables)
        kernel, bias = model.trainable_variables
        model.g_optimizer.build([kernel])
        model.d_optimizer[0].build([bias])
    return model


def own_step():
    keras.utils.set_random_seed(1)
    model = OwnStep()
    model.compile(SGD(0.01), loss="mse")
    model.optimizer.build(model.trainable_variables)
    return model


MODELS = {"own step": own_step}
if BACKEND != "jax":  # on JAX, train_step receives the variables of the compiled optimizer only
    MODELS["adversarial"] = adversarial
UNUSED = r"optimizer must be the one that updates the weights.*compile with the optimizer that trai"


def everything(model):
    parts = [getattr(model, "g_optimizer", None), *getattr(model, "d_optimizer", [])]
    held = [ops.convert_to_numpy(v) for part in parts if part for v in part.variables]
    return models.everything(model) + held


@pytest.mark.parametrize("kind", MODELS)
def test_k2_a_range_test_of_an_unused_optimizer_is_rejected_and_restores(kind):
    model = MODELS[kind]()
    model.fit(X, Y, batch_size=8, verbose=0)
    before = everything(model)
    with pytest.raises(ValueError, match=UNUSED):
        lehr.keras.range_test(model, (X, Y), batch_size=8, steps=20)
    assert models.same(before, everything(model))


@pytest.mark.parametrize("driven", [False, True])
@pytest.mark.parametrize("kind", MODELS)
def test_k2_a_learner_of_an_unused_optimizer_fails_in_its_first_update(kind, driven):
    model = MODELS[kind]()
    model.compile(lehr.keras.attach(SGD(), 0.1) if driven else SGD(), loss="mse")
    run = lehr.keras.Learner(model, (X, Y), batch_size=8)
    before = run.snapshot().digest()
    with pytest.raises(ValueError, match=UNUSED):
        run.train(lehr.Policy(0.1), 8)
    assert run.snapshot().digest() == before
    assert run.step == 0


def test_k2_an_optimizer_whose_variables_do_not_exist_is_rejected():
    if BACKEND == "jax":
        pytest.skip("the step of this model cannot run on JAX")
    model = adversarial(build=False)
    before = model.get_weights()
    with pytest.raises(ValueError, match=r"optimizer in an attribute.*must be built.*build\("):
        lehr.keras.range_test(model, (X, Y), batch_size=8, steps=20)
    assert models.same(before, model.get_weights())
    assert not model.g_optimizer.built


def counting(optimizer):
    keras.utils.set_random_seed(1)
    model = Counting(
        counts={"updates": [keras.Variable(0.0)]},
        noise=keras.Variable(np.zeros(2), trainable=False),
        seeds=(keras.random.SeedGenerator(7),),
        seen=keras.metrics.Mean(),
        d_optimizer=Adam(0.1),
    )
    model.average = keras.Variable(np.zeros(2), trainable=False)
    model.d_optimizer.build([model.average])
    model.compile(optimizer, loss="mse")
    return model


def held(model):
    owners = [model.seeds[0].state, *model.seen.variables, *model.d_optimizer.variables]
    variables = [model.counts["updates"][0], model.noise, model.average, *owners]
    return models.everything(model) + [ops.convert_to_numpy(variable) for variable in variables]


def test_k2_all_variables_in_attributes_are_restored():
    if BACKEND == "jax":
        pytest.skip("the step of this model cannot run on JAX")
    model = counting(SGD(0.01, momentum=0.9))
    model.fit(X, Y, batch_size=8, verbose=0)
    before = held(model)
    sweep = lehr.keras.range_test(model, (X, Y), batch_size=8, steps=20, high=0.1)
    assert len(sweep.losses) == 20
    assert models.same(before, held(model))
    model.fit(X, Y, batch_size=8, verbose=0)
    changed = [a.tobytes() != b.tobytes() for a, b in zip(before, held(model), strict=True)]
    assert sum(changed) >= 12  # the test would find variables that are not restored


def test_k2_a_learner_restores_all_variables_in_attributes():
    if BACKEND == "jax":
        pytest.skip("the step of this model cannot run on JAX")
    run = lehr.keras.Learner(counting(SGD(0.01, momentum=0.9)), (X, Y), batch_size=8)
    run.train(lehr.Policy(0.1), 4)
    before = run.snapshot()
    first = run.train(lehr.Policy(0.1), 4, first=4), run.snapshot().digest()
    run.restore(before)
    assert run.snapshot().digest() == before.digest()
    assert (run.train(lehr.Policy(0.1), 4, first=4), run.snapshot().digest()) == first


def test_k2_an_optimizer_that_skips_batches_is_rejected_in_a_learner():
    """The recorded rates would include updates that were not made."""
    if BACKEND == "jax":
        pytest.skip("the step of this model cannot run on JAX")

    class Alternating(OwnStep):
        def apply(self, gradients, variables):
            self.calls.assign_add(1)
            ops.cond(
                self.calls % 2 == 1,
                lambda: self.optimizer.apply(gradients, variables),
                lambda: None,
            )

    model = Alternating(calls=keras.Variable(0, dtype="int32", trainable=False))
    model.compile(SGD(0.01), loss="mse")
    run = lehr.keras.Learner(model, (X, Y), batch_size=8)
    with pytest.raises(ValueError, match=UNUSED):
        run.train(lehr.Policy(0.1), 4)


@pytest.mark.parametrize("scale", [4.0, 2.0**120])
@pytest.mark.parametrize("accumulation", [None, 4])
def test_k2_loss_scaling_and_accumulation_count_as_updates(accumulation, scale):
    """Batches that loss scaling skips change the scale; micro-batches change the count."""
    stock = SGD(0.01, gradient_accumulation_steps=accumulation)
    model = models.regression(LossScaleOptimizer(stock, initial_scale=scale))
    sweep = lehr.keras.range_test(model, (X, Y), batch_size=8, steps=20, high=0.1)
    assert len(sweep.losses) == 20


def plateau(monitor, **settings):
    return lehr.Policy(0.01, control=lehr.Plateau(monitor, patience=1, **settings))


def scores(model, epoch, logs):
    logs["a"] = logs["b"] = 1.0


@pytest.mark.parametrize("form", ["multi", "scaled", "attributes"])
def test_k13_control_feeds_all_driven_optimizers(form):
    first = lehr.keras.attach(SGD(name="first"), plateau("a", factor=0.5))
    second = lehr.keras.attach(Adam(name="second"), plateau("b", factor=0.25))
    parts = None if form == "attributes" else models.multi_optimizer(first, {".*bias": second})
    if form == "attributes":
        model = models.regression(first)
        model.second = [second]
    else:
        model = models.regression(parts if form == "multi" else LossScaleOptimizer(parts))
    callbacks = [AtEpochEnd(scores), lehr.keras.Control()]
    history = model.fit(X, Y, epochs=3, verbose=0, callbacks=callbacks).history
    assert number(first.factor) == 0.25
    assert number(second.factor) == 0.0625
    rates = history["learning_rate/first"]
    np.testing.assert_allclose(rates, [0.01, 0.01, 0.005], rtol=1e-6)
    assert len(history["learning_rate/second"]) == 3


def test_k13_driven_names_the_optimizers_among_which_to_choose():
    first, second = (lehr.keras.attach(SGD(name=name), 0.1) for name in ("first", "second"))
    one = models.regression(models.multi_optimizer(first, {".*bias": SGD()}))
    assert lehr.keras.driven(one) is first
    two = models.regression(
        models.multi_optimizer(lehr.keras.attach(SGD(name="third"), 0.1), {".*bias": second})
    )
    with pytest.raises(ValueError, match=r"single driven.*'second'.*'third'.*MultiOptimizer\.opt"):
        lehr.keras.driven(two)
    one.spare = [lehr.keras.attach(SGD(name="spare"), 0.1)]
    with pytest.raises(ValueError, match="single driven"):
        lehr.keras.driven(one)


class Observing(keras.callbacks.Callback):
    """A callback of the user that reports the metric."""

    def on_epoch_end(self, epoch, logs=None):
        lehr.keras.driven(self.model).observe(logs["loss"])


def without_control(model, loop):
    if loop == "callback":
        model.fit(X, Y, epochs=2, verbose=0, callbacks=[Observing()])
    for _ in range(2):
        if loop == "fit":
            loss = model.fit(X, Y, verbose=0).history["loss"][0]
        elif loop == "batches":
            loss = model.train_on_batch(X, Y)
        if loop != "callback":
            model.optimizer.observe(loss)


@pytest.mark.parametrize("loop", ["callback", "fit", "batches"])
def test_k11_a_metric_after_the_first_update_gives_no_warning(loop):
    model = models.regression(lehr.keras.attach(SGD(), plateau("loss")))
    without_control(model, loop)  # a warning of lehr is an error here
    assert model.optimizer.control_state.seen == 2


@pytest.mark.parametrize(("fits", "epochs"), [(1, 2), (2, 1)])
@pytest.mark.parametrize("wrap", [None, LossScaleOptimizer])
def test_k11_no_metric_gives_one_warning_after_two_epochs(wrap, fits, epochs):
    optimizer = lehr.keras.attach(SGD(), plateau("loss"))
    model = models.regression(optimizer if wrap is None else wrap(optimizer))
    for _ in range(fits - 1):
        model.fit(X, Y, epochs=epochs, verbose=0)
    with pytest.warns(UserWarning, match="receives no metric"):
        model.fit(X, Y, epochs=epochs, verbose=0)
    model.fit(X, Y, epochs=epochs, verbose=0)  # one warning: a second one would be an error


FILES = {
    "Adam with a schedule": (lambda rate: Adam(rate), Adam),
    "Adam": (lambda _: Adam(0.01), Adam),
    "SGD with a schedule": (lambda rate: SGD(rate, momentum=0.9), lambda: SGD(momentum=0.9)),
    "SGD without momentum": (lambda rate: SGD(rate), SGD),
    "accumulating": (
        lambda rate: Adam(rate, gradient_accumulation_steps=2),
        lambda: Adam(gradient_accumulation_steps=2),
    ),
    "averaging": (lambda rate: Adam(rate, use_ema=True), lambda: Adam(use_ema=True)),
}
COSINE = lehr.cosine(0.1, steps=48)


@pytest.mark.parametrize("kind", FILES)
def test_k7_slots_and_count_of_plain_optimizers_are_loaded(kind, tmp_path):
    stock, target = FILES[kind]
    rate = keras.optimizers.schedules.ExponentialDecay(0.01, 10, 0.5)
    plain = models.regression(stock(rate))
    plain.fit(X, Y, batch_size=8, verbose=0)
    plain.save_weights(tmp_path / "plain.weights.h5")
    driven = models.regression(lehr.keras.attach(target(), COSINE, on_change="continue", record=24))
    driven.load_weights(tmp_path / "plain.weights.h5")
    done = int(plain.optimizer.iterations)
    assert driven.optimizer.step == done == (6 if kind == "accumulating" else 12)
    slots = [v for v in plain.optimizer.variables if v.shape != ()]
    assert bool(slots) == (kind != "SGD without momentum")
    loaded = [v for v in driven.optimizer.variables if v.shape != ()][-len(slots) or None :]
    if slots:
        assert models.same(*([ops.convert_to_numpy(v) for v in vs] for vs in (slots, loaded)))
    driven.fit(X, Y, batch_size=8, verbose=0)
    rates = driven.optimizer.recorded()["lr"][done:]
    expected = [COSINE(step) for step in range(done, 2 * done)]
    np.testing.assert_allclose(rates, expected, rtol=0, atol=4e-8)
    if "schedule" in kind:
        refusing = models.regression(lehr.keras.attach(target(), COSINE))
        with pytest.raises(ValueError, match=r"of an optimizer with a Keras schedule.*on_change="):
            refusing.load_weights(tmp_path / "plain.weights.h5")


def trained(optimizer, path):
    model = models.regression(optimizer)
    model.fit(X, Y, batch_size=8, verbose=0)
    model.save_weights(path)
    return path


UNLIKE = {
    "SGD with momentum, schedule": (
        lambda: SGD(lehr.keras.schedule(COSINE), momentum=0.9),
        SGD,
        r"one with 3 variables, as saved, got 2; the saved ones have the shapes \(\), \(5, 1\), "
        r"\(1,\), SGD has iteration \(\), learning_rate \(\)",
    ),
    "SGD with momentum": (
        lambda: lehr.keras.attach(SGD(momentum=0.9), COSINE),
        RMSprop,
        "optimizer must be SGD, as saved, got 'RMSprop'",
    ),
    "Adam": (
        lambda: lehr.keras.attach(Adam(), COSINE),
        keras.optimizers.Nadam,
        r"one with 6 variables, as saved, got 7.*Nadam has",
    ),
    "Adamax": (
        lambda: lehr.keras.attach(keras.optimizers.Adamax(), COSINE),
        Adam,
        "optimizer must be Adamax, as saved, got 'Adam'",
    ),
    "plain RMSprop": (
        lambda: RMSprop(momentum=0.9),
        lambda: SGD(momentum=0.9),
        r"one with 6 variables, as saved, got 4",
    ),
}


@pytest.mark.parametrize("kind", UNLIKE)
def test_k7_a_file_of_an_unlike_optimizer_is_rejected_by_name(kind, tmp_path):
    saved, target, message = UNLIKE[kind]
    file = trained(saved(), tmp_path / "run.weights.h5")
    model = models.regression(lehr.keras.attach(target(), COSINE, on_change="continue"))
    before = models.arrays(model)[len(model.variables) :]
    with pytest.raises(ValueError, match=message):
        model.load_weights(file)
    assert models.same(before, models.arrays(model)[len(model.variables) :])


def test_k7_adam_and_adamw_have_the_same_slots(tmp_path):
    for stock, target in ((Adam, keras.optimizers.AdamW), (keras.optimizers.AdamW, Adam)):
        file = trained(lehr.keras.attach(stock(), COSINE), tmp_path / "run.weights.h5")
        model = models.regression(lehr.keras.attach(target(), COSINE))
        model.load_weights(file)
        assert model.optimizer.step == 12


def test_k9_weights_loaded_before_compile_leave_the_policy_at_its_first_step(tmp_path):
    file = trained(lehr.keras.attach(SGD(), COSINE), tmp_path / "run.weights.h5")
    saved = models.regression(lehr.keras.attach(SGD(), COSINE))
    saved.load_weights(file, skip_mismatch=True)  # Keras skips only what does not match
    assert saved.optimizer.step == 12
    model = keras.Sequential([keras.layers.Input((5,)), keras.layers.Dense(1)])
    model.load_weights(file)
    assert models.same(saved.get_weights(), model.get_weights())
    model.compile(lehr.keras.attach(SGD(), COSINE, start_step=24, record=12), loss="mse")
    model.fit(X, Y, batch_size=8, initial_epoch=2, epochs=3, verbose=0)
    expected = [COSINE(step) for step in range(24, 36)]
    np.testing.assert_allclose(model.optimizer.recorded()["lr"], expected, rtol=0, atol=4e-8)
