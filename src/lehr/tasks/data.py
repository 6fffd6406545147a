"""Data sets of the built-in tasks, with pixels standardized over the training rows."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

Split = tuple[Any, Any]

_FASHION_FILES = (
    "train-labels-idx1-ubyte.gz",
    "train-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
)


def fashion_mnist() -> dict[str, Split]:
    """Load Fashion-MNIST: 55,000 training, 5,000 validation and 10,000 test images.

    The first 5,000 images of the published training set are the validation set.

    Returns:
        The splits "train", "validation" and "test". Each is ``(x, y)``: float32 images of shape
        ``(rows, 784)``, standardized over the training rows, and int32 labels of shape ``(rows,)``.
    """
    import keras

    (x, y), test = keras.datasets.fashion_mnist.load_data()
    return _standardized(
        {"train": (x[5000:], y[5000:]), "validation": (x[:5000], y[:5000]), "test": test}
    )


def ensure_fashion_mnist(report: Callable[[str], None]) -> str:
    """Download Fashion-MNIST if it is not in Keras's cache.

    Args:
        report: called with a message before the download.

    Returns:
        An empty string on success, otherwise the error message of the download.
    """
    folder = keras_home() / "datasets" / "fashion-mnist"
    if all((folder / name).exists() for name in _FASHION_FILES):
        return ""
    report(f"Fashion-MNIST is not in Keras's cache, {keras_home()}: downloading it (30 MB)")
    # in a subprocess, so that this process does not import Keras
    code = "import keras; keras.datasets.fashion_mnist.load_data()"
    environment = {"KERAS_BACKEND": "jax"} | os.environ
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False
    )
    if done.returncode == 0:
        return ""
    return (done.stderr.strip().splitlines() or ["the download failed"])[-1]


def keras_home() -> Path:
    """Return Keras's data folder: the environment variable ``KERAS_HOME``, or ``~/.keras``."""
    return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")


def digits() -> dict[str, Split]:
    """Load scikit-learn's digits: 1,197 training, 300 validation and 300 test images.

    The images are shuffled with a fixed seed before the split.

    Returns:
        The splits "train", "validation" and "test". Each is ``(x, y)``: float32 images of shape
        ``(rows, 64)``, standardized over the training rows, and int32 labels of shape ``(rows,)``.

    >>> {name: x.shape for name, (x, y) in digits().items()}
    {'train': (1197, 64), 'validation': (300, 64), 'test': (300, 64)}
    """
    import numpy as np
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    order = np.random.Generator(np.random.PCG64(0)).permutation(len(x))
    test, validation, train = order[:300], order[300:600], order[600:]
    rows = {"train": train, "validation": validation, "test": test}
    return _standardized({name: (x[chosen], y[chosen]) for name, chosen in rows.items()})


def _standardized(splits: dict[str, Split]) -> dict[str, Split]:
    """Flatten the images and scale each pixel to mean 0 and std 1 over the training rows."""
    import numpy as np

    flat = {name: x.reshape(len(x), -1).astype("float32") for name, (x, _) in splits.items()}
    train = flat["train"]
    mean = train.mean(axis=0)
    train -= mean
    std = np.sqrt(np.einsum("ij,ij->j", train, train) / len(train))
    std[std == 0] = 1  # a constant pixel becomes 0
    train /= std
    for name in flat.keys() - {"train"}:
        flat[name] = (flat[name] - mean) / std
    return {name: (x, splits[name][1].astype("int32")) for name, x in flat.items()}
