"""lehr.torch.Scheduler with every kind of update: compiled, fused, scaled, accumulated.

The rate of each update is measured on a weight whose gradient is 1.
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
    """Return the change by each update of a weight whose gradient is 1."""
    (weight,) = weights(dtype=torch.float64)
    optimizer = make([weight])
    scheduler = scheduled(optimizer)
    step, moves = wrap(lambda: optimizer.step()), []
    for _ in range(updates):
        before = weight.item()
        weight.grad = torch.ones_like(weight)
        step()
        moves.append(before - weight.item())
        if scheduler is not None:
            scheduler.step()
    return moves


def ours(policy):
    return lambda optimizer: lehr.torch.Scheduler(optimizer, policy)


# SGD moves by the rate; Adam too while its gradient is constant (except for eps, here 0).
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
    """Each row of Muon is its rate times the sign of the gradient, within its five iterations."""
    weight = torch.nn.Parameter(torch.zeros(1, 1))
    optimizer = Muon([weight], lr=9.0, weight_decay=0.0, momentum=0.5)
    scheduler, moves = lehr.torch.Scheduler(optimizer, FALL), []
    for _ in range(STEPS):
        before = weight.item()
        weight.grad = torch.ones_like(weight)
        optimizer.step()
        scheduler.step()
        moves.append(before - weight.item())
    steady = [step / moves[0] for step in moves]
    assert steady == pytest.approx([FALL(t) for t in range(STEPS)], abs=0.02)


def test_one_cycle_moves_sgd_by_its_formula():
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
    """Return the moves of the updates and the number of compiled graphs."""
    torch._dynamo.reset()
    counter = CompileCounterWithBackend("aot_eager")
    moves = moved(make, scheduled, wrap=lambda step: torch.compile(step, backend=counter))
    return moves, counter.frame_count


# the compiler loads deprecated modules, and warns about floats
torch_warns = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning"
)


def unscheduled(optimizer):
    return None


@torch_warns
@pytest.mark.parametrize(
    ("make", "extra"),
    [
        (lambda p: SGD(p, lr=tensor(9.0)), 0),
        (lambda p: Adam(p, lr=tensor(9.0), eps=0.0), 0),
        (lambda p: Adam(p, lr=9.0, eps=0.0), 1),
        (lambda p: AdamW(p, lr=9.0, eps=0.0, weight_decay=0.0), 1),
        (lambda p: SGD(p, lr=9.0), None),  # torch compiles a graph for every float rate of SGD
    ],
)
def test_compiled_updates_use_the_policys_rate_and_few_graphs(make, extra):
    moves, graphs = compiled(make, ours(FALL))
    constant, graphs_unscheduled = compiled(make, unscheduled)  # float32 bias corrections of Adam
    close(moves, [FALL(t) * step / 9.0 for t, step in enumerate(constant)], 1e-6)
    assert graphs == compiled(make, lambda optimizer: LambdaLR(optimizer, FALL))[1]
    if extra is not None:
        assert graphs == graphs_unscheduled + extra


@torch_warns
def test_momentum_in_tensor_betas_needs_one_graph():
    """With float betas nine graphs are compiled, for torch's OneCycleLR as for lehr's."""

    def make(p):
        betas = (tensor(0.9), tensor(0.999))
        return Adam(p, lr=tensor(9.0), betas=betas, eps=0.0, capturable=True)

    moves, graphs = compiled(make, ours(CYCLE))
    assert graphs == compiled(make, unscheduled)[1] == 1
    eager = moved(lambda p: Adam(p, lr=9.0, eps=0.0), ours(CYCLE))
    close(moves, eager, 1e-5)  # the bias corrections are float32 here


def graphs(make, scheduled):
    _, count = compiled(lambda p: make([*p, *weights(dtype=torch.float64)]), scheduled)
    return count


@torch_warns
def test_g2_foreach_compiles_a_graph_for_every_float_rate():
    """As docs/torch.md states; torch's schedulers compile as many."""
    by_torch = lambda optimizer: LambdaLR(optimizer, FALL)  # noqa: E731
    for foreach, wanted in ((False, 2), (True, 9)):  # 8 recompilations are the limit

        def make(p, foreach=foreach):
            return AdamW(p, lr=0.1, foreach=foreach)

        assert graphs(make, ours(FALL)) == graphs(make, by_torch) == wanted
    captured = lambda p: AdamW(p, lr=tensor(0.1), foreach=True, capturable=True)  # noqa: E731
    assert graphs(captured, ours(FALL)) == 1


@pytest.fixture
def capturing(monkeypatch):
    """Pretend that a CUDA graph is captured; tests/gpu/test_torch_capture.py captures one."""
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: True)


@pytest.mark.parametrize(
    ("rate", "policy", "match"),
    [
        (tensor(0.1), lehr.Policy(FALL, momentum=lehr.linear(0.95, 0.85, 9)), "momentum of group"),
        (
            tensor(0.1),
            lehr.Policy(FALL, extra={"beta2": lehr.linear(0.9, 0.99, 9)}),
            "beta2 of group '0' must be a ten",
        ),
        (tensor(0.1), lehr.Policy(FALL, weight_decay=FALL), "weight_decay of .*; omit it from the"),
        (0.1, lehr.Policy(FALL), "lr of group '0' must be .* CUDA graph.*lr=torch.tensor"),
        (0.1, lehr.Policy({"0": FALL}), "lr of group '0' must be"),
        (tensor(0.1), lehr.Policy(FALL, momentum=0.9, weight_decay=0.1), None),
        (0.1, lehr.Policy(0.1), None),
    ],
)
def test_g2_a_capture_that_would_repeat_a_number_is_rejected(capturing, rate, policy, match):
    (weight,) = weights()
    optimizer = AdamW([weight], lr=rate)
    other = SGD(weights(), lr=0.1)
    scheduler = lehr.torch.Scheduler(optimizer, policy)
    lehr.torch.Scheduler(other, FALL)  # another optimizer is not captured
    weight.grad = torch.ones_like(weight)
    if match is None:
        optimizer.step()
        scheduler.step()
        return
    with pytest.raises(ValueError, match=match):
        optimizer.step()
    assert not optimizer.state


@torch_warns
def test_a_late_group_is_driven_in_compiled_updates_from_the_next_step():
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
def test_a_skipped_update_is_not_a_step(cls, options):
    """By the documented rule: call step() only if the scale did not fall."""
    (weight,) = weights(dtype=torch.float64)
    optimizer = cls([weight], lr=9.0, **options, **({"eps": 0.0} if cls is Adam else {}))
    scheduler = lehr.torch.Scheduler(optimizer, FALL)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10, growth_interval=3)
    moves, broken = [], (0, 3, 4, 9)
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
        moves.append(before - weight.item())
    assert [moves[i] for i in broken] == [0.0] * 4
    made = [step for i, step in enumerate(moves) if i not in broken]
    close(made, [FALL(t) for t in range(len(made))])
    assert scheduler.last_epoch == len(made)


def test_micro_batches_are_not_steps():
    (weight,) = weights(dtype=torch.float64)
    optimizer = SGD([weight], lr=9.0)
    scheduler, moves = lehr.torch.Scheduler(optimizer, FALL), []
    for i in range(4 * STEPS):
        (weight.sum() / 4).backward()
        if i % 4 == 3:
            before = weight.item()
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad()
            moves.append(before - weight.item())
    close(moves, [FALL(t) for t in range(STEPS)])


def test_rmsprop_with_a_tensor_rate():
    optimizer = RMSprop(weights(), lr=tensor(9.0, torch.float64))
    assert drive(optimizer, lehr.torch.Scheduler(optimizer, FALL), STEPS) == [
        FALL(t) for t in range(STEPS)
    ]
