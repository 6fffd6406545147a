"""PyTorch models and optimizers with state outside of their state dicts."""

import collections
import random
from collections import deque

import numpy as np
import torch
from torch import nn


class Inner(torch.optim.Optimizer):
    """An optimizer whose state is in another one, with keys that its step adds."""

    def __init__(self, params):
        self.inner = torch.optim.SGD(params, lr=0.1, momentum=0.9)
        super().__init__(self.inner.param_groups, {})
        self.param_groups = self.inner.param_groups

    def step(self, closure=None):
        for group in self.param_groups:
            group["step"] = group.get("step", 0) + 1
            for parameter in group["params"]:
                parameter.grad.div_(group["step"])
        self.state["k"] = {"n": self.state["k"]["n"] + 1 if "k" in self.state else 1}
        self.inner.step()


class Swapping(torch.optim.SGD):
    """Replaces the storage of the parameters and deletes its buffers in each step."""

    def step(self, closure=None):
        super().step(closure)
        for parameter in self.param_groups[0]["params"]:
            parameter.data = parameter.data.clone()
            self.state[parameter] = {
                "momentum_buffer": self.state[parameter]["momentum_buffer"] / 2
            }


class Counting(nn.Module):
    """A model with a buffer that is not saved, a list, a generator and a counter."""

    def __init__(self):
        super().__init__()
        self.linear, self.norm = nn.Linear(4, 1), nn.BatchNorm1d(4)
        self.register_buffer("calls", torch.zeros(()), persistent=False)
        self.count, self.seen, self.last = 0, [], deque(maxlen=2)
        self.generator = torch.Generator().manual_seed(1)
        self.noise = np.random.default_rng(1)
        self.python = random.Random(1)

    def forward(self, x):
        self.calls += 1
        self.count += 1
        self.seen.append(self.count)
        self.last.append(self.count)
        noise = torch.randn(4, generator=self.generator) * self.noise.random()
        return self.linear(self.norm(x + noise * self.python.random())) + self.calls / 100


class Lookahead(torch.optim.Optimizer):
    """Averages with slow weights; its state is in an inner optimizer and in attributes."""

    def __init__(self, params):
        self.inner = torch.optim.Adam(params, lr=0.1)
        self.param_groups, self.defaults = self.inner.param_groups, {}
        self.calls, self.slow = 0, {}
        self._optimizer_step_pre_hooks = collections.OrderedDict()

    @property
    def state(self):
        return self.inner.state

    def step(self, closure=None):
        self.inner.step()
        self.calls += 1
        with torch.no_grad():
            for parameter in self.param_groups[0]["params"]:
                slow = self.slow.setdefault(id(parameter), parameter.clone())  # keyed by id
                if self.calls % 2 == 0:
                    parameter.copy_(slow.lerp_(parameter, 0.5))


class History(torch.optim.SGD):
    """Keeps values of many types, which its updates create."""

    def step(self, closure=None):
        for group in self.param_groups:
            group.setdefault("past", deque(maxlen=2)).append(group["params"][0].mean().item())
            group["range"] = min(group["past"]), np.float32(max(group["past"]))
            group["seen"] = group.get("seen", set()) | {
                f"{name}{len(group['past'])}" for name in "abcdef"
            }
            for parameter in group["params"]:
                state = self.state[parameter]
                state["previous"] = [parameter.grad.clone(), *state.get("previous", [])][:2]
                state["shape"], state["dtype"] = parameter.shape, parameter.dtype
                state["noise"] = np.full(2, np.float64(len(state["previous"])))
                parameter.grad += state["previous"][-1] * float(group["range"][1])
                parameter.grad *= state["noise"][0]
        super().step(closure)


class Replacing(torch.optim.SGD):
    """Replaces its momentum in every step, and shares a list between two attributes."""

    def __init__(self, params):
        super().__init__(params, lr=0.1)
        self.buffers = self.alias = [torch.zeros_like(p) for p in self.param_groups[0]["params"]]

    def step(self, closure=None):
        parameters = self.param_groups[0]["params"]
        pairs = zip(self.alias, parameters, strict=True)
        self.buffers = [0.9 * buffer + p.grad for buffer, p in pairs]
        self.alias = self.buffers
        for buffer, parameter in zip(self.buffers, parameters, strict=True):
            parameter.grad.copy_(buffer)
        super().step(closure)


class Unfreezing(torch.optim.SGD):
    """Freezes and unfreezes parameters during the training."""

    def __init__(self, params):
        super().__init__(params, lr=0.1)
        self.count = 0

    def step(self, closure=None):
        super().step(closure)
        self.count += 1
        self.param_groups[0]["params"][0].requires_grad_(self.count % 4 < 2)
