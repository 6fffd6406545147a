"""Smith's range test: the validation loss over a linearly increasing rate, in PyTorch.

The network is that of pytorch-lr-finder's MNIST notebook. Data: Fashion-MNIST from Keras's cache if
KERAS_HOME is set, otherwise scikit-learn's digits. Writes range_test.png.
"""

import os

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import lehr


def images() -> tuple[torch.Tensor, torch.Tensor]:
    """Return images of 28 by 28 pixels and their classes."""
    if os.environ.get("KERAS_HOME"):
        import keras

        (x, y), _ = keras.datasets.fashion_mnist.load_data()
        print("data: Fashion-MNIST")
        return torch.tensor(x[:8000]).float()[:, None] / 255, torch.tensor(y[:8000]).long()
    print("data: scikit-learn's digits")
    x, y = load_digits(return_X_y=True)
    small = torch.tensor(x).float().reshape(-1, 1, 8, 8) / 16
    return nn.functional.interpolate(small, (28, 28)), torch.tensor(y)


torch.manual_seed(0)
net = nn.Sequential(
    *(nn.Conv2d(1, 10, 5), nn.MaxPool2d(2), nn.ReLU()),
    *(nn.Conv2d(10, 20, 5), nn.Dropout2d(), nn.MaxPool2d(2), nn.ReLU(), nn.Flatten()),
    *(nn.Linear(320, 50), nn.ReLU(), nn.Dropout(), nn.Linear(50, 10)),
)
x, y = images()
train = DataLoader(TensorDataset(x[500:], y[500:]), batch_size=64, shuffle=True)
validation = DataLoader(TensorDataset(x[:500], y[:500]), batch_size=500)
optimizer = torch.optim.SGD(net.parameters(), lr=1e-4, momentum=0.95)

sweep = lehr.torch.range_test(
    net,
    optimizer,
    nn.functional.cross_entropy,
    train,
    validation_data=validation,
    low=1e-3,
    high=1.0,
    steps=150,
    spacing="linear",
)
print(f"{len(sweep.losses)} of {sweep.steps} rates tried; ended: {sweep.stopped}")
bounds = lehr.finder.RULES["smith"](sweep)
if bounds.lr is None:
    print(f"no bounds: {bounds.reason}")
else:
    print(f"cyclical rates from {bounds.low:.2g} to {bounds.high:.2g}: {bounds.reason}")
sweep.plot().savefig("range_test.png")
