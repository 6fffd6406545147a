"""A warning for `scheduler.step()` before the first `optimizer.step()`; case P18."""

import warnings

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam

import lehr
import lehr.torch

TEXT = (
    r"scheduler.step\(\) must be called after optimizer.step\(\), .*; call optimizer.step\(\) first"
)
FALL = lehr.linear(1.0, 0.0, 10)


def model():
    return nn.Linear(2, 1)


def backward(net):
    net(torch.ones(3, 2)).square().mean().backward()


def built(make=SGD, **options):
    net = model()
    optimizer = make(net.parameters(), lr=0.1)
    return net, optimizer, lehr.torch.Scheduler(optimizer, FALL, **options)


@pytest.mark.parametrize("gradients", [False, True])
@pytest.mark.parametrize("count", [1, 2])
def test_p18_a_step_before_the_first_update_warns_once(gradients, count):
    nets = [model() for _ in range(count)]
    optimizers = [Adam(net.parameters(), lr=0.1) for net in nets]
    scheduler = lehr.torch.Scheduler(optimizers, FALL)
    if gradients:
        backward(nets[0])
    with pytest.warns(UserWarning, match=TEXT) as found:
        scheduler.step()
    assert [w.filename for w in found] == [__file__]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scheduler.step()
    assert scheduler.last_epoch == 2


def test_p18_torch_warns_in_the_same_order():
    optimizer = SGD(model().parameters(), lr=0.1)
    with pytest.warns(UserWarning, match="before `optimizer.step"):
        torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _: 1.0).step()


class Data(SGD):
    """Changes ``parameter.data``, which does not change the version of the parameter."""

    def step(self, closure=None):
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.data.sub_(0.1)


class Outer(torch.optim.Optimizer):
    """A wrapper whose ``step`` calls no hooks, as those of pytorch_optimizer."""

    def __init__(self, params, lr):
        self.inner = Data(params, lr=lr)
        self.param_groups, self.defaults, self.state = self.inner.param_groups, {}, {}
        self._optimizer_step_pre_hooks = self.inner._optimizer_step_post_hooks.copy()

    def step(self, closure=None):
        self.inner.step()


class Two(SGD):
    """SAM: the loop calls two methods instead of ``step``."""

    def second_step(self):
        with torch.no_grad():
            for group in self.param_groups:
                for parameter in group["params"]:
                    parameter -= group["lr"] * parameter.grad


def in_order(net, optimizer, scheduler):
    optimizer.step()


def of_sam(net, optimizer, scheduler):
    optimizer.second_step()


def with_closure(net, optimizer, scheduler):
    def closure():
        loss = net(torch.ones(3, 2)).square().mean()
        loss.backward()
        return loss

    optimizer.step(closure)


def compiled(backend):
    def run(net, optimizer, scheduler):
        torch.compile(optimizer.step, backend=backend)()

    return run


def scaled(net, optimizer, scheduler, overflow=False):
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    optimizer.zero_grad()
    loss = net(torch.ones(3, 2)).mean() * (torch.inf if overflow else 1.0)
    scaler.scale(loss).backward()
    scaler.step(optimizer)
    scaler.update()


def skipped(net, optimizer, scheduler):
    before = net.weight.clone()
    scaled(net, optimizer, scheduler, overflow=True)
    assert torch.equal(net.weight, before)


def loaded(net, optimizer, scheduler):
    scheduler.load_state_dict(scheduler.state_dict())


@pytest.mark.parametrize(
    ("make", "update", "options"),
    [
        (SGD, in_order, {}),
        (Data, in_order, {}),
        (Outer, in_order, {}),
        (Two, of_sam, {}),
        (torch.optim.LBFGS, with_closure, {}),
        (Adam, with_closure, {}),
        (SGD, compiled("eager"), {}),
        (Adam, compiled("aot_eager"), {}),
        (SGD, scaled, {}),
        (SGD, skipped, {}),
        (SGD, loaded, {}),
        (SGD, lambda *_: None, {"start_step": 4}),
        (SGD, lambda *_: None, {"shared": True}),
        (SGD, lambda net, *_: net.reset_parameters(), {}),
    ],
    ids=[
        *("in order", "data", "wrapper", "sam", "lbfgs", "closure", "compiled", "aot", "scaled"),
        *("skipped", "loaded", "start_step", "shared", "weights loaded"),
    ],
)
def test_p18_no_false_warning(make, update, options):
    torch._dynamo.reset()
    net, optimizer, scheduler = built(make, **options)
    backward(net)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", module="torch")
        for _ in range(3):
            update(net, optimizer, scheduler)
            scheduler.step()


def test_p18_no_false_warning_for_one_of_two_optimizers_and_jumps():
    nets = [model(), model()]
    optimizers = [SGD(net.parameters(), lr=0.1) for net in nets]
    scheduler = lehr.torch.Scheduler(optimizers, FALL)
    backward(nets[1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        optimizers[1].step()
        scheduler.step()
        built()[2].step(5)
