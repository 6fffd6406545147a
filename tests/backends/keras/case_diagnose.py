"""lehr.keras.diagnose: values by hand, gradients by finite differences, no side effects."""

import keras
import keras_models as models
import numpy as np
import pytest
from keras import layers, ops

import lehr.keras
from lehr.keras.generators import generators

X, Y = models.data(40)


def everything(model):
    values = [*model.variables, *model.metrics_variables, *model.optimizer.variables]
    arrays = [ops.convert_to_numpy(v).tobytes() for v in values]
    return arrays, [array.tobytes() for array in generators().values()]


def test_numbers_by_hand():
    dense = layers.Dense(2, "relu", use_bias=False, name="dense")
    model = keras.Sequential([layers.Input((1,)), dense])
    model.compile("sgd", loss="mse")
    dense.kernel.assign([[1.0, -1.0]])
    found = lehr.keras.diagnose(model, (np.array([[1.0], [3.0]]), np.zeros((2, 2))))
    # outputs (1, 0) and (3, 0); loss = (1 + 9) / 4; d loss / d w1 = 2 (1 * 1 + 3 * 3) / 4
    (layer,) = found.layers
    assert (layer.name.split("/")[-1], layer.kind, found.loss) == ("dense", "Dense", 2.5)
    assert (layer.mean, layer.saturated, layer.gradient) == (1.0, 0.5, 5.0)
    np.testing.assert_allclose(layer.std, np.std([1, 0, 3, 0]))


def test_gradients_equal_finite_differences():
    model = models.network(keras.optimizers.SGD())
    model.layers[-1].kernel_regularizer = keras.regularizers.L2(0.1)
    found = lehr.keras.diagnose(model, (X, Y), training=False)
    kernel, bias = model.layers[-1].kernel, model.layers[-1].bias
    squares, small = 0.0, 1e-2
    for variable in (kernel, bias):
        start = ops.convert_to_numpy(variable).copy()
        for place in np.ndindex(start.shape):
            ends = []
            for sign in (1, -1):
                moved = start.copy()
                moved[place] += sign * small
                variable.assign(moved)
                ends.append(model.evaluate(X, Y, verbose=0, batch_size=40)[0])
            squares += ((ends[0] - ends[1]) / (2 * small)) ** 2
            variable.assign(start)
    np.testing.assert_allclose(found.layers[-1].gradient, squares**0.5, rtol=2e-2)


def test_diagnose_leaves_the_model_bit_identical():
    model = models.network(keras.optimizers.Adam())
    model.fit(X, Y, batch_size=8, verbose=0)
    before = everything(model)
    found = lehr.keras.diagnose(model, (X, Y))
    assert everything(model) == before
    assert not [layer for layer in model._flatten_layers() if "call" in vars(layer)]
    kinds = [layer.kind for layer in found.layers]
    dropped = ["GaussianNoise", "Dropout", "Dropout"]  # layers without weights have no gradients
    assert kinds == ["Dense", "BatchNormalization", *dropped, "Dense"]
    assert [layer.kind for layer in found.layers if layer.gradient is None] == dropped
    # batch norm in training mode scales the batch to std 1
    np.testing.assert_allclose(found.layers[1].std, 1.0, atol=0.02)


def test_nested_and_shared_layers_and_data_without_targets():
    shared = layers.Dense(3, "tanh")
    inner = keras.Sequential([layers.Input((3,)), layers.Dense(2, "gelu")], name="inner")
    x = keras.Input((3,))
    model = keras.Model(x, inner(shared(shared(x))))
    batch = np.full((4, 3), 100.0)
    shared.kernel.assign(np.eye(3))
    found = lehr.keras.diagnose(model, batch)
    assert found.loss is None
    assert [layer.gradient for layer in found.layers] == [None, None]
    first, second = found.layers
    # the first call saturates, tanh(100) = 1; the second does not, tanh(1) = 0.76
    assert (first.saturated, second.saturated) == (0.5, None)
    assert "inner" in second.name


def test_recurrent_layers_are_one_row_and_attention_is_split():
    x = keras.Input((4, 3))
    inner = layers.Bidirectional(layers.LSTM(2, return_sequences=True))(x)
    inner = layers.MultiHeadAttention(1, 2)(inner, inner)
    model = keras.Model(x, layers.TimeDistributed(layers.Dense(2))(inner))
    model.compile("sgd", loss="mse")
    found = lehr.keras.diagnose(model, (np.ones((5, 4, 3)), np.zeros((5, 4, 2))))
    kinds = [layer.kind for layer in found.layers]
    assert (kinds[0], kinds[-1]) == ("Bidirectional", "TimeDistributed")
    assert "EinsumDense" in kinds
    assert found.layers[0].saturated is None
    assert found.layers[0].gradient > 0


def test_diagnose_builds_an_unbuilt_model():
    model = keras.Sequential([layers.Dense(2), layers.ELU()])
    found = lehr.keras.diagnose(model, np.ones((5, 3)))
    assert [layer.kind for layer in found.layers] == ["Dense", "ELU"]


@pytest.mark.parametrize("name", ["sigmoid", "tanh", "relu", "elu", "selu", "leaky_relu"])
def test_saturation_counts_small_slopes(name):
    function = keras.activations.get(name)
    x = np.linspace(-8, 8, 1601).astype("float32")
    small = 1e-2
    y = [ops.convert_to_numpy(function(ops.convert_to_tensor(x + s))) for s in (small, -small)]
    slope = (y[0] - y[1]) / (2 * small)
    want = np.mean(slope < 0.01 * slope.max())
    model = keras.Sequential([layers.Input((1601,)), layers.Activation(name)])
    found = lehr.keras.diagnose(model, x[None])
    np.testing.assert_allclose(found.layers[0].saturated, want, atol=0.004)


def test_unsupported_input_is_rejected():
    model = keras.Sequential([layers.Input((5,)), layers.Dense(1)])
    with pytest.raises(ValueError, match="model must be compiled with a loss"):
        lehr.keras.diagnose(model, (X, Y))
    with pytest.raises(ValueError, match="batch must be a pair"):
        lehr.keras.diagnose(model, (X, Y, Y))
    with pytest.raises(TypeError, match="model must be a Keras model, got 3"):
        lehr.keras.diagnose(3, X)
