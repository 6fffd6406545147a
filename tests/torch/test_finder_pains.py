"""Problems reported for other PyTorch range tests, each with the issue that reports it.

See tests/finder/test_pains.py.
"""

import copy
import random
import tempfile
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from torch.optim import lr_scheduler
from torch.utils.data import DataLoader
from torch_models import OPTIMIZERS, X, Y, batches, epoch, linear, net

import lehr
import lehr.torch


def trained(tests: int):
    """An epoch, some range tests, an epoch; returns the losses of both epochs and the sweeps."""
    model, loader = net(), batches()
    optimizer = OPTIMIZERS["SGD"](model.parameters())
    losses = epoch(model, optimizer, loader)
    sweeps = [
        lehr.torch.range_test(model, optimizer, F.cross_entropy, loader, steps=40)
        for _ in range(tests)
    ]
    return losses + epoch(model, optimizer, loader), sweeps


def test_a_second_test_gives_the_same_curve_and_restores():
    """TLF: a second reset restores a wrong momentum; fastai #3013, #3295: a different curve."""
    untouched, _ = trained(0)
    losses, sweeps = trained(2)
    assert losses == untouched
    assert sweeps[0] == sweeps[1]


class Noisy(torch.utils.data.Dataset):
    """Augments with three generators: two of NumPy and one of Python."""

    def __init__(self):
        self.numpy, self.legacy = np.random.default_rng(1), np.random.RandomState(2)
        self.python = random.Random(3)

    def __len__(self):
        return 200

    def __getitem__(self, i):
        noise = self.numpy.normal() + self.legacy.normal() + self.python.random()
        return X[i] + float(noise), Y[i]


def test_generators_of_the_data_are_restored():
    """Lightning restores the global generators, but not those of a DataLoader."""
    losses = []
    for tested in (False, True):
        model, optimizer = linear()
        torch.manual_seed(0)
        model.reset_parameters()
        data = Noisy()
        order = torch.utils.data.RandomSampler(data, generator=torch.Generator().manual_seed(4))
        order = torch.utils.data.BatchSampler(order, 32, drop_last=False)
        loader = DataLoader(torch.utils.data.Subset(data, range(200)), batch_sampler=order)
        seen = epoch(model, optimizer, loader)
        if tested:
            validation = DataLoader(data, batch_size=50, shuffle=True)
            options = {"steps": 20, "validation_data": validation}
            lehr.torch.range_test(model, optimizer, F.cross_entropy, loader, **options)
        losses.append(seen + epoch(model, optimizer, loader))
    assert losses[0] == losses[1]


SCHEDULERS = {
    "StepLR": lambda o: lr_scheduler.StepLR(o, 2, 0.5),
    "OneCycleLR": lambda o: lr_scheduler.OneCycleLR(o, 0.1, total_steps=30),
    "LambdaLR": lambda o: lr_scheduler.LambdaLR(o, lambda t: 1 / (1 + t)),
    "CosineAnnealingLR": lambda o: lr_scheduler.CosineAnnealingLR(o, 10),
    "ReduceLROnPlateau": lambda o: lr_scheduler.ReduceLROnPlateau(o, patience=1),
}


@pytest.mark.parametrize("name", SCHEDULERS)
def test_an_optimizer_that_has_a_scheduler_already(name):
    """TLF #81, Lightning #20355; #12670 and #14113: the finder's schedule stayed attached."""
    results = []
    for tested in (False, True):
        model, optimizer = linear()
        torch.manual_seed(0)
        model.reset_parameters()
        scheduler, seen = SCHEDULERS[name](optimizer), []
        for step in range(10):
            if tested and step in (0, 4):  # also before its first step
                lehr.torch.range_test(model, optimizer, F.cross_entropy, [(X, Y)], steps=20)
            seen += [optimizer.param_groups[0]["lr"], *epoch(model, optimizer, [(X, Y)])]
            metric = {"metrics": 1.0} if name == "ReduceLROnPlateau" else {}
            scheduler.step(**metric)
        results.append((seen, scheduler.state_dict()))
    assert results[0] == results[1]


def test_later_epochs_and_every_validation_are_complete():
    """Lightning #15603: the first epoch was skipped; #17412: validation was incomplete."""
    model, optimizer = linear()
    loader = DataLoader(list(zip(X, Y, strict=True)), batch_size=32)
    validation = DataLoader(list(zip(X[:50], Y[:50], strict=True)), batch_size=20)
    rows = []

    def counting(output, y):
        if not torch.is_grad_enabled():
            rows.append(len(y))
        return F.cross_entropy(output, y)

    lehr.torch.range_test(model, optimizer, counting, loader, validation_data=validation, steps=20)
    assert rows == [20, 20, 10] * 20
    assert [len(x) for x, _ in loader] == [32] * 6 + [8]


def test_frozen_and_unused_parameters_are_unchanged():
    """fastai #3658: crash after the start of fine-tuning."""
    model, loader = net(), batches()
    for parameter in model[0].parameters():
        parameter.requires_grad = False
    optimizer = torch.optim.AdamW([*model.parameters(), torch.nn.Parameter(torch.ones(2))])
    epoch(model, optimizer, loader)
    before = copy.deepcopy((model.state_dict(), optimizer.state_dict()))
    lehr.torch.range_test(model, optimizer, F.cross_entropy, loader, steps=20)
    same = torch.testing.assert_close
    same((model.state_dict(), optimizer.state_dict()), before, rtol=0, atol=0)
    assert [p.requires_grad for p in model.parameters()] == [False] * 2 + [True] * 4


@dataclass
class Answer:
    loss: torch.Tensor
    logits: torch.Tensor


class Transformer(torch.nn.Module):
    """Takes labels as an input and returns its loss, as Hugging Face models do."""

    def __init__(self):
        super().__init__()
        self.layer, _ = linear()

    def forward(self, features, labels=None):
        logits = self.layer(features)
        return Answer(F.cross_entropy(logits, labels), logits)


def test_a_loss_inside_forward_and_batches_that_are_not_all_tensors():
    """TLF #35, #55, #61, #71, #73, #78, #82; #57 and #76: the same in the validation loader."""
    model = Transformer()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    batch = {"features": X, "labels": Y, "names": ["a row"] * 200, "source": None}

    def step(model, batch):
        assert (batch["names"][0], batch["source"]) == ("a row", None)
        return model(batch["features"], labels=batch["labels"]).loss

    options = {"device": "cpu", "steps": 20}
    plain = lehr.torch.range_test(
        model.layer, optimizer, F.cross_entropy, [(X, Y)], validation_data=[(X, Y)], **options
    )
    sweep = lehr.torch.range_test(
        model, optimizer, None, [batch], train_step=step, validation_data=[batch], **options
    )
    assert sweep == plain


def test_no_file_is_made_without_on_disk(monkeypatch):
    """fastai #1751, #2420, #2943 and #3240, Lightning #9574: read-only folders, equal names."""
    model, optimizer = linear()
    monkeypatch.setattr(tempfile, "mkdtemp", lambda *_: pytest.fail("a folder was made"))
    lehr.torch.range_test(model, optimizer, F.cross_entropy, [(X, Y)], steps=20)
    with pytest.raises(pytest.fail.Exception, match="a folder was made"):
        lehr.torch.range_test(model, optimizer, F.cross_entropy, [(X, Y)], on_disk=True)


class DeepSpeedOptimizer:
    """The interface of DeepSpeed's optimizer: like torch's, but the engine makes the steps."""

    param_groups: tuple[()] = ()


def test_an_optimizer_that_is_not_of_torch_is_rejected():
    """Lightning #13370: crash with DeepSpeed."""
    match = r"optimizer must be a torch\.optim\.Optimizer or a list of them, got <.*DeepSpeed"
    with pytest.raises(TypeError, match=match):
        lehr.torch.range_test(linear()[0], DeepSpeedOptimizer(), F.cross_entropy, [(X, Y)])


def test_the_rates_of_accumulated_batches_are_those_of_updates():
    """Lightning #1726, holocron #504: the rate rose, or was recorded, with each micro-batch."""
    model, optimizer = linear()
    rates, micro = [], []
    optimizer.register_step_pre_hook(lambda o, *_: rates.append(o.param_groups[0]["lr"]))

    def counting(output, y):
        micro.append(len(rates))
        return F.cross_entropy(output, y)

    sweep = lehr.torch.range_test(
        model, optimizer, counting, [(X, Y)], accumulation=3, steps=20, high=0.1
    )
    assert sweep.rates == tuple(rates)
    assert micro == [update for update in range(20) for _ in range(3)]
