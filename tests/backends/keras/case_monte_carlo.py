"""Monte Carlo dropout: only dropout is in training mode, exact mean and std, no side effects."""

import keras
import keras_models as models
import numpy as np
import pytest
from keras import layers, ops

import lehr.keras
from lehr.keras.generators import generators

X = np.random.default_rng(3).normal(size=(50, 5)).astype("float32")


def everything(model):
    values = [ops.convert_to_numpy(v).tobytes() for v in model.variables]
    return values, [array.tobytes() for array in generators().values()]


def ones(units, **kwargs):
    return layers.Dense(units, kernel_initializer="ones", **kwargs)


def test_mean_and_std_equal_those_of_bernoulli_masks():
    # y = sum of 4 inputs of 1, each retained with probability 3/4 and scaled by 4/3:
    # mean 4, variance 4 * (1/4) / (3/4)
    model = keras.Sequential([layers.Input((4,)), layers.Dropout(0.25), ones(1)])
    prediction = lehr.keras.MonteCarlo(model).predict(np.ones((40, 4)), samples=500)
    np.testing.assert_allclose(prediction.mean.mean(), 4, rtol=0.02)
    np.testing.assert_allclose((prediction.std**2).mean(), 4 / 3, rtol=0.03)


def test_mean_std_and_classes_equal_numpy_over_the_passes():
    passes = []

    class Recorded(layers.Dropout):
        def call(self, inputs, training=False):
            assert training
            return super().call(inputs, training=training)

    model = keras.Sequential([layers.Input((5,)), Recorded(0.5, seed=1), layers.Dense(3)])
    for samples in (1, 2, 7):
        passes.append(lehr.keras.MonteCarlo(model).predict(X, samples=samples).mean)
    first, second = passes[0], 2 * passes[1] - passes[0]  # the second pass, from the mean of two
    two = lehr.keras.MonteCarlo(model).predict(X, samples=2)
    np.testing.assert_allclose(two.std, np.std([first, second], axis=0), atol=1e-6)
    assert two.classes.tolist() == np.mean([first, second], axis=0).argmax(-1).tolist()


@pytest.mark.parametrize(
    "dropping",
    [
        lambda: layers.Dropout(0.5),
        lambda: layers.AlphaDropout(0.5),
        lambda: layers.GaussianDropout(0.5),
        lambda: keras.Sequential([layers.Dense(5), keras.Sequential([layers.Dropout(0.5)])]),
    ],
    ids=["dropout", "alpha", "gaussian", "nested"],
)
def test_only_dropout_is_active_and_the_model_is_unchanged(dropping):
    before_it = [layers.Input((5,)), layers.BatchNormalization(), layers.GaussianNoise(1.0)]
    head = keras.Sequential(before_it)
    model = keras.Sequential([head, dropping(), layers.Dense(3)])
    model(X)
    before = everything(model)
    calls = [layer for layer in model._flatten_layers() if "call" in vars(layer)]
    one, two = (lehr.keras.MonteCarlo(model).predict(X, samples=5) for _ in range(2))
    assert everything(model) == before
    assert [layer for layer in model._flatten_layers() if "call" in vars(layer)] == calls
    assert one.mean.tobytes() == two.mean.tobytes()
    other = lehr.keras.MonteCarlo(model, seed=1).predict(X, samples=5)
    assert (other.mean != one.mean).any()
    # batch norm and noise are in inference mode: only outputs of dropout vary
    quiet = lehr.keras.MonteCarlo(keras.Sequential([head, layers.Dropout(0.0)]))
    still = quiet.predict(X, samples=3)
    np.testing.assert_allclose(still.std, 0, atol=1e-7)
    np.testing.assert_allclose(still.mean, ops.convert_to_numpy(head(X)), rtol=1e-5, atol=1e-6)


def test_batches_are_independent_and_the_last_may_be_smaller():
    model = keras.Sequential([layers.Input((5,)), layers.Dropout(0.0), layers.Dense(3)])
    want = ops.convert_to_numpy(model(X))
    for size in (7, 50, 1000):
        got = lehr.keras.MonteCarlo(model).predict(X, samples=2, batch_size=size).mean
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


def test_subclassed_models_attention_and_recurrence_use_dropout():
    class Attends(keras.Model):
        def __init__(self):
            super().__init__()
            self.attention = layers.MultiHeadAttention(2, 3, dropout=0.5)

        def call(self, x):
            return self.attention(x, x)

    sequence = X.reshape(10, 5, 5)
    attends = Attends()
    attends(sequence)
    recurs = keras.Sequential([layers.Input((5, 5)), layers.GRU(3, dropout=0.5)])
    for model in (attends, recurs):
        prediction = lehr.keras.MonteCarlo(model).predict(sequence, samples=4)
        assert prediction.std.max() > 0
    monte_carlo = lehr.keras.MonteCarlo(recurs)
    assert monte_carlo.predict({"x": sequence}["x"], samples=1).mean.shape == (10, 3)


def test_custom_dropout_without_a_training_argument_is_used():
    class Always(layers.Dropout):
        def call(self, inputs):
            return super().call(inputs, training=True)

    model = keras.Sequential([layers.Input((5,)), Always(0.5), layers.Dense(3)])
    assert lehr.keras.MonteCarlo(model).predict(X, samples=4).std.max() > 0


def test_logits_become_probabilities_in_each_pass():
    model = keras.Sequential([layers.Input((5,)), layers.Dropout(0.5), layers.Dense(3)])
    model.layers[-1].kernel.assign(10 * model.layers[-1].kernel)
    raw = lehr.keras.MonteCarlo(model).predict(X, samples=9)
    soft = lehr.keras.MonteCarlo(model, activation="softmax").predict(X, samples=9)
    np.testing.assert_allclose(soft.mean.sum(-1), 1, rtol=1e-6)
    late = ops.convert_to_numpy(ops.softmax(raw.mean))
    assert np.abs(late - soft.mean).max() > 0.05


def test_one_output_above_one_half_is_class_one():
    prediction = lehr.keras.Prediction(np.array([[0.4], [0.6]]), np.zeros((2, 1)))
    assert prediction.classes.tolist() == [0, 1]


def test_predict_does_not_change_later_training():
    def trained(changes):
        model = models.network(keras.optimizers.SGD(0.1))
        model.fit(*models.data(), batch_size=32, verbose=0, shuffle=False)
        if changes:
            lehr.keras.MonteCarlo(model).predict(X, samples=3)
        model.fit(*models.data(), batch_size=32, verbose=0, shuffle=False)
        return models.arrays(model)

    assert models.same(trained(False), trained(True))


def test_unsupported_models_are_rejected():
    with pytest.raises(TypeError, match="model must be a Keras model, got 3"):
        lehr.keras.MonteCarlo(3)
    with pytest.raises(ValueError, match="model must be built"):
        lehr.keras.MonteCarlo(keras.Sequential([layers.Dropout(0.5)]))
    without = keras.Sequential([layers.Input((5,)), layers.Dense(1)])
    with pytest.raises(ValueError, match=r"model must be one with a dropout layer.*layers="):
        lehr.keras.MonteCarlo(without)
    x = keras.Input((5,))
    both = keras.Model(x, [layers.Dropout(0.5)(x), layers.Dense(1)(x)])
    with pytest.raises(ValueError, match="model must be one with one output"):
        lehr.keras.MonteCarlo(both).predict(X)
    fine = lehr.keras.MonteCarlo(keras.Sequential([layers.Input((5,)), layers.Dropout(0.5)]))
    with pytest.raises(ValueError, match="samples must be an integer >= 1, got 0"):
        fine.predict(X, samples=0)
    with pytest.raises(ValueError, match="x must be at least one row, got 0"):
        fine.predict(X[:0])


def test_g6_torch_tensors_are_copied_to_the_host():
    """A tensor with gradients, like one on a GPU, cannot be converted by NumPy."""
    torch = pytest.importorskip("torch")
    model = keras.Sequential([layers.Input((5,)), layers.Dropout(0.5), layers.Dense(3)])
    monte_carlo = lehr.keras.MonteCarlo(model)
    expected = monte_carlo.predict(X, samples=3)
    found = monte_carlo.predict(torch.tensor(X, requires_grad=True), samples=3)
    assert (found.mean == expected.mean).all()
    model.compile("sgd", "mse")
    data = torch.tensor(X, requires_grad=True), torch.zeros(len(X), 3)
    sweep = lehr.keras.range_test(model, data, steps=20, batch_size=8, high=0.1)
    assert len(sweep.losses) == 20
