"""G6: Monte Carlo dropout on tensors that are on the GPU, whatever the backend."""

import pytest
import torch
from programs import run_python

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch finds no GPU"),
]

PREDICT = """
import keras, numpy as np, torch, lehr.keras
keras.utils.set_random_seed(0)
layers = [keras.layers.Input((4,)), keras.layers.Dropout(0.5), keras.layers.Dense(3)]
monte_carlo = lehr.keras.MonteCarlo(keras.Sequential(layers))
x = np.linspace(0, 1, 24, dtype="float32").reshape(6, 4)
one, two = (monte_carlo.predict(each, samples=5) for each in (x, torch.tensor(x, device="cuda")))
assert (one.mean == two.mean).all() and (one.std == two.std).all() and one.std.max() > 0
"""


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_g6_monte_carlo_accepts_a_cuda_tensor(backend):
    run_python("-c", PREDICT, KERAS_BACKEND=backend)
