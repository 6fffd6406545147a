"""lehr.torch.Scheduler under every way to make an update: compiled, fused, scaled, accumulated.

The rate of each update is read from a weight whose gradient is one.
"""

import pytest
import torch
from torch._dynamo.testing import CompileCounterWithBackend
from torch.optim import SGD, Adam, AdamW, Muon, RMSprop
from torch.optim.lr_scheduler import LambdaLR
from torch_models import close, drive, weights

import lehr
import lehr.torch

STEPS = 12
FALL = lehr.linear(1.0, 0.0, 16)
CYCLE = lehr.one_cycle(1.0, steps=16)


def tensor(value, dtype=torch.float32):
    return torch.tensor(value, dtype=dtype)


def moved(make, scheduled, updates=STEPS, wrap=lambda step: step):
    """Return how far each update moved a weight whose gradient is 1."""
    (weight,) = weights(dtype=torch.float64)
    optimizer = make([weight])
    scheduler = scheduled(optimizer)
    step, far = wrap(lambda: optimizer.step()), []
    for _ in range(updates):
        before = weight.item()
        weight.grad = torch.ones_like(weight)
        step()
        far.append(before - weight.item())
        if scheduler is not None:
            scheduler.step()
    return far


def ours(policy):
    return lambda optimizer: lehr.torch.Scheduler(optimizer, policy)


# SGD moves by the rate; Adam too while its gradient is constant (but for its eps, here 0).
MAKERS = {
    "sgd": lambda p: SGD(p, lr=9.0),
    "sgd foreach": lambda p: SGD(p, lr=9.0, foreach=True),
    "sgd fused": lambda p: SGD(p, lr=9.0, fused=True),
    "sgd, tensor": lambda p: SGD(p, lr=tensor(9.0)),
    "sgd foreach, tensor": lambda p: SGD(p, lr=tensor(9.0), foreach=True),
    "sgd fused, tensor": lambda p: SGD(p, lr=tensor(9.0), fused=True),
    "adam": lambda p: Adam(p, lr=9.0, eps=0.0),
    "adamw foreach": lambda p: AdamW(p, lr=9.0, eps=0.0, weight_decay=0.0, foreach=True),
    "adamw fused": lambda p: AdamW(p, lr=9.0, eps=0.0, weight_decay=0.0, fused=True),
    "adam, tensor": lambda p: Adam(p, lr=tensor(9.0), eps=0.0),
    "adam fused, tensor": lambda p: Adam(p, lr=tensor(9.0), eps=0.0, fused=True),
}


@pytest.mark.parametrize("name", MAKERS)
def test_each_update_moves_by_the_policys_rate(name):
    close(moved(MAKERS[name], ours(FALL)), [FALL(t) for t in range(STEPS)], 4e-7)


def test_muon_moves_by_the_policys_rate():
    """One row of Muon is its rate times the sign of the gradient, within its five rounds."""
    weight = torch.nn.Parameter(torch.zeros(1, 1))
    optimizer = Muon([weight], lr=9.0, weight_decay=0.0, momentum=0.5)
    scheduler, far = lehr.torch.Scheduler(optimizer, FALL), []
    for _ in range(STEPS):
        before = weight.item()
        weight.grad = torch.ones_like(weight)
        optimizer.step()
        scheduler.step()
        far.append(before - weight.item())
    steady = [step / far[0] for step in far]
    assert steady == pytest.approx([FALL(t) for t in range(STEPS)], abs=0.02)


def test_one_cycle_moves_sgd_as_its_formula_says():
    wanted, buffer = [], 0.0
    for t in range(STEPS):
        buffer = CYCLE.momentum(t) * buffer + 1.0
        wanted.append(CYCLE.lr(t) * buffer)
    for make in (
        lambda p: SGD(p, lr=9.0, momentum=0.5),
        lambda p: SGD(p, lr=9.0, momentum=0.5, fused=True),
        lambda p: SGD(p, lr=tensor(9.0, torch.float64), momentum=0.5, foreach=True),
    ):
        close(moved(make, ours(CYCLE)), wanted)


# Compiled.


def compiled(make, scheduled):
    """Return the updates' moves, and how many graphs were made for them."""
    torch._dynamo.reset()
    counter = CompileCounterWithBackend("aot_eager")
    far = moved(make, scheduled, wrap=lambda step: torch.compile(step, backend=counter))
    return far, counter.frame_count


torch_warns = pytest.mark.filterwarnings(  # of its own parts that the compiler loads, and of floats
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning"
)


def alone(optimizer):
    return None


@torch_warns
@pytest.mark.parametrize(
    ("make", "extra"),
    [
        (lambda p: SGD(p, lr=tensor(9.0)), 0),
        (lambda p: Adam(p, lr=tensor(9.0), eps=0.0), 0),
        (lambda p: Adam(p, lr=9.0, eps=0.0), 1),
        (lambda p: AdamW(p, lr=9.0, eps=0.0, weight_decay=0.0), 1),
        (lambda p: SGD(p, lr=9.0), None),  # torch makes a graph for every float that SGD is given
    ],
)
def test_compiled_updates_use_the_policys_rate_and_few_graphs(make, extra):
    far, graphs = compiled(make, ours(FALL))
    constant, graphs_alone = compiled(make, alone)  # Adam's bias corrections are float32 here
    close(far, [FALL(t) * step / 9.0 for t, step in enumerate(constant)], 1e-6)
    assert graphs == compiled(make, lambda optimizer: LambdaLR(optimizer, FALL))[1]
    if extra is not None:
        assert graphs == graphs_alone + extra


@torch_warns
def test_momentum_in_tensor_betas_needs_one_graph():
    """With numbers for betas it needs nine, torch's OneCycleLR or ours."""

    def make(p):
        betas = (tensor(0.9), tensor(0.999))
        return Adam(p, lr=tensor(9.0), betas=betas, eps=0.0, capturable=True)

    far, graphs = compiled(make, ours(CYCLE))
    assert graphs == compiled(make, alone)[1] == 1
    eager = moved(lambda p: Adam(p, lr=9.0, eps=0.0), ours(CYCLE))
    close(far, eager, 1e-5)  # the bias corrections are float32 here


@torch_warns
def test_a_late_group_is_driven_in_compiled_updates_from_the_next_step_on():
    torch._dynamo.reset()
    (first,), (late,) = weights(dtype=torch.float64), weights(dtype=torch.float64)
    optimizer = SGD([first], lr=tensor(9.0))
    scheduler = lehr.torch.Scheduler(optimizer, FALL)
    step = torch.compile(optimizer.step, backend="aot_eager")
    for t in range(4):
        if t == 2:
            optimizer.add_param_group({"params": [late], "lr": tensor(9.0)})
            scheduler.step(2)
        first.grad, late.grad = torch.ones_like(first), torch.ones_like(late)
        step()
        scheduler.step()
    close(-late.item(), FALL(2) + FALL(3), 4e-7)


# Updates that GradScaler skips, and accumulation.


@pytest.mark.parametrize("options", [{}, {"foreach": True}, {"fused": True}])
@pytest.mark.parametrize("cls", [SGD, Adam])
def test_a_skipped_update_is_no_step(cls, options):
    """By the documented rule: step() only if the scale did not fall."""
    (weight,) = weights(dtype=torch.float64)
    optimizer = cls([weight], lr=9.0, **options, **({"eps": 0.0} if cls is Adam else {}))
    scheduler = lehr.torch.Scheduler(optimizer, FALL)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10, growth_interval=3)
    far, broken = [], (0, 3, 4, 9)
    for i in range(STEPS):
        optimizer.zero_grad()
        loss = weight.sum() * (torch.inf if i in broken else 1.0)
        scaler.scale(loss).backward()
        before = weight.item()
        scaler.step(optimizer)
        scale = scaler.get_scale()
        scaler.update()
        if scaler.get_scale() >= scale:
            scheduler.step()
        far.append(before - weight.item())
    assert [far[i] for i in broken] == [0.0] * 4
    made = [step for i, step in enumerate(far) if i not in broken]
    close(made, [FALL(t) for t in range(len(made))])
    assert scheduler.last_epoch == len(made)


def test_micro_batches_are_no_steps():
    (weight,) = weights(dtype=torch.float64)
    optimizer = SGD([weight], lr=9.0)
    scheduler, far = lehr.torch.Scheduler(optimizer, FALL), []
    for i in range(4 * STEPS):
        (weight.sum() / 4).backward()
        if i % 4 == 3:
            before = weight.item()
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad()
            far.append(before - weight.item())
    close(far, [FALL(t) for t in range(STEPS)])


def test_rmsprop_with_a_tensor_rate():
    optimizer = RMSprop(weights(), lr=tensor(9.0, torch.float64))
    assert drive(optimizer, lehr.torch.Scheduler(optimizer, FALL), STEPS) == [
        FALL(t) for t in range(STEPS)
    ]
