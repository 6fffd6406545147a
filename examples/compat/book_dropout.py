"""The cells on Monte Carlo dropout of the chapter "Training Deep Neural Networks", in Keras 3.

Data: scikit-learn's digits.
"""

import keras
import numpy as np
from sklearn.datasets import load_digits

from lehr.compat.book import (
    MCAlphaDropout,
    mc_dropout_predict_classes,
    mc_dropout_predict_probas,
)

keras.utils.set_random_seed(42)
X, y = load_digits(return_X_y=True)
X = (X - X[300:].mean(axis=0)) / (X[300:].std(axis=0) + 1e-3)
X_test_scaled, y_test, X_train_scaled, y_train = X[:300], y[:300], X[300:], y[300:]

model = keras.models.Sequential(
    [
        keras.layers.Input((64,)),
        keras.layers.AlphaDropout(rate=0.1),
        keras.layers.Dense(60, activation="selu", kernel_initializer="lecun_normal"),
        keras.layers.AlphaDropout(rate=0.1),
        keras.layers.Dense(10, activation="softmax"),
    ]
)
optimizer = keras.optimizers.SGD(learning_rate=0.01, momentum=0.9, nesterov=True)
model.compile(loss="sparse_categorical_crossentropy", optimizer=optimizer, metrics=["accuracy"])
model.fit(X_train_scaled, y_train, epochs=8, verbose=0)
_, accuracy = model.evaluate(X_test_scaled, y_test, verbose=0)
print(f"without Monte Carlo dropout: accuracy {accuracy:.3f}")

mc_model = keras.models.Sequential(
    [
        MCAlphaDropout(layer.rate) if isinstance(layer, keras.layers.AlphaDropout) else layer
        for layer in model.layers
    ]
)
probabilities = mc_dropout_predict_probas(mc_model, X_test_scaled, n_samples=100)
print(f"probabilities of the first image: {np.round(probabilities[0], 2)}")
classes = mc_dropout_predict_classes(mc_model, X_test_scaled, n_samples=100)
print(f"with Monte Carlo dropout: accuracy {np.mean(classes == y_test):.3f}")
