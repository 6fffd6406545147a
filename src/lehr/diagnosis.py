"""Layer diagnosis: activation statistics and gradient norms of a network on one batch.

`lehr.torch.diagnose` and `lehr.keras.diagnose` create it. They run one forward and backward pass
in training mode (batch norm uses batch statistics, dropout is active). Then they restore the
weights, statistics, gradients, modes and all random generators bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lehr.schedule.errors import fail

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_FLAT = 0.01  # a saturated activation has a slope below this fraction of its maximum
_ALPHA, _SCALE = 1.6732632423543772, 1.0507009873554805  # constants of SELU

# for each activation: whether it is saturated, computed from its output
_SATURATED: dict[str, Callable[[Any], Any]] = {
    "sigmoid": lambda y: y * (1 - y) < _FLAT / 4,
    "tanh": lambda y: 1 - y * y < _FLAT,
    "relu": lambda y: y <= 0,
    "relu6": lambda y: (y <= 0) | (y >= 6),
    "elu": lambda y: y + 1 < _FLAT,
    "selu": lambda y: y + _SCALE * _ALPHA < _FLAT * _SCALE * _ALPHA,
    "leaky_relu": lambda y: y != y,  # never saturated
    "linear": lambda y: y != y,
    "prelu": lambda y: y != y,
}


@dataclass(frozen=True)
class Layer:
    """Statistics of one layer on one batch.

    Attributes:
        name: path of the layer in the model.
        kind: class name of the layer.
        mean: mean of the activations over rows and units.
        std: standard deviation of the activations over rows and units.
        saturated: fraction of the activations, from 0 to 1, at which the slope of the activation
            function is below 1% of its maximum (for a ReLU, the zeros); None for unknown functions.
        gradient: Euclidean norm of the gradient of the loss with respect to the layer's weights;
            None without a gradient.
    """

    name: str
    kind: str
    mean: float
    std: float
    saturated: float | None
    gradient: float | None


@dataclass(frozen=True)
class Diagnosis:
    """Layer statistics of a network on one batch.

    Attributes:
        layers: the layers in call order.
        loss: loss of the batch, or None without targets.

    >>> layer = Layer("0", "Linear", mean=0.25, std=1.5, saturated=0.125, gradient=None)
    >>> print(Diagnosis((layer,), loss=None))
    layer  kind    mean  std  saturated  gradient
    0      Linear  0.25  1.5      12.5%         -
    """

    layers: tuple[Layer, ...]
    loss: float | None

    def table(self) -> str:
        """Format the layers as a text table, one line per layer."""
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
        """Plot activations, saturated fraction and gradient norm by layer (matplotlib)."""
        from lehr.figures import draw_diagnosis

        return draw_diagnosis(self)

    def __str__(self) -> str:
        return self.table()


def record(name: str, kind: str, function: str, outputs: list[Any], gradients: list[Any]) -> Layer:
    """Compute the statistics of a layer from its outputs and gradients, NumPy arrays."""
    import numpy as np

    values = np.concatenate([np.asarray(y, "float64").ravel() for y in outputs])
    test = _SATURATED.get(function)
    saturated = None if test is None else float(np.mean(test(values)))
    squares = [float(np.sum(np.square(g, dtype="float64"))) for g in gradients]
    gradient = sum(squares) ** 0.5 if squares else None
    mean, std = float(values.mean()), float(values.std())
    return Layer(name, kind, mean, std, saturated, gradient)


def pair(batch: Any) -> tuple[Any, Any]:
    """Split a batch into inputs and targets; targets are None for a batch of inputs only."""
    if not isinstance(batch, tuple | list):
        return batch, None
    if len(batch) != 2:
        fail("batch", "a pair (x, y), or the inputs only", f"{len(batch)} parts")
    return batch[0], batch[1]


def diagnosis(model: Any, layers: Iterable[Layer], loss: float | None) -> Diagnosis:
    """Build a `Diagnosis`; raise ValueError if the model called no layer."""
    found = tuple(layers)
    if not found:
        fail("model", "one that calls at least one layer", model)
    return Diagnosis(found, loss)
