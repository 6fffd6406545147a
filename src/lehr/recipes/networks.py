"""Networks of the published experiments, built from plain options and one seed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

Named = str | Mapping[str, Any]  # a name, or {"class_name": ..., "config": {...}}


def dense(
    shape: Sequence[int],
    hidden: Sequence[int],
    *,
    seed: int,
    classes: int = 10,
    activation: str = "selu",
    initializer: Named = "lecun_normal",
    output_initializer: Named = "glorot_uniform",
    normalize: str = "",
    bias: bool = True,
    dropout: float = 0.0,
    drop: str = "Dropout",
    drop_all: bool = True,
    regularizer: Mapping[str, float] | None = None,
    output_regularizer: bool = False,
    max_norm: float | None = None,
) -> keras.Model:
    """Return a network of dense layers that outputs logits.

    Args:
        shape: of one image.
        hidden: units of the hidden layers.
        seed: of the weights and the dropout.
        classes: number of outputs.
        activation: of the hidden layers.
        initializer: of the hidden kernels.
        output_initializer: of the last kernel.
        normalize: batch norm of the inputs and "after" or "before" each activation; "": none.
        bias: whether the hidden layers have one.
        dropout: rate of the dropout layers; 0: none.
        drop: name of their Keras class.
        drop_all: whether they precede every dense layer or only the last.
        regularizer: of the hidden kernels: ``{"l2": 0.01}``.
        output_regularizer: whether it also applies to the last kernel.
        max_norm: largest norm of the weights into a hidden unit; None: not limited.
    """
    import keras

    seeds = _seeds(seed)
    layers = keras.layers
    model = keras.Sequential([layers.Input(tuple(shape)), layers.Flatten()])
    penalty = keras.regularizers.L1L2(**regularizer) if regularizer else None
    dropping = getattr(layers, drop)
    if normalize:
        model.add(layers.BatchNormalization())
    for units in hidden:
        if dropout and drop_all:
            model.add(dropping(dropout, seed=next(seeds)))
        kernel = {
            "kernel_initializer": _initializer(initializer, next(seeds)),
            "kernel_regularizer": penalty,
            "kernel_constraint": keras.constraints.MaxNorm(max_norm) if max_norm else None,
        }
        block = [layers.Dense(units, use_bias=bias, **kernel), activation_layer(activation)]
        if normalize:
            block.insert(1 if normalize == "before" else 2, layers.BatchNormalization())
        for layer in block:
            model.add(layer)
    if dropout:
        model.add(dropping(dropout, seed=next(seeds)))
    start = _initializer(output_initializer, next(seeds))
    last = penalty if output_regularizer else None
    model.add(layers.Dense(classes, kernel_initializer=start, kernel_regularizer=last))
    return model


def convolutional(shape: Sequence[int], *, seed: int) -> keras.Model:
    """Return the network of the TensorFlow Addons tutorial; it outputs logits, 18,762 weights.

    Args:
        shape: height and width of an image, in pixels.
        seed: of the weights and the dropout.
    """
    import keras

    seeds = _seeds(seed)

    def start() -> Any:
        return keras.initializers.GlorotUniform(next(seeds))

    layers = keras.layers
    return keras.Sequential(
        [
            layers.Input((*shape, 1)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(16, (5, 5), activation="relu", kernel_initializer=start()),
            layers.MaxPooling2D((2, 2)),
            layers.Conv2D(32, (5, 5), activation="relu", kernel_initializer=start()),
            layers.MaxPooling2D((2, 2)),
            layers.SpatialDropout2D(0.2, seed=next(seeds)),
            layers.GlobalAveragePooling2D(),
            layers.Dense(128, activation="relu", kernel_initializer=start()),
            layers.Dense(10, kernel_initializer=start()),
        ]
    )


def compiled(model: keras.Model, optimizer: Named = "SGD") -> keras.Model:
    """Compile a model that outputs logits for integer labels; return it.

    The loss is computed from logits: computed from softmax probabilities, it loses the gradient
    of saturated rows on JAX and PyTorch.

    Args:
        model: with one output for labels 0 and 1, otherwise one output per class.
        optimizer: name or configuration of a Keras optimizer.
    """
    import keras

    if model.output_shape[-1] == 1:
        loss = keras.losses.BinaryCrossentropy(from_logits=True)
        metric = keras.metrics.BinaryAccuracy("accuracy", threshold=0.0)
    else:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        metric = keras.metrics.SparseCategoricalAccuracy("accuracy")
    model.compile(keras.optimizers.get(optimizer), loss=loss, metrics=[metric])
    return model


def activation_layer(name: str) -> keras.Layer:
    """Return the layer of an activation function; "leaky_relu" has slope 0.3, as in Keras 2."""
    import keras

    if name == "leaky_relu":
        return keras.layers.LeakyReLU(0.3)
    return keras.layers.PReLU() if name == "prelu" else keras.layers.Activation(name)


def _initializer(named: Named, seed: int) -> Any:
    import keras

    spec: dict[str, Any] = {"class_name": named} if isinstance(named, str) else dict(named)
    return keras.initializers.get({**spec, "config": {**spec.get("config", {}), "seed": seed}})


def _seeds(seed: int) -> Iterator[int]:
    """Yield seeds; `keras.utils.set_random_seed` would import TensorFlow if installed."""
    import numpy as np

    parent = np.random.SeedSequence(seed)
    while True:
        yield int(parent.spawn(1)[0].generate_state(1)[0] >> 1)
