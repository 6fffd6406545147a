"""Real data for the built-in tasks: pixels standardised by the training rows."""

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
    """Return Fashion-MNIST: the first 5,000 training images are the validation set."""
    import keras

    (x, y), test = keras.datasets.fashion_mnist.load_data()
    return _standardised(
        {"train": (x[5000:], y[5000:]), "validation": (x[:5000], y[:5000]), "test": test}
    )


def ensure_fashion_mnist(report: Callable[[str], None]) -> str:
    """Download Fashion-MNIST unless Keras has it; return why that failed, or ""."""
    folder = keras_home() / "datasets" / "fashion-mnist"
    if all((folder / name).exists() for name in _FASHION_FILES):
        return ""
    report(f"Fashion-MNIST is not in Keras's cache, {keras_home()}: downloading it (30 MB)")
    # in another process: this one need not import Keras
    code = "import keras; keras.datasets.fashion_mnist.load_data()"
    environment = {"KERAS_BACKEND": "jax"} | os.environ
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False
    )
    if done.returncode == 0:
        return ""
    return (done.stderr.strip().splitlines() or ["the download failed"])[-1]


def keras_home() -> Path:
    """Return the folder where Keras keeps its data."""
    return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")


def digits() -> dict[str, Split]:
    """Return scikit-learn's digits, shuffled once: 1,197 to train, 300 to validate, 300 to test."""
    import numpy as np
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    order = np.random.Generator(np.random.PCG64(0)).permutation(len(x))
    test, validation, train = order[:300], order[300:600], order[600:]
    rows = {"train": train, "validation": validation, "test": test}
    return _standardised({name: (x[chosen], y[chosen]) for name, chosen in rows.items()})


def _standardised(splits: dict[str, Split]) -> dict[str, Split]:
    """Flatten the images and bring each pixel to mean 0 and std 1 over the training rows."""
    import numpy as np

    flat = {name: x.reshape(len(x), -1).astype("float32") for name, (x, _) in splits.items()}
    train = flat["train"]
    mean = train.mean(axis=0)
    train -= mean
    std = np.sqrt(np.einsum("ij,ij->j", train, train) / len(train))
    std[std == 0] = 1  # a pixel that is always the same stays 0
    train /= std
    for name in flat.keys() - {"train"}:
        flat[name] = (flat[name] - mean) / std
    return {name: (x, splits[name][1].astype("int32")) for name, x in flat.items()}
