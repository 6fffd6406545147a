"""The tasks that evaluate suggestions: small and varied, in PyTorch, seconds per run.

Real images come from Keras's cache (Fashion-MNIST), from a CIFAR-10 file in Keras's layout
($LEHR_CIFAR10) and from scikit-learn. Scores are points: 100 x accuracy, or 100 x R2.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import lehr.torch
from lehr.tasks import data

Split = tuple[Tensor, Tensor]
cross_entropy = F.cross_entropy


@dataclass(frozen=True)
class Task:
    """A network, an optimizer and data; each seed builds a new network.

    Attributes:
        build: returns a new network; the torch seed is set before the call.
        optimizer: ``f(parameters, lr)``.
        default: the optimizer's usual learning rate.
        splits: returns (train, validation, test); rates are chosen only by the range test and
            scored on the test split.
        steps: updates in a run.
        batch: rows in an update.
        loss: of the network's output.
        score: points from (output, y).
    """

    build: Callable[[], nn.Module]
    optimizer: Callable[[Any, float], torch.optim.Optimizer]
    default: float
    splits: Callable[[], tuple[Split, Split, Split]]
    steps: int
    batch: int
    loss: Callable[[Tensor, Tensor], Tensor] = cross_entropy
    score: Callable[[Tensor, Tensor], float] = lambda output, y: float(
        (output.argmax(-1) == y).float().mean() * 100
    )

    def model(self, seed: int) -> nn.Module:
        torch.manual_seed(seed)
        return self.build()

    def learner(self, seed: int) -> lehr.torch.Learner:
        model = self.model(seed)
        train, validation, test = self.splits()
        return lehr.torch.Learner(
            model,
            self.optimizer(model.parameters(), self.default),
            self.loss,
            train,
            validation=validation,
            test=test,
            batch_size=self.batch,
            seed=seed,
        )

    def judge(self, model: nn.Module, split: Split) -> float:
        """Return the points of a model on a split, at least 0; 0 if an output is not finite."""
        model.eval()
        with torch.no_grad():
            output = torch.cat([model(x) for x in split[0].split(500)])
        model.train()
        return max(0.0, self.score(output, split[1])) if output.isfinite().all() else 0.0


def sgd(momentum: float = 0.9) -> Callable[[Any, float], torch.optim.Optimizer]:
    return lambda p, lr: torch.optim.SGD(p, lr=lr, momentum=momentum)


def adam(p: Any, lr: float) -> torch.optim.Optimizer:
    return torch.optim.Adam(p, lr=lr)


def adamw(p: Any, lr: float) -> torch.optim.Optimizer:
    return torch.optim.AdamW(p, lr=lr)


def mlp(*sizes: int, activation: type[nn.Module] = nn.ReLU) -> nn.Sequential:
    layers: list[nn.Module] = []
    for a, b in itertools.pairwise(sizes):
        layers += [nn.Linear(a, b), activation()]
        if activation is nn.SELU:
            nn.init.normal_(layers[-2].weight, std=a**-0.5)  # type: ignore[arg-type]
            nn.init.zeros_(layers[-2].bias)  # type: ignore[arg-type]
    return nn.Sequential(*layers[:-1])


def _rows(split: Split, n: int) -> Split:
    return split[0][:n], split[1][:n]


@cache
def fashion(train: int = 10_000) -> tuple[Split, Split, Split]:
    splits = data.fashion_mnist()
    pairs = {k: (torch.tensor(x), torch.tensor(y).long()) for k, (x, y) in splits.items()}
    return (
        _rows(pairs["train"], train),
        _rows(pairs["validation"], 2000),
        _rows(pairs["test"], 5000),
    )


def fashion_images() -> tuple[Split, Split, Split]:
    return tuple((x.reshape(-1, 1, 28, 28), y) for x, y in fashion())  # type: ignore[return-value]


@cache
def noisy() -> tuple[Split, Split, Split]:
    """Replace three in ten training labels by random ones; other splits are unchanged."""
    (x, y), validation, test = fashion()
    generator = torch.Generator().manual_seed(0)
    wrong = torch.rand(len(y), generator=generator) < 0.3
    drawn = torch.randint(10, (len(y),), generator=generator)
    return (x, torch.where(wrong, drawn, y)), validation, test


@cache
def digits() -> tuple[Split, Split, Split]:
    splits = data.digits()
    pairs = [splits[name] for name in ("train", "validation", "test")]
    return tuple((torch.tensor(x), torch.tensor(y).long()) for x, y in pairs)  # type: ignore[return-value]


@cache
def cifar() -> tuple[Split, Split, Split]:
    with np.load(os.environ["LEHR_CIFAR10"]) as file:
        x, y = file["x_train"][:12_000], file["y_train"][:12_000, 0]
        tx, ty = file["x_test"][:5000], file["y_test"][:5000, 0]

    def split(x: Any, y: Any) -> Split:
        images = torch.tensor(x).permute(0, 3, 1, 2).float() / 255
        return (images - 0.47) / 0.25, torch.tensor(y).long()

    return split(x[:10_000], y[:10_000]), split(x[10_000:], y[10_000:]), split(tx, ty)


@cache
def flat_cifar() -> tuple[Split, Split, Split]:
    return tuple((x.flatten(1), y) for x, y in cifar())  # type: ignore[return-value]


@cache
def text() -> tuple[Split, Split, Split]:
    """Return synthetic texts, 24 words of 40; the label is the repeated one of eight words."""
    generator = np.random.Generator(np.random.PCG64(0))
    rows = 12_000
    x = np.stack([generator.permutation(32)[:24] + 8 for _ in range(rows)])
    y = generator.integers(8, size=rows)
    for row, word in zip(x, y, strict=True):
        row[generator.permutation(24)[:2]] = word
    pair = torch.tensor(x).long(), torch.tensor(y).long()
    return (
        (pair[0][:9000], pair[1][:9000]),
        (pair[0][9000:10_000], pair[1][9000:10_000]),
        (pair[0][10_000:], pair[1][10_000:]),
    )


@cache
def friedman() -> tuple[Split, Split, Split]:
    """Return Friedman's first regression problem: ten inputs, noise 1."""
    from sklearn.datasets import make_friedman1

    x, y = make_friedman1(6000, noise=1.0, random_state=0)
    y = (y - y.mean()) / y.std()
    x, y = torch.tensor(x).float(), torch.tensor(y).float()[:, None]
    return (x[:4000], y[:4000]), (x[4000:5000], y[4000:5000]), (x[5000:], y[5000:])


def r_squared(output: Tensor, y: Tensor) -> float:
    return float(100 * (1 - F.mse_loss(output, y) / y.var(unbiased=False)))


def cnn() -> nn.Module:
    def block(a: int, b: int) -> list[nn.Module]:
        return [nn.Conv2d(a, b, 3, 2, 1, bias=False), nn.BatchNorm2d(b), nn.ReLU()]

    return nn.Sequential(
        *block(1, 8), *block(8, 16), *block(16, 32), nn.Flatten(), nn.Linear(512, 10)
    )


class Residual(nn.Module):
    """``x + f(x)``, two convolutions with batch norm."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.f = nn.Sequential(
            nn.Conv2d(width, width, 3, 1, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, 1, 1, bias=False),
            nn.BatchNorm2d(width),
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.f(x))


def resnet() -> nn.Module:
    stem = [nn.Conv2d(3, 16, 3, 4, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    head = [nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(64, 10)]
    return nn.Sequential(*stem, Residual(16), Residual(16), *head)


class Transformer(nn.Module):
    """Two layers, two heads, learned positions, mean over the words."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(40, 32)
        self.places = nn.Parameter(torch.randn(24, 32) * 0.02)
        layer = nn.TransformerEncoderLayer(32, 2, 64, dropout=0.0, batch_first=True)
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(32, 8)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layers(self.words(x) + self.places).mean(1))


@cache
def pretrained(seed: int) -> dict[str, Tensor]:
    """Train a network on the first five classes of Fashion-MNIST; return its state dict."""
    (x, y), _, _ = fashion()
    x, y = x[y < 5], y[y < 5]
    torch.manual_seed(seed)
    model = mlp(784, 300, 100, 10)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for i in range(400):
        rows = slice(64 * i % 4800, 64 * i % 4800 + 64)
        optimizer.zero_grad()
        cross_entropy(model(x[rows]), y[rows]).backward()
        optimizer.step()
    return model.state_dict()


def finetuned() -> nn.Module:
    """Return a pretrained network with a new last layer, for training on all ten classes."""
    seed = torch.initial_seed()
    state = pretrained(seed)
    torch.manual_seed(seed)
    model = mlp(784, 300, 100, 10)
    new = model[-1].state_dict()
    model.load_state_dict(state)
    model[-1].load_state_dict(new)
    return model


def fashion_mlp() -> nn.Module:
    return mlp(784, 300, 100, 10)


TASKS = {
    "fashion-mlp-sgd": Task(fashion_mlp, sgd(0.0), 0.01, fashion, 400, 64),
    "fashion-mlp-momentum": Task(fashion_mlp, sgd(), 0.01, fashion, 400, 64),
    "fashion-mlp-adam": Task(fashion_mlp, adam, 1e-3, fashion, 400, 64),
    "fashion-mlp-large-batch": Task(fashion_mlp, sgd(), 0.01, fashion, 200, 512),
    "fashion-cnn-batchnorm": Task(cnn, sgd(), 0.01, fashion_images, 300, 64),
    "cifar-selu-deep": Task(
        lambda: mlp(3072, *[100] * 12, 10, activation=nn.SELU), sgd(), 0.01, flat_cifar, 400, 64
    ),
    "cifar-resnet-adamw": Task(resnet, adamw, 1e-3, cifar, 300, 64),
    "digits-mlp-momentum": Task(lambda: mlp(64, 30, 20, 10), sgd(), 0.01, digits, 400, 32),
    "digits-selu-short": Task(
        lambda: mlp(64, 30, 20, 10, activation=nn.SELU), sgd(), 0.01, digits, 185, 32
    ),
    "digits-tanh-adam": Task(
        lambda: mlp(64, 50, 50, 50, 10, activation=nn.Tanh), adam, 1e-3, digits, 400, 32
    ),
    "noisy-batch-of-4": Task(fashion_mlp, sgd(), 0.01, noisy, 1600, 4),
    "text-transformer-adamw": Task(Transformer, adamw, 1e-3, text, 500, 32),
    "friedman-regression-adam": Task(
        lambda: mlp(10, 64, 64, 1), adam, 1e-3, friedman, 400, 64, F.mse_loss, r_squared
    ),
    "fine-tuning-momentum": Task(finetuned, sgd(), 0.01, fashion, 200, 64),
}
