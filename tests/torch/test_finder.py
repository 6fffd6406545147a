"""The range test on a user's PyTorch loop restores the model, optimizers and generators."""

import copy
import functools
import inspect
import random
import tempfile

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from torch.utils.data import DataLoader, IterableDataset
from torch_models import OPTIMIZERS, X, Y, batches, epoch, linear, net

import lehr
import lehr.torch


@pytest.mark.parametrize("warm", [False, True])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_continues_bit_identically(name, warm):
    losses = []
    for tested in (False, True):
        model, loader = net(), batches()
        optimizer = OPTIMIZERS[name](model.parameters())
        seen = epoch(model, optimizer, loader) if warm else []
        rate = optimizer.param_groups[0]["lr"]
        if tested:
            lehr.torch.range_test(model, optimizer, F.cross_entropy, loader, steps=40)
            assert optimizer.param_groups[0]["lr"] is rate
        seen += epoch(model, optimizer, loader)
        losses.append(seen)
    assert losses[0] == losses[1]


# other tests load JAX, whose threads warn about forks; these workers do not use JAX
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("workers", [0, 2])
def test_with_workers_and_on_disk(workers):
    losses = []
    for tested in (False, True):
        model, loader = net(), batches(num_workers=workers)
        optimizer = OPTIMIZERS["AdamW"](model.parameters())
        seen = epoch(model, optimizer, loader)
        if tested:
            lehr.torch.range_test(model, optimizer, F.cross_entropy, loader, steps=20, on_disk=True)
        losses.append(seen + epoch(model, optimizer, loader))
    assert losses[0] == losses[1]


def test_random_generators_gradients_and_modes_are_restored():
    model, loader = net(), batches()
    optimizer = OPTIMIZERS["SGD"](model.parameters())
    model[2].eval()  # one layer stays in evaluation mode
    F.cross_entropy(model(X), Y).backward()
    grads = [p.grad for p in model.parameters()]
    values = copy.deepcopy(grads)
    before = random.getstate(), torch.get_rng_state(), np.random.get_state()[1].tolist()
    lehr.torch.range_test(
        model, optimizer, F.cross_entropy, loader, steps=20, validation_data=loader
    )
    after = random.getstate(), torch.get_rng_state(), np.random.get_state()[1].tolist()
    assert (before[0], before[2]) == (after[0], after[2])
    assert torch.equal(before[1], after[1])
    assert all(p.grad is g for p, g in zip(model.parameters(), grads, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(grads, values, strict=True))
    assert (model.training, model[1].training, model[2].training) == (True, True, False)
    assert optimizer.state_dict()["state"] == {}


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("on_disk", [False, True])
def test_it_restores_after_an_error_and_removes_its_files(error, on_disk, tmp_path, monkeypatch):
    model, loader = net(), batches()
    optimizer = OPTIMIZERS["AdamW"](model.parameters())
    epoch(model, optimizer, loader)
    weights, slots = copy.deepcopy((model.state_dict(), optimizer.state_dict()["state"]))
    calls = []

    def failing(output, y):
        calls.append(1)
        if len(calls) == 9:
            raise error("stop")
        return F.cross_entropy(output, y)

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(error, match="stop"):
        lehr.torch.range_test(model, optimizer, failing, loader, on_disk=on_disk)
    assert all(torch.equal(t, weights[name]) for name, t in model.state_dict().items())
    now = optimizer.state_dict()["state"]
    assert all(torch.equal(slots[i][k], now[i][k]) for i in slots for k in slots[i])
    assert list(tmp_path.iterdir()) == []


def test_a_loss_that_is_not_finite_ends_the_test_and_restores():
    model, loader = net(), batches()
    optimizer = OPTIMIZERS["SGD"](model.parameters())
    before = copy.deepcopy(model.state_dict())
    calls = []

    def bursting(output, y):
        calls.append(1)
        return F.cross_entropy(output, y) * (float("nan") if len(calls) == 25 else 1)

    sweep = lehr.torch.range_test(model, optimizer, bursting, loader)
    assert (sweep.stopped, len(sweep.losses)) == ("not finite", 25)
    assert all(torch.equal(t, before[name]) for name, t in model.state_dict().items())


def used_rates(optimizer, **options):
    """Run a test and return the rate of each group in each update, recorded by a step hook."""
    seen = []
    optimizer.register_step_pre_hook(
        lambda o, *_: seen.append([float(g["lr"]) for g in o.param_groups])
    )
    return seen


def test_groups_keep_the_ratio_of_their_rates():
    model = net()
    groups = [{"params": model[0].parameters(), "lr": 1e-3}, {"params": model[4].parameters()}]
    optimizer = torch.optim.SGD(groups, lr=1e-1)
    seen = used_rates(optimizer)
    sweep = lehr.torch.range_test(model, optimizer, F.cross_entropy, batches(), steps=30, high=1.0)
    body, head = zip(*seen, strict=True)
    assert head[: len(sweep.rates)] == sweep.rates
    assert all(b == pytest.approx(h / 100, rel=1e-12) for b, h in zip(body, head, strict=True))
    assert [g["lr"] for g in optimizer.param_groups] == [1e-3, 1e-1]


def test_the_grid_is_the_rates_applied_and_hits_both_ends():
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=0.1)
    moved = []

    def slope_of_one(model, batch):
        moved.append(weight.item())
        return weight.sum() + 1000  # each update moves the weight by its rate

    sweep = lehr.torch.range_test(
        torch.nn.ParameterList([weight]), optimizer, None, [0], train_step=slope_of_one, high=0.1
    )
    steps = -np.diff(np.array(moved))
    assert (sweep.rates[0], sweep.rates[-1], len(sweep.rates)) == (1e-5, 0.1, 100)
    assert np.abs(steps - sweep.rates[:-1]).max() < 1e-7
    assert weight.item() == 0.0


def test_accumulation_is_a_larger_batch():
    full = [(X[i : i + 32], Y[i : i + 32]) for i in range(0, 192, 32)]
    parts = [(x[a : a + 8], y[a : a + 8]) for x, y in full for a in range(0, 32, 8)]
    sweeps = []
    for loader, accumulation in ((full, 1), (parts, 4)):
        torch.manual_seed(0)
        model = torch.nn.Linear(8, 3)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        sweeps.append(
            lehr.torch.range_test(
                model, optimizer, F.cross_entropy, loader, accumulation=accumulation, steps=40
            )
        )
    assert sweeps[0].rates == sweeps[1].rates
    assert sweeps[1].losses == pytest.approx(sweeps[0].losses, rel=1e-4)


class Endless(IterableDataset):
    """An endless iterable without a length."""

    def __iter__(self):
        i = 0
        while True:
            yield X[i % 200], Y[i % 200]
            i += 1


@pytest.mark.parametrize(
    "loader",
    [
        DataLoader(Endless(), batch_size=16),
        (pair for pair in [(X, Y)] * 30),
        [(X[:16], Y[:16])],
    ],
    ids=["without length", "a generator", "shorter than the test"],
)
def test_loaders_of_any_kind(loader):
    model, optimizer = linear()
    sweep = lehr.torch.range_test(model, optimizer, F.cross_entropy, loader, steps=20)
    assert len(sweep.losses) == 20


def test_batches_of_any_layout():
    model, optimizer = linear()

    class Two(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = model

        def forward(self, a, b):
            return self.layer(a + b)

    plain = lehr.torch.range_test(model, optimizer, F.cross_entropy, [(X, Y)], steps=20)
    half = X / 2
    for batch in ((({"a": half, "b": half}), Y), ((half, half), Y)):
        sweep = lehr.torch.range_test(Two(), optimizer, F.cross_entropy, [batch], steps=20)
        assert sweep == plain
    named = lehr.torch.range_test(
        model,
        optimizer,
        None,
        [{"x": X, "labels": Y}],
        train_step=lambda m, batch: F.cross_entropy(m(batch["x"]), batch["labels"]),
        steps=20,
    )
    assert named == plain


def test_mixed_precision_with_a_scaler():
    model, optimizer = linear()
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10, growth_interval=3)
    before = scaler.state_dict()

    def step(model, batch):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return F.cross_entropy(model(batch[0]), batch[1])

    sweep = lehr.torch.range_test(
        model, optimizer, None, [(X, Y)], train_step=step, scaler=scaler, high=1.0
    )
    assert len(sweep.losses) == 100
    assert scaler.state_dict() == before


def test_on_a_model_that_a_scheduler_drives():
    model, optimizer = linear()
    scheduler = lehr.torch.Scheduler(optimizer, lehr.linear(0.5, 0.0, 10))
    scheduler.step()
    lehr.torch.range_test(model, optimizer, F.cross_entropy, [(X, Y)], steps=20)
    assert scheduler.get_last_lr() == [0.45]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"data": []},
            r"data must be an iterable with a batch for each update, or .* restarted, got \[\]",
        ),
        ({"data": [X]}, r"batch must be a pair \(x, y\), got 'Tensor'; pass train_step=lambda"),
        ({"data": iter([(X, Y)] * 5)}, "data must be an iterable with a batch for each update"),
        ({"data": 5}, "data must be an iterable of batches, got 5"),
        ({"validation_data": []}, r"validation_data must be at least one batch, got \[\]"),
        (
            {"loss": None},
            r"loss must be a function loss\(output, y\), got None; pass loss= or train_step=",
        ),
        ({"train_step": lambda m, b: m}, "loss must be None with train_step, got <function cross"),
        ({"loss": lambda o, y: o.sum(1)}, r"loss must be a scalar, got 'shape \(200,\)'"),
        (
            {"loss": torch.nn.MSELoss},
            r"loss must be a function loss\(output, y\), got <class.*; .*instance, MSELoss\(\)",
        ),
        ({"loss": "mse"}, r"loss must be a function loss\(output, y\), got 'mse'"),
        ({"loss": None, "train_step": 3}, "train_step must be a function .*, got 3"),
        ({"validation_data": 3}, "validation_data must be an iterable of batches, got 3"),
        ({"scaler": 3}, "scaler must be a torch.amp.GradScaler or None, got 3"),
        ({"device": "gpu"}, "device must be a device of PyTorch, such as 'cuda' .*, got 'gpu'"),
        ({"device": 1.5}, "device must be a device of PyTorch, such as 'cuda' .*, got 1.5"),
        ({"on_disk": 1}, "on_disk must be True or False, got 1"),
        ({"accumulation": 0}, "accumulation must be an integer >= 1, got 0"),
    ],
)
def test_bad_arguments_are_rejected_and_the_state_is_unchanged(options, message):
    model, optimizer = linear()
    before = copy.deepcopy(model.state_dict())
    given = {"loss": F.cross_entropy, "data": [(X, Y)]} | options
    with pytest.raises((TypeError, ValueError), match=message):
        lehr.torch.range_test(model, optimizer, **given)
    assert all(torch.equal(t, before[name]) for name, t in model.state_dict().items())
    assert optimizer.param_groups[0]["lr"] == 0.1


def _rank(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2
    )
    rows = slice(100 * rank, 100 * rank + 100)
    loader = [(X[rows], Y[rows])]
    unequal = loader * (1 + rank)  # the number of validation batches differs between ranks
    sweeps, losses = [], []
    for tested in (True, False):
        model = torch.nn.parallel.DistributedDataParallel(net())
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        seen = epoch(model, optimizer, loader * 2)

        def bursting(output, y, calls=[]):  # noqa: B006
            calls.append(1)
            nan = rank == 1 and len(calls) == 25
            return F.cross_entropy(output, y) * (float("nan") if nan else 1)

        if tested:
            test = functools.partial(lehr.torch.range_test, model, optimizer)
            sweeps.append(test(F.cross_entropy, loader, high=1e6))
            sweeps.append(test(bursting, loader))
            sweeps.append(test(F.cross_entropy, loader, steps=20, validation_data=unequal))
        losses.append(seen + epoch(model, optimizer, loader * 2))
    assert losses[0] == losses[1]
    with open(f"{folder}/{rank}.json", "w") as file:  # noqa: PTH123
        file.write("\n".join(sweep.to_json() for sweep in sweeps))
    torch.distributed.destroy_process_group()


def test_all_ranks_run_the_same_test_and_stop_together(tmp_path):
    """Also with a NaN in one process, and with different amounts of validation data."""
    torch.multiprocessing.spawn(_rank, (str(tmp_path),), nprocs=2)
    first, second = ((tmp_path / f"{rank}.json").read_text() for rank in (0, 1))
    assert first == second
    sweeps = [lehr.Sweep.from_json(line) for line in first.splitlines()]
    assert [sweep.stopped for sweep in sweeps] == ["diverged", "not finite", "end"]
    assert len(sweeps[1].losses) == 25
    assert sweeps[2].objective == "validation"


def test_the_shared_arguments_have_the_defaults_of_every_range_test():
    shared = inspect.signature(lehr.range_test).parameters
    own = inspect.signature(lehr.torch.range_test).parameters
    for name in ("low", "high", "steps", "spacing", "divergence"):
        assert own[name] == shared[name]
