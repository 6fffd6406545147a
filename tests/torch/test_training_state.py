"""A range test restores everything that the next update depends on; cases P1 to P9."""

import collections
import copy
import functools

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch_states import Counting, Inner, Swapping

import lehr
import lehr.torch
from lehr.torch.state import TrainingState

X = torch.linspace(-1, 1, 32).reshape(8, 4)
DATA = [(X, X.sum(1, keepdim=True))]


def updates(model, optimizer, count, loss=F.mse_loss):
    losses = []
    for _ in range(count):
        optimizer.zero_grad()
        value = loss(model(X), DATA[0][1])
        value.backward()
        optimizer.step()
        losses.append(value.item())
    return losses


@pytest.mark.parametrize("on_disk", [False, True])
@pytest.mark.parametrize("trained", [0, 3])
@pytest.mark.parametrize(
    "make",
    [Inner, functools.partial(Swapping, lr=0.1, momentum=0.9), torch.optim.AdamW],
    ids=["P2 P3 P4 inner", "swapping", "AdamW"],
)
def test_p2_p3_p4_p5_training_continues_bit_for_bit_after_a_range_test(make, trained, on_disk):
    results = []
    for tested in (False, True):
        torch.manual_seed(0)
        model = Counting()
        optimizer = make(model.parameters())
        updates(model, optimizer, trained)
        if tested:
            addresses = [tensor.data_ptr() for tensor in model.state_dict().values()]
            before = model.calls.item(), model.count, list(model.seen), list(model.last)
            lehr.torch.range_test(model, optimizer, F.mse_loss, DATA, steps=20, on_disk=on_disk)
            assert before == (model.calls.item(), model.count, model.seen, list(model.last))
            assert addresses == [tensor.data_ptr() for tensor in model.state_dict().values()]
            assert ("step" in optimizer.param_groups[0]) == (trained > 0 and make is Inner)
        results.append(updates(model, optimizer, 5))
    assert results[0] == results[1]


def test_p1_a_parameter_of_the_loss_is_trained_and_restored():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale, self.calls = nn.Parameter(torch.ones(())), 0

        def forward(self, output, y):
            self.calls += 1
            return (self.scale * output - y).square().mean()

    losses = []
    for tested in (False, True):
        torch.manual_seed(0)
        model, loss = nn.Linear(4, 1), Scaled()
        optimizer = torch.optim.SGD([*model.parameters(), loss.scale], lr=0.1, momentum=0.9)
        updates(model, optimizer, 2, loss)
        if tested:
            gradient = loss.scale.grad
            sweep = lehr.torch.range_test(model, optimizer, loss, DATA, steps=20)
            assert loss.scale.grad is gradient
            assert loss.calls == 2
            assert sweep.stopped == "diverged"
        losses.append(updates(model, optimizer, 3, loss))
    assert losses[0] == losses[1]


def test_p6_lazy_parameters_are_rejected_before_anything_changes():
    model = nn.Sequential(nn.LazyLinear(1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    match = "model.0.weight must be an initialized parameter, .*; call the model with one batch"
    with pytest.raises(ValueError, match=match):
        lehr.torch.range_test(model, optimizer, F.mse_loss, DATA, steps=20)
    assert optimizer.param_groups[0]["lr"] == 0.1
    assert isinstance(model[0].weight, nn.UninitializedParameter)


def test_an_object_that_cannot_be_restored_is_rejected_before_anything_changes():
    model = nn.Linear(4, 1)
    model.order = {"rows": iter([1, 2])}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    before = model.weight.clone()
    match = r"model.order\['rows'\] must be an object whose state can be restored.*'list_iterator'"
    with pytest.raises(TypeError, match=match):
        lehr.torch.range_test(model, optimizer, F.mse_loss, DATA, steps=20)
    assert torch.equal(model.weight, before)
    assert next(model.order["rows"]) == 1


def test_p8_an_optimizer_without_a_rate_is_rejected():
    class Relative(torch.optim.SGD):
        def __init__(self, params):
            super().__init__(params)
            self.param_groups[0]["lr"] = None

    model = nn.Linear(4, 1)
    match = "lr of the optimizer must be a number, got None; construct the optimizer with lr="
    with pytest.raises(TypeError, match=match):
        lehr.torch.range_test(model, Relative(model.parameters()), F.mse_loss, DATA)


def test_p9_sam_and_lbfgs_need_a_closure():
    model = nn.Linear(4, 1)
    lbfgs = torch.optim.LBFGS(model.parameters())
    with pytest.raises(ValueError, match="closure must be True for LBFGS, whose step requires"):
        lehr.torch.range_test(model, lbfgs, F.mse_loss, DATA)
    before = model.weight.clone()
    lehr.torch.range_test(model, lbfgs, F.mse_loss, DATA, closure=True, steps=20)
    assert torch.equal(model.weight, before)
    assert not lbfgs.state


class SAM(torch.optim.SGD):
    """Sharpness-aware minimization: perturbs the weights by the gradients that it finds."""

    def first_step(self):
        for parameter in self.param_groups[0]["params"]:
            parameter.grad.mul_(0.1)
            self.state[parameter]["old"] = parameter.clone()
            parameter.add_(parameter.grad)

    def second_step(self):
        for parameter in self.param_groups[0]["params"]:
            parameter.copy_(self.state[parameter].pop("old"))
        super().step()

    @torch.no_grad()
    def step(self, closure=None):
        self.first_step()
        with torch.enable_grad():
            closure()
        self.second_step()


def test_p9_sam_has_the_gradients_of_its_update_and_those_of_the_user_are_restored():
    model = nn.Linear(4, 1)
    optimizer = SAM(model.parameters(), lr=0.1)
    with pytest.raises(ValueError, match="closure must be True for SAM, whose step requires"):
        lehr.torch.range_test(model, optimizer, F.mse_loss, DATA)
    updates(model, torch.optim.SGD(model.parameters(), lr=0.0), 1)
    gradient, before = model.weight.grad, model.weight.grad.clone()
    expected = copy.deepcopy(model)
    options = {"steps": 20, "low": 0.001, "high": 0.1, "closure": True}
    sweep = lehr.torch.range_test(model, optimizer, F.mse_loss, DATA, **options)
    assert model.weight.grad is gradient
    assert torch.equal(gradient, before)
    own, losses = SAM(expected.parameters(), lr=0.1), []
    for rate in sweep.rates:  # a hand-written loop

        def evaluate():
            own.zero_grad()
            loss = F.mse_loss(expected(X), DATA[0][1])
            loss.backward()
            return loss

        own.param_groups[0]["lr"] = rate
        losses.append(evaluate().item())
        own.step(evaluate)
    assert list(sweep.losses) == losses


class Zeroing(torch.optim.SGD):
    """Changes the gradients of the previous update in place before it evaluates the closure."""

    def step(self, closure=None):
        self.zero_grad(set_to_none=False)
        closure()
        super().step()


def test_p9_an_optimizer_does_not_see_the_gradients_of_the_user():
    model = nn.Linear(4, 1)
    F.mse_loss(model(X), DATA[0][1]).backward()
    before = model.weight.grad.clone()
    optimizer = Zeroing(model.parameters(), lr=0.1)
    lehr.torch.range_test(model, optimizer, F.mse_loss, DATA, steps=20, closure=True)
    assert torch.equal(model.weight.grad, before)


def read_only():
    array = np.zeros(2)
    array.flags.writeable = False
    return array


class Sealed(collections.OrderedDict):
    """Rejects `update` and `clear`, as the outputs of transformers reject `update`."""

    def update(self, *args, **kwargs):
        if self:
            raise TypeError("no update")
        super().update(*args, **kwargs)

    def clear(self):
        raise TypeError("no clear")


@pytest.mark.parametrize(
    ("make", "change"),
    [
        (lambda: lehr.one_cycle(0.1, 10), None),
        (lambda: lehr.Policy({"a": 0.1}, extra={"eps": 1e-8}), None),
        (lambda: Sealed(a=1), lambda d: d.__setitem__("b", 2)),
        (lambda: collections.Counter("aab"), lambda c: c.update("bc")),
        (lambda: collections.defaultdict(list, a=[1]), lambda d: d["b"].append(2)),
        (lambda: {"a", "b"}, lambda s: s.discard("a")),
        (read_only, None),
        (lambda: torch.ones(1).expand(3), None),
        (lambda: torch.eye(3).to_sparse(), lambda t: t.mul_(2.0)),
        (lambda: torch.arange(6.0).reshape(2, 3).t(), lambda t: t.mul_(2.0)),
        (lambda: torch.arange(6.0).reshape(2, 3), lambda t: t.resize_(1)),
        (lambda: torch.tensor(True), lambda t: t.logical_not_()),
    ],
    ids=[
        *("one_cycle", "groups", "sealed", "counter", "defaultdict", "set", "read-only array"),
        *("expanded", "sparse", "transposed", "resized", "bool"),
    ],
)
def test_attributes_that_reject_changes_do_not_prevent_the_restore(make, change):
    """An error in the restore would leave the weights of the range test in the model."""
    model = nn.Linear(4, 1)
    model.attribute = make()
    sparse = isinstance(model.attribute, torch.Tensor) and model.attribute.layout != torch.strided
    before = model.weight.clone(), copy.deepcopy(model.attribute)
    state = TrainingState({"model": model})
    with torch.no_grad():
        model.weight.zero_()
    if change is not None:
        change(model.attribute)
    state.restore()
    assert torch.equal(model.weight, before[0])
    now, wanted = model.attribute, before[1]
    if isinstance(now, torch.Tensor):
        now, wanted = (t.to_dense() if sparse else t for t in (now, wanted))
        assert torch.equal(now, wanted)
    elif isinstance(now, np.ndarray):
        assert np.array_equal(now, wanted)
    else:
        assert now == wanted


def test_containers_slots_and_generators_are_restored():
    class Slotted:
        __slots__ = ("tensor", "value")

        def __init__(self):
            self.value, self.tensor = 1, torch.zeros(2)

    holder = nn.Module()
    holder.slotted, holder.set, holder.array = Slotted(), {1, 2}, np.zeros(3)
    holder.nested = ({"a": [torch.ones(1)]}, functools.partial(max, [3, 4]))
    holder.legacy = np.random.RandomState(3)
    state = TrainingState({"holder": holder})
    expected = copy.deepcopy(holder.legacy).random()
    tensor = holder.nested[0]["a"][0]
    holder.slotted.value, holder.slotted.tensor = 5, torch.ones(2)
    holder.set.add(7)
    holder.array += 1
    tensor += 1
    holder.nested[0]["a"].append(5)
    holder.nested[1].args[0].append(9)
    holder.new = "attribute"
    holder.legacy.random()
    state.restore()
    assert (holder.slotted.value, holder.slotted.tensor.tolist()) == (1, [0, 0])
    assert holder.set == {1, 2}
    assert holder.array.tolist() == [0, 0, 0]
    assert holder.nested[0]["a"] == [tensor]
    assert tensor.tolist() == [1]
    assert holder.nested[1]() == 4
    assert not hasattr(holder, "new")
    assert holder.legacy.random() == expected
