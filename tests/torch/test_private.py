"""lehr.torch._private: each private name exists, and a version without it raises one error.

Verified with PyTorch 2.13.0 and Accelerate 1.15.0.
"""

import copy
import inspect
import pickle
import re
from pathlib import Path

import pytest
import torch
from torch import distributed
from torch.optim import SGD
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, SequentialLR
from torch_models import drive, weights

import lehr
import lehr.torch
from lehr.torch import _private

ROOT = Path(__file__).parents[2]


def scheduler(policy=0.1, **options):
    return lehr.torch.Scheduler(SGD(weights()), policy, **options)


def test_the_error_names_the_versions_that_the_project_supports():
    oldest, newest = _private.SUPPORTED
    assert f'"torch>={oldest.removesuffix(".0")}"' in (ROOT / "pyproject.toml").read_text()
    assert f"\ntorch=={newest}\n" in (ROOT / "constraints.txt").read_text()


@pytest.fixture
def unchecked():
    """Check the names again in this test, and after it."""
    _private.check_names.cache_clear()
    yield
    _private.check_names.cache_clear()


@pytest.mark.parametrize(
    ("constant", "name"),
    [
        ("_PATCHED", "Optimizer.step._wrapped_by_lr_sched"),
        ("_HOOKS", "Optimizer._optimizer_step_pre_hooks"),
    ],
)
def test_a_version_without_a_name_is_rejected_by_the_constructor(
    unchecked, monkeypatch, constant, name
):
    monkeypatch.setattr(torch, "__version__", "9.9")
    monkeypatch.setattr(_private, constant, "_gone")
    gone = re.escape(name.replace(name.split(".")[-1], "_gone"))
    rule = rf"PyTorch must be a version with {gone}, which lehr uses to detect .*"
    with pytest.raises(RuntimeError, match=rule + r"got '9\.9'; install torch>=2\.6\.0,<=2\."):
        scheduler()


def test_names_are_checked_once(unchecked):
    scheduler()
    scheduler()
    assert _private.check_names.cache_info().misses == 1


def test_a_scheduler_of_torch_is_detected():
    optimizer = SGD(weights())
    assert not _private.has_torch_scheduler(optimizer)
    LambdaLR(optimizer, lambda _: 1.0)
    assert _private.has_torch_scheduler(optimizer)


@pytest.fixture
def accelerator():
    accelerate = pytest.importorskip("accelerate")
    yield accelerate.Accelerator(cpu=True)
    accelerate.state.AcceleratorState._reset_state(reset_partial_state=True)
    accelerate.state.GradientState._reset_state()


def test_a_wrapper_has_no_hooks(accelerator):
    optimizer = SGD(weights())
    assert _private.has_own_hooks(optimizer)
    assert not _private.has_own_hooks(accelerator.prepare(optimizer))


# Attributes that frameworks read from a scheduler.


@pytest.fixture
def two_processes(monkeypatch):
    """One process that reports a world size of two."""
    monkeypatch.setattr(distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(distributed, "get_world_size", lambda: 2)


def test_reading_accelerates_attribute_does_not_raise(two_processes):
    made = scheduler()
    assert hasattr(made, "_is_accelerate_prepared")
    assert "_is_accelerate_prepared" in dict(inspect.getmembers(made))
    assert repr(made._is_accelerate_prepared) == "<not prepared by Accelerate>"
    assert "_is_accelerate_prepared" not in vars(copy.deepcopy(made))
    assert pickle.loads(pickle.dumps(made._is_accelerate_prepared)) is not None
    made._is_accelerate_prepared = True  # as Accelerate sets on a prepared object
    assert made._is_accelerate_prepared is True


def test_accelerates_prepare_is_rejected_in_several_processes(two_processes):
    rule = r"processes must be 1 for a scheduler in Accelerator\.prepare, .* got 2; omit it"
    with pytest.raises(ValueError, match=rule):
        bool(scheduler()._is_accelerate_prepared)


def test_accelerate_wraps_the_scheduler_in_a_single_process(accelerator):
    made = scheduler(lehr.linear(0.4, 0.0, 4))
    assert not made._is_accelerate_prepared
    prepared = accelerator.prepare(made)
    assert prepared.scheduler is made
    assert accelerator._schedulers == [prepared]
    prepared.step()
    assert made.get_last_lr() == pytest.approx([0.3])


def test_accelerate_increments_the_count_for_skipped_steps():
    made = scheduler()
    assert made._step_count == 1
    made.step()
    made._step_count += 1
    assert made._step_count == 3
    assert "_step_count" not in vars(scheduler())  # stored when it is incremented


def sequence():
    (weight,) = weights(dtype=torch.float64)
    optimizer = SGD([weight], lr=1.0)
    second = lehr.torch.Scheduler(optimizer, lehr.linear(0.4, 0.0, 4), shared=True)
    return optimizer, SequentialLR(optimizer, [LambdaLR(optimizer, lambda _: 1.0), second], [2])


def test_sequential_calls_update_lr_at_its_milestone(monkeypatch):
    called = []
    update = _private.PrivateNames._update_lr
    monkeypatch.setattr(
        _private.PrivateNames,
        "_update_lr",
        lambda self, epoch=None: (called.append(epoch), update(self, epoch))[1],
    )
    optimizer, sequential = sequence()
    del called[:]
    assert drive(optimizer, sequential, 4) == pytest.approx([1.0, 1.0, 0.4, 0.3])
    assert called == [0, None, None]  # None: called by the scheduler's step


def test_without_update_lr_torch_writes_the_rate(monkeypatch):
    monkeypatch.delattr(_private.PrivateNames, "_update_lr")
    optimizer, sequential = sequence()
    assert drive(optimizer, sequential, 4) == pytest.approx([1.0, 1.0, 0.4, 0.3])


def test_the_scheduler_does_not_shadow_other_private_names_of_torch():
    (weight,) = weights()
    torchs = LambdaLR(SGD([weight]), lambda _: 1.0)
    of_torch = {name for name in {*dir(LRScheduler), *vars(torchs)} if is_private(name)}
    of_lehr = {
        name
        for cls in (lehr.torch.Scheduler, *lehr.torch.Scheduler.__mro__)
        if cls.__module__.startswith("lehr") and cls is not _private.PrivateNames
        for name in vars(cls)
    }
    assert of_torch & (of_lehr | set(vars(scheduler()))) == set()
    assert of_torch >= {"_update_lr", "_step_count", "_last_lr"}


def is_private(name):
    return name.startswith("_") and not name.startswith("__")
