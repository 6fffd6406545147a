"""Layer diagnosis of a PyTorch model on one batch."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lehr.diagnosis import Diagnosis, diagnosis, pair, record
from lehr.schedule.errors import fail
from lehr.torch.learner import checked_loss, device_of, mode

_FUNCTIONS = {
    "Sigmoid": "sigmoid",
    "Tanh": "tanh",
    "ReLU": "relu",
    "ReLU6": "relu6",
    "ELU": "elu",
    "SELU": "selu",
    "LeakyReLU": "leaky_relu",
    "PReLU": "prelu",
    "Linear": "linear",
}


def diagnose(
    model: torch.nn.Module,
    batch: Any,
    *,
    loss: Callable[[Any, Any], Tensor] | None = None,
    training: bool = True,
) -> Diagnosis:
    """Measure the activations, saturation and gradients of each layer on one batch.

    It runs one forward pass and, with targets, one backward pass. Buffers, gradients, modes and
    random generators are restored bit for bit; no update is made.

    Args:
        model: any module. Its innermost submodules are the layers.
        batch: ``(x, y)``, or ``x`` without gradients. Arrays and tensors are moved to the device
            of the model; a dict ``x`` is unpacked into the model's arguments.
        loss: ``loss(output, y)``, which returns a scalar; required with targets.
        training: True for training mode, False for evaluation mode.

    Raises:
        TypeError: if ``model`` is not a PyTorch module.
        ValueError: if ``batch`` is a tuple or list but not a pair, ``loss`` is missing or not a
            scalar, or no layer is called.

    >>> import lehr, torch
    >>> model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Sigmoid())
    >>> x, loss = torch.zeros(4, 2), torch.nn.functional.mse_loss
    >>> found = lehr.torch.diagnose(model, (x, torch.zeros(4, 3)), loss=loss)
    >>> [layer.kind for layer in found.layers], found.layers[1].saturated
    (['Linear', 'Sigmoid'], 0.0)
    """
    if not isinstance(model, torch.nn.Module):
        fail("model", "a PyTorch module", model, error=TypeError)
    x, y = pair(batch)
    if y is not None and loss is None:
        fail("loss", "given with targets", loss, "pass loss=, for example cross_entropy")
    outputs_of: dict[torch.nn.Module, list[Tensor]] = {}

    def watch(module: torch.nn.Module, _: Any, output: Any) -> None:
        if isinstance(output, tuple) and output:  # a recurrent layer returns (outputs, state)
            output = output[0]
        if isinstance(output, Tensor):
            outputs_of.setdefault(module, []).append(output.detach().clone())

    x, y = (_tensor(part, device_of(model)) for part in (x, y))
    names = {module: name or type(module).__name__ for name, module in _leaves("", model)}
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    parameters = [p for p in model.parameters() if p.requires_grad]
    with ExitStack() as stack:
        stack.enter_context(mode(model, training))
        stack.enter_context(torch.random.fork_rng(range(torch.cuda.device_count())))
        stack.callback(random.setstate, random.getstate())
        stack.callback(np.random.set_state, np.random.get_state())
        for module in names:
            stack.callback(module.register_forward_hook(watch).remove)
        stack.callback(_restore_buffers, buffers)
        with torch.enable_grad():
            output = model(**x) if isinstance(x, Mapping) else model(x)
            value = None if y is None or loss is None else loss(output, y)
        found: Any = [None] * len(parameters)
        if value is not None and checked_loss(value).requires_grad:
            found = torch.autograd.grad(value, parameters, allow_unused=True)
    known = zip(parameters, found, strict=True)
    gradients = {id(p): _numpy(g) for p, g in known if g is not None}
    layers = []
    for module, outputs in outputs_of.items():
        own = [gradients[id(p)] for p in module.parameters() if id(p) in gradients]
        kind = type(module).__name__
        function = _FUNCTIONS.get(kind, "")
        if getattr(module, "alpha", 1.0) != 1.0:  # the ELU test assumes alpha = 1
            function = ""
        layers.append(record(names[module], kind, function, list(map(_numpy, outputs)), own))
    return diagnosis(model, layers, None if value is None else value.item())


def _leaves(name: str, module: torch.nn.Module) -> Iterator[tuple[str, torch.nn.Module]]:
    """Yield modules without submodules; attention counts, as it does not call its submodules."""
    children = list(module.named_children())
    if not children or isinstance(module, torch.nn.MultiheadAttention):
        yield name, module
        return
    for child, inner in children:
        yield from _leaves(f"{name}.{child}" if name else child, inner)


def _tensor(part: Any, device: torch.device) -> Any:
    if part is None:
        return None
    if isinstance(part, Mapping):
        return {key: _tensor(value, device) for key, value in part.items()}
    return (part if isinstance(part, Tensor) else torch.as_tensor(part)).to(device)


def _numpy(tensor: Tensor) -> Any:
    return tensor.detach().double().cpu().numpy()


def _restore_buffers(buffers: list[tuple[Tensor, Tensor]]) -> None:
    with torch.no_grad():
        for buffer, before in buffers:
            buffer.copy_(before)
