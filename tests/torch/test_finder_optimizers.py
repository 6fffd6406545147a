"""The range test in PyTorch with several optimizers, and with optimizers that need a closure."""

import copy

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from torch_models import X, Y, batches, linear, net

import lehr
import lehr.torch

BATCHES = [(X[i : i + 20], Y[i : i + 20]) for i in range(0, 200, 20)]


def two(model):
    """Return optimizers with three groups whose rates have the ratio 1 : 10 : 0.5."""
    hidden = [{"params": model[0].parameters(), "lr": 0.01}, {"params": model[1].parameters()}]
    return [
        torch.optim.SGD(hidden, lr=0.1, momentum=0.9),
        torch.optim.AdamW(model[4].parameters(), lr=torch.tensor(0.005)),
    ]


def train(model, optimizers, data):
    losses = []
    for x, y in data:
        for optimizer in optimizers:
            optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("on_disk", [False, True])
@pytest.mark.parametrize("warm", [False, True])
def test_p21_training_of_two_optimizers_continues_bit_identically(warm, on_disk):
    losses = []
    for tested in (False, True):
        model, data = net(), batches()
        optimizers = two(model)
        seen = train(model, optimizers, data) if warm else []
        tensor = optimizers[1].param_groups[0]["lr"]
        if tested:
            lehr.torch.range_test(
                model, optimizers, F.cross_entropy, data, steps=30, on_disk=on_disk
            )
        rates = [float(g["lr"]) for o in optimizers for g in o.param_groups]
        assert rates == pytest.approx([0.01, 0.1, 0.005], rel=1e-7)
        assert optimizers[1].param_groups[0]["lr"] is tensor
        losses.append(seen + train(model, optimizers, data))
    assert losses[0] == losses[1]


def test_each_optimizer_steps_at_its_share_of_the_rate():
    rates = np.geomspace(1e-3, 0.1, 30)
    model = net()
    optimizers = two(model)
    wanted, seen = [], [[], []]
    for i, rate in enumerate(rates):
        for optimizer, shares in zip(optimizers, ([0.1, 1.0], [0.05]), strict=True):
            for group, share in zip(optimizer.param_groups, shares, strict=True):
                group["lr"] = rate * share
        wanted += train(model, optimizers, [BATCHES[i % 10]])
    model = net()
    optimizers = two(model)
    for optimizer, used in zip(optimizers, seen, strict=True):
        optimizer.register_step_pre_hook(
            lambda o, *_, used=used: used.append([float(g["lr"]) for g in o.param_groups])
        )
    sweep = lehr.torch.range_test(
        model, optimizers, F.cross_entropy, BATCHES, low=1e-3, high=0.1, steps=30
    )
    assert sweep.losses == pytest.approx(wanted, rel=1e-5)
    assert sweep.rates == pytest.approx(rates, rel=1e-12)
    assert np.array(seen[0]) == pytest.approx(np.outer(rates, [0.1, 1.0]), rel=1e-12)
    assert np.array(seen[1]) == pytest.approx(np.outer(rates, [0.05]), rel=1e-6)  # a float32 tensor


def test_a_scaler_of_two_optimizers_is_updated_once_in_each_update():
    model = net()
    optimizers = two(model)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10, growth_interval=3)
    before = scaler.state_dict()
    scales = []

    def train_step(model, batch):
        scales.append(scaler.get_scale())
        return F.cross_entropy(model(batch[0]), batch[1])

    scaled = lehr.torch.range_test(
        model, optimizers, None, BATCHES, train_step=train_step, scaler=scaler, steps=20, high=1e-3
    )
    assert scales == [2.0 ** (10 + i // 3) for i in range(20)]
    assert scaler.state_dict() == before
    torch.manual_seed(0)
    model = net()
    plain = lehr.torch.range_test(model, two(model), F.cross_entropy, BATCHES, steps=20, high=1e-3)
    assert scaled.losses == pytest.approx(plain.losses, rel=1e-4)


def test_optimizer_parameters_outside_the_model_are_restored():
    model, _ = linear()
    temperature = torch.nn.Parameter(torch.tensor(2.0))
    gradient = temperature.grad = torch.tensor(0.25)
    optimizers = [
        torch.optim.SGD(model.parameters(), lr=0.1),
        torch.optim.SGD([temperature], lr=0.1),
    ]
    seen = []

    def train_step(model, batch):
        seen.append(temperature.item())
        return F.cross_entropy(model(batch[0]) / temperature, batch[1])

    lehr.torch.range_test(model, optimizers, None, BATCHES, train_step=train_step, steps=20)
    assert len(set(seen)) == 20
    assert temperature.item() == 2.0
    assert temperature.grad is gradient
    assert gradient.item() == 0.25


def lbfgs(model, **options):
    return torch.optim.LBFGS(model.parameters(), lr=0.1, max_iter=4, **options)


def train_lbfgs(model, optimizer, data):
    """Train on lists of micro-batches; return the first loss of each update."""
    losses = []
    for parts in data:
        evaluated = []

        def closure(parts=parts, evaluated=evaluated):
            optimizer.zero_grad()
            loss = sum(F.cross_entropy(model(x), y) for x, y in parts) / len(parts)
            loss.backward()
            evaluated.append(loss.item())
            return loss

        optimizer.step(closure)
        losses.append(evaluated[0])
    return losses


@pytest.mark.parametrize("accumulation", [1, 2])
@pytest.mark.parametrize("search", [None, "strong_wolfe"])
def test_lbfgs_evaluates_one_closure_on_the_batches_of_its_update(search, accumulation):
    rates = np.geomspace(1e-3, 0.3, 20)
    torch.manual_seed(0)
    model, _ = linear()
    start = copy.deepcopy(model.state_dict())
    optimizer = lbfgs(model, line_search_fn=search)
    parts = [[BATCHES[(i * accumulation + j) % 10] for j in range(accumulation)] for i in range(20)]
    wanted = []
    for rate, part in zip(rates, parts, strict=True):
        optimizer.param_groups[0]["lr"] = rate
        wanted += train_lbfgs(model, optimizer, [part])
    model.load_state_dict(start)
    sweep = lehr.torch.range_test(
        model,
        lbfgs(model, line_search_fn=search),
        F.cross_entropy,
        BATCHES,
        low=1e-3,
        high=0.3,
        steps=20,
        accumulation=accumulation,
        closure=True,
    )
    assert sweep.losses == pytest.approx(wanted, rel=1e-4)
    assert all(torch.equal(t, start[name]) for name, t in model.state_dict().items())


@pytest.mark.parametrize("on_disk", [False, True])
@pytest.mark.parametrize("warm", [0, 3])
def test_training_with_lbfgs_continues_bit_identically(warm, on_disk):
    losses = []
    data = [[batch] for batch in BATCHES]
    for tested in (False, True):
        torch.manual_seed(0)
        model, _ = linear()
        optimizer = lbfgs(model)
        seen = train_lbfgs(model, optimizer, data[:warm])
        if tested:
            lehr.torch.range_test(
                model,
                optimizer,
                F.cross_entropy,
                BATCHES,
                steps=20,
                closure=True,
                on_disk=on_disk,
            )
        losses.append(seen + train_lbfgs(model, optimizer, data[warm:]))
    assert losses[0] == losses[1]


def test_a_closure_gives_the_same_losses_for_other_optimizers():
    sweeps = []
    for closure in (False, True):
        model = net()
        options = {"steps": 20, "closure": closure}
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        sweeps.append(lehr.torch.range_test(model, optimizer, F.cross_entropy, BATCHES, **options))
    assert sweeps[0] == sweeps[1]


MODEL, SGD = linear()
REJECTED = {
    "no optimizer": ([], TypeError, r"optimizer must be a torch\.optim\.Optimizer or a list of t"),
    "a model": (MODEL, TypeError, r"optimizer must be a torch\.optim\.Optimizer or a list of them"),
    "a model in a list": ([SGD, MODEL], TypeError, r"optimizer must be a torch\.optim\.Optimizer"),
    "one twice": (
        [SGD, SGD],
        ValueError,
        r"optimizer must be a list without duplicates, got \['SGD', 'SGD'\]",
    ),
    "no closure": (
        lbfgs(MODEL),
        ValueError,
        "closure must be True for LBFGS, whose step requires a closure, got False",
    ),
}


@pytest.mark.parametrize("case", REJECTED)
def test_unsupported_optimizers_are_rejected(case):
    optimizer, error, message = REJECTED[case]
    with pytest.raises(error, match=message):
        lehr.torch.range_test(MODEL, optimizer, F.cross_entropy, BATCHES)


def test_wrong_closures_are_rejected():
    with pytest.raises(TypeError, match=r"closure must be True or False, got <function.*creates"):
        lehr.torch.range_test(MODEL, SGD, F.cross_entropy, BATCHES, closure=F.cross_entropy)
    message = "scaler must be None with closure=True, got 'GradScaler'; torch's GradScaler does not"
    with pytest.raises(ValueError, match=message):
        lehr.torch.range_test(
            MODEL,
            lbfgs(MODEL),
            F.cross_entropy,
            BATCHES,
            scaler=torch.amp.GradScaler("cpu"),
            closure=True,
        )
