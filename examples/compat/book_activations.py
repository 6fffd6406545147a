"""The activation functions of the chapter "Training Deep Neural Networks": plain formulas.

Writes activations.png, and prints the mean and the standard deviation of the outputs of 1,000
layers with SELU.
"""

import math

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import numpy as np

# SELU: these constants give outputs with mean 0 and variance 1 (Klambauer et al., arXiv 1706.02515)
TAIL, TAIL2 = math.erfc(1 / math.sqrt(2)), math.erfc(math.sqrt(2))
ALPHA = -math.sqrt(2 / math.pi) / (TAIL * math.exp(0.5) - 1)
SCALE = (
    (1 - TAIL * math.sqrt(math.e))
    * math.sqrt(2 * math.pi)
    / math.sqrt(
        2 * TAIL2 * math.e**2
        + math.pi * TAIL**2 * math.e
        - 2 * (2 + math.pi) * TAIL * math.sqrt(math.e)
        + math.pi
        + 2
    )
)


def logit(z):
    return 1 / (1 + np.exp(-z))


def leaky_relu(z, alpha=0.01):
    return np.maximum(alpha * z, z)


def elu(z, alpha=1):
    return np.where(z < 0, alpha * np.expm1(np.minimum(z, 0)), z)


def selu(z, scale=SCALE, alpha=ALPHA):
    return scale * elu(z, alpha)


figure, axes = plt.subplots(2, 2, figsize=(10, 8))
z = np.linspace(-5, 5, 200)
functions = {"logit": logit, "leaky_relu": leaky_relu, "elu": elu, "selu": selu}
for axis, (name, function) in zip(axes.flat, functions.items(), strict=True):
    axis.plot(z, function(z))
    axis.set_title(name)
    axis.grid(True)
figure.savefig("activations.png")

print(f"selu: scale {SCALE:.6f} alpha {ALPHA:.6f}")
np.random.seed(42)
outputs = np.random.normal(size=(500, 100))
for layer in range(1000):
    weights = np.random.normal(size=(100, 100), scale=math.sqrt(1 / 100))
    outputs = selu(outputs @ weights)
    if layer % 100 == 0:
        mean, std = outputs.mean(axis=0).mean(), outputs.std(axis=0).mean()
        print(f"layer {layer}: mean {mean:.2f} std {std:.2f}")
