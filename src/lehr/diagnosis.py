"""What one batch does in a network: a record of each layer.

`lehr.torch.diagnose` and `lehr.keras.diagnose` create it: they run the model forward and backward
once as in training (batch norm uses the batch, dropout is active), then restore everything bit for
bit: weights, statistics, gradients, modes and all random generators.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lehr.schedule.errors import fail

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_FLAT = 0.01  # a saturated activation's slope is below this share of its largest
_ALPHA, _SCALE = 1.6732632423543772, 1.0507009873554805  # of SELU

# where an activation's output tells that its slope there is small
_SATURATED: dict[str, Callable[[Any], Any]] = {
    "sigmoid": lambda y: y * (1 - y) < _FLAT / 4,
    "tanh": lambda y: 1 - y * y < _FLAT,
    "relu": lambda y: y <= 0,
    "relu6": lambda y: (y <= 0) | (y >= 6),
    "elu": lambda y: y + 1 < _FLAT,
    "selu": lambda y: y + _SCALE * _ALPHA < _FLAT * _SCALE * _ALPHA,
    "leaky_relu": lambda y: y != y,  # never
    "linear": lambda y: y != y,
    "prelu": lambda y: y != y,
}


@dataclass(frozen=True)
class Layer:
    """One layer in one batch.

    Attributes:
        name: its path in the model.
        kind: its class.
        mean: of its activations over rows and units.
        std: their standard deviation.
        saturated: share of them where the activation's slope is below a hundredth of its largest
            (a ReLU's zeros); None for unknown functions.
        gradient: Euclidean norm of the loss's gradient by the layer's own weights, or None.
    """

    name: str
    kind: str
    mean: float
    std: float
    saturated: float | None
    gradient: float | None


@dataclass(frozen=True)
class Diagnosis:
    """A record of one batch: the layers in the order in which they are called, and the loss."""

    layers: tuple[Layer, ...]
    loss: float | None

    def table(self) -> str:
        """Return the layers as lines of text."""
        rows = [("layer", "kind", "mean", "std", "saturated", "gradient")]
        for layer in self.layers:
            share = "-" if layer.saturated is None else f"{layer.saturated:.1%}"
            gradient = "-" if layer.gradient is None else f"{layer.gradient:.3g}"
            numbers = (f"{layer.mean:.3g}", f"{layer.std:.3g}", share, gradient)
            rows.append((layer.name, layer.kind, *numbers))
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        sides = ("<", "<", ">", ">", ">", ">")
        return "\n".join(
            "  ".join(
                f"{text:{side}{width}}"
                for text, side, width in zip(row, sides, widths, strict=True)
            ).rstrip()
            for row in rows
        )

    def plot(self) -> Figure:
        """Return a figure: activations, saturated share and gradient norm by layer."""
        from lehr.figures import draw_diagnosis

        return draw_diagnosis(self)

    def __str__(self) -> str:
        return self.table()


def record(name: str, kind: str, function: str, outputs: list[Any], gradients: list[Any]) -> Layer:
    """Return a layer's record from NumPy arrays: what it gave at each call, its gradients."""
    import numpy as np

    values = np.concatenate([np.asarray(y, "float64").ravel() for y in outputs])
    test = _SATURATED.get(function)
    saturated = None if test is None else float(np.mean(test(values)))
    squares = [float(np.sum(np.square(g, dtype="float64"))) for g in gradients]
    gradient = sum(squares) ** 0.5 if squares else None
    mean, std = float(values.mean()), float(values.std())
    return Layer(name, kind, mean, std, saturated, gradient)


def pair(batch: Any) -> tuple[Any, Any]:
    """Return inputs and targets, which may be None."""
    if not isinstance(batch, tuple | list):
        return batch, None
    if len(batch) != 2:
        fail("batch", "a pair (x, y), or the inputs alone", f"{len(batch)} parts")
    return batch[0], batch[1]


def diagnosis(model: Any, layers: Iterable[Layer], loss: float | None) -> Diagnosis:
    """Return the record of a batch, or raise if the model called no layer."""
    found = tuple(layers)
    if not found:
        fail("model", "one that calls at least one layer", model)
    return Diagnosis(found, loss)
