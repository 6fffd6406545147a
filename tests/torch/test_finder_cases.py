"""The range test in PyTorch against a hand-written loop, and several tests in one call."""

from collections import namedtuple

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset
from torch_models import X, Y, batches, linear, net

import lehr
import lehr.torch
from lehr.finder import agree, grid, repeat

OTHER = [(X[i : i + 20], Y[i : i + 20]) for i in range(0, 60, 20)]  # batches in a fixed order
SPACED = {"geometric": np.geomspace, "linear": np.linspace}


def by_hand(rates, validating):
    model, losses = net(), []
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0, momentum=0.9)
    data = (pair for _ in range(100) for pair in batches())
    for rate, (x, y) in zip(rates, data, strict=False):
        optimizer.param_groups[0]["lr"] = float(rate)
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if validating:
            model.eval()
            with torch.no_grad():
                losses[-1] = np.mean([F.cross_entropy(model(x), y).item() for x, y in OTHER])
            model.train()
    return losses


class FixedOrder(DataLoader):
    """The same order in each pass, as `by_hand` creates a new loader for each pass."""

    def __iter__(self):
        self.generator.manual_seed(3)
        return super().__iter__()


@pytest.mark.parametrize("spacing", SPACED)
@pytest.mark.parametrize("validating", [False, True])
def test_losses_are_those_of_a_loop_written_by_hand(spacing, validating):
    rates = SPACED[spacing](1e-3, 0.3, 30)
    wanted = by_hand(rates, validating)
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0, momentum=0.9)
    loader = FixedOrder(
        TensorDataset(X, Y), batch_size=32, shuffle=True, generator=torch.Generator().manual_seed(3)
    )
    sweep = lehr.torch.range_test(
        model,
        optimizer,
        F.cross_entropy,
        loader,
        validation_data=OTHER if validating else None,
        low=1e-3,
        high=0.3,
        steps=30,
        spacing=spacing,
    )
    assert sweep.rates == pytest.approx(rates, rel=1e-12)
    assert sweep.losses == pytest.approx(wanted, rel=1e-5)
    assert sweep.objective == ("validation" if validating else "training")


def test_it_stops_where_the_loss_diverges():
    model, optimizer = linear()
    mse = torch.nn.functional.mse_loss
    sweep = lehr.torch.range_test(model, optimizer, mse, [(X, X[:, :3])], high=1e3)
    assert sweep.stopped == "diverged"
    assert len(sweep.losses) < 100
    assert sweep.losses[-1] > 4 * min(sweep.losses)


Pair = namedtuple("Pair", "x y")


class Holder:
    """A batch with a `to` method, as in transformers."""

    def __init__(self, pair):
        self.pair, self.moves = pair, []

    def to(self, device):
        self.moves.append(device)
        return self


def test_batches_are_moved_in_any_container():
    model, optimizer = linear()
    holder = Holder((X, Y))
    moved = []

    def step(model, batch):
        if isinstance(batch, Pair):
            moved.extend(part.device.type for part in (batch.x, batch.y[0], batch.y[1]["y"]))
            assert isinstance(batch.y, list)
            return F.cross_entropy(model(X), Y)
        x, y = batch.pair
        return F.cross_entropy(model(x), y)

    plain = lehr.torch.range_test(model, optimizer, F.cross_entropy, [(X, Y)], steps=20)
    options = {"train_step": step, "steps": 20}
    sweep = lehr.torch.range_test(model, optimizer, None, [holder], device="cpu", **options)
    assert sweep == plain
    assert holder.moves == ["cpu"] * 20
    there = Pair(X, [Y, {"y": Y}])
    assert lehr.torch.range_test(model, optimizer, None, [there], device="meta", **options) == plain
    assert moved == ["meta"] * 60


def learner(seed=0, weight_decay=0.0, momentum=0.9, batch_size=20):
    torch.manual_seed(seed)
    model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.Tanh(), torch.nn.Linear(16, 3))
    options = {"lr": 0.1, "momentum": momentum, "weight_decay": weight_decay}
    optimizer = torch.optim.SGD(model.parameters(), **options)
    targets = X[:, :3].argmax(1)
    return lehr.torch.Learner(
        model, optimizer, F.cross_entropy, (X, targets), batch_size=batch_size, seed=seed
    )


def test_several_seeds_give_a_band():
    sweeps = repeat(learner, range(3), high=100.0)
    assert len({sweep.losses for sweep in sweeps}) == 3
    found = agree(sweeps, "one-cycle")
    assert 0.01 < found.low <= found.lr <= found.high < 10
    assert lehr.figures.draw_sweeps(sweeps).axes[0].collections  # the band


def test_a_grid_over_weight_decay_momentum_and_batch_size():
    axes = {"weight_decay": [0.0, 3.0], "momentum": [0.5, 0.9], "batch_size": [10, 40]}
    cells = grid(learner, axes, high=100.0)
    assert len(cells) == 8
    assert [cell.settings["weight_decay"] for cell in cells[:4]] == [0.0] * 4  # 3.0 is too large
    one = next(c for c in cells if tuple(c.settings.values()) == (0.0, 0.9, 10))
    assert one.sweep == lehr.range_test(learner(batch_size=10), high=100.0)
