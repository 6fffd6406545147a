"""Layer diagnosis of a Keras model on one batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from lehr.diagnosis import Diagnosis, diagnosis, pair, record
from lehr.keras import _private
from lehr.keras.calls import Call, patch_calls, training_argument
from lehr.keras.generators import preserve_rng
from lehr.schedule.errors import fail

_LAYERS = {"LeakyReLU": "leaky_relu", "ReLU": "relu", "ELU": "elu", "PReLU": "prelu"}


def diagnose(
    model: keras.Model,
    batch: Any,
    *,
    loss: Callable[[Any, Any], Any] | None = None,
    training: bool = True,
) -> Diagnosis:
    """Measure the activations, saturation and gradients of each layer on one batch.

    It runs one forward pass and, with targets, one backward pass. Weights, statistics, seeds and
    random generators are restored; no update is made.

    Args:
        model: a Keras model or layer; it must be compiled if ``batch`` has targets and ``loss`` is
            None. A model that is not built is built.
        batch: ``(x, y)``, or ``x`` without gradients.
        loss: ``loss(output, y)``, which returns a scalar; replaces the compiled loss.
        training: True for training mode, False for inference mode.

    Raises:
        TypeError: if ``model`` is not a Keras model.
        ValueError: if ``batch`` is a tuple or list but not a pair, there is no loss for its
            targets, or the model calls no layer.

    >>> import keras, lehr, numpy as np
    >>> layers = [keras.layers.Dense(3, activation="sigmoid"), keras.layers.Dense(1)]
    >>> model = keras.Sequential([keras.layers.Input((2,)), *layers])
    >>> found = lehr.keras.diagnose(model, np.zeros((4, 2), "float32"))
    >>> [layer.kind for layer in found.layers], found.layers[0].saturated
    (['Dense', 'Dense'], 0.0)
    """
    if not isinstance(model, keras.Layer):
        fail("model", "a Keras model", model, error=TypeError)
    x, y = pair(batch)
    x = keras.tree.map_structure(keras.ops.convert_to_tensor, x)
    y = y if y is None else keras.tree.map_structure(keras.ops.convert_to_tensor, y)
    if y is not None and loss is None and not model.compiled:
        fix = "call model.compile(...) first, or pass loss="
        fail("model", "compiled with a loss", model.name, fix)
    with preserve_rng():
        if not model.built:
            model(x, **training_argument(model, False))
        outputs, gradients, value = _run(model, x, y, loss, training)
    layers = []
    for layer, values in outputs.items():
        found = [gradients[id(v)] for v in layer.trainable_variables if id(v) in gradients]
        name = layer.path or layer.name
        layers.append(record(name, type(layer).__name__, _function(layer), values, found))
    return diagnosis(model, layers, value)


def _run(model: Any, x: Any, y: Any, loss: Any, training: bool) -> tuple[Any, Any, float | None]:
    """Return the outputs by layer, the gradients by id of the variable, and the loss."""
    called: dict[Any, list[Any]] = {}

    def recording(layer: Any, call: Call) -> Call:
        def record_call(*args: Any, **kwargs: Any) -> Any:
            result = call(*args, **kwargs)
            if not keras.tree.is_nested(result):
                called.setdefault(layer, []).append(result)
            return result

        return record_call

    variables = model.trainable_variables

    def forward(values: Any) -> tuple[Any, Any]:
        called.clear()
        # assignments to statistics and seeds go to the scope and are discarded
        pairs = list(zip(variables, values, strict=True))
        with keras.StatelessScope(pairs, collect_losses=True):
            predicted = model(x, **training_argument(model, training))
            if y is None:
                total = keras.ops.zeros(())
            elif loss is not None:
                total = loss(predicted, y)
            else:
                total = model.compute_loss(x=x, y=y, y_pred=predicted, training=training)
            # outputs only: JAX cannot return layers
            return total, [list(outputs) for outputs in called.values()]

    with patch_calls(_leaves(model), recording):
        values = [keras.ops.copy(v) for v in variables]
        total, outputs, gradients = _GRADIENTS[keras.backend.backend()](forward, values)
    known_outputs = zip(called, outputs, strict=True)
    plain = {layer: [_numpy(y) for y in values] for layer, values in known_outputs}
    if y is None:
        return plain, {}, None
    known = zip(variables, gradients, strict=True)
    return plain, {id(v): _numpy(g) for v, g in known if g is not None}, float(_numpy(total))


# their sublayers run in loops of the backend, whose values cannot be read outside of the loop; on a
# GPU, Bidirectional runs both directions in one operation, without calling its layers
_OPAQUE = (keras.layers.RNN, keras.layers.Bidirectional, keras.layers.TimeDistributed)


def _leaves(model: Any) -> list[Any]:
    """Return the layers without sublayers, without duplicates."""
    found: dict[int, Any] = {}
    for layer in _private.sublayers(model):
        if isinstance(layer, _OPAQUE) or not _private.sublayers(layer):
            found[id(layer)] = layer
        else:
            found |= {id(leaf): leaf for leaf in _leaves(layer)}
    return [leaf for leaf in found.values() if not isinstance(leaf, keras.layers.InputLayer)]


def _jax_gradients(forward: Any, values: Any) -> Any:
    import jax

    (total, outputs), gradients = jax.value_and_grad(forward, has_aux=True)(values)
    return total, outputs, gradients


def _tensorflow_gradients(forward: Any, values: Any) -> Any:
    import tensorflow as tf

    with tf.GradientTape() as tape:
        tape.watch(values)
        total, outputs = forward(values)
    return total, outputs, tape.gradient(total, values)


def _torch_gradients(forward: Any, values: Any) -> Any:
    import torch

    values = [value.detach().clone().requires_grad_() for value in values]
    total, outputs = forward(values)
    if not total.requires_grad:
        return total, outputs, [None] * len(values)
    return total, outputs, torch.autograd.grad(total, values, allow_unused=True)


_GRADIENTS = {
    "jax": _jax_gradients,
    "tensorflow": _tensorflow_gradients,
    "torch": _torch_gradients,
}


def _numpy(tensor: Any) -> Any:
    return np.asarray(keras.ops.convert_to_numpy(tensor))


def _function(layer: Any) -> str:
    """Return the name of a layer's activation function; empty if unknown."""
    kind = type(layer).__name__
    activation = getattr(layer, "activation", None)
    if (
        isinstance(layer, _OPAQUE) or getattr(layer, "alpha", 1.0) != 1.0
    ):  # the ELU test assumes alpha = 1
        return ""
    if activation is None or kind in _LAYERS:
        return _LAYERS.get(kind, "")
    return str(getattr(activation, "__name__", ""))
