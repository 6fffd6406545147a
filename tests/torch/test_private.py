"""lehr.torch._private: the private names exist here, and a version without one gets one error.

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
def anew():
    """Check the names anew, also after the test."""
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
def test_a_version_without_a_name_is_refused_when_a_scheduler_is_made(
    anew, monkeypatch, constant, name
):
    monkeypatch.setattr(torch, "__version__", "9.9")
    monkeypatch.setattr(_private, constant, "_gone")
    gone = re.escape(name.replace(name.split(".")[-1], "_gone"))
    rule = rf"PyTorch must be a version with {gone}, which lehr uses to detect .*"
    with pytest.raises(RuntimeError, match=rule + r"got '9\.9'; install torch>=2\.6\.0,<=2\."):
        scheduler()


def test_names_are_checked_once(anew):
    scheduler()
    scheduler()
    assert _private.check_names.cache_info().misses == 1


def test_a_scheduler_of_torch_is_seen():
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


def test_a_wrapper_has_no_hooks_of_its_own(accelerator):
    optimizer = SGD(weights())
    assert _private.has_own_hooks(optimizer)
    assert not _private.has_own_hooks(accelerator.prepare(optimizer))


# The attributes that frameworks look for on a scheduler


@pytest.fixture
def two(monkeypatch):
    """One process that believes it is one of two."""
    monkeypatch.setattr(distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(distributed, "get_world_size", lambda: 2)


def test_nothing_is_raised_where_accelerates_attribute_is_only_read(two):
    made = scheduler()
    assert hasattr(made, "_is_accelerate_prepared")
    assert "_is_accelerate_prepared" in dict(inspect.getmembers(made))
    assert repr(made._is_accelerate_prepared) == "<not prepared by Accelerate>"
    assert "_is_accelerate_prepared" not in vars(copy.deepcopy(made))
    assert pickle.loads(pickle.dumps(made._is_accelerate_prepared)) is not None
    made._is_accelerate_prepared = True  # as Accelerate does with what it has prepared
    assert made._is_accelerate_prepared is True


def test_accelerates_prepare_is_refused_in_several_processes(two):
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


def test_accelerate_counts_the_steps_that_it_leaves_out():
    made = scheduler()
    assert made._step_count == 1
    made.step()
    made._step_count += 1
    assert made._step_count == 3
    assert "_step_count" not in vars(scheduler())  # until it is raised


def sequence():
    (weight,) = weights(dtype=torch.float64)
    optimizer = SGD([weight], lr=1.0)
    ours = lehr.torch.Scheduler(optimizer, lehr.linear(0.4, 0.0, 4), shared=True)
    return optimizer, SequentialLR(optimizer, [LambdaLR(optimizer, lambda _: 1.0), ours], [2])


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
    assert called == [0, None, None]  # then as a step of ours


def test_without_update_lr_torchs_own_writes_the_rate(monkeypatch):
    monkeypatch.delattr(_private.PrivateNames, "_update_lr")
    optimizer, sequential = sequence()
    assert drive(optimizer, sequential, 4) == pytest.approx([1.0, 1.0, 0.4, 0.3])


def test_no_other_name_of_the_scheduler_hides_a_private_one_of_torch():
    (weight,) = weights()
    torchs = LambdaLR(SGD([weight]), lambda _: 1.0)
    theirs = {name for name in {*dir(LRScheduler), *vars(torchs)} if is_private(name)}
    ours = {
        name
        for cls in (lehr.torch.Scheduler, *lehr.torch.Scheduler.__mro__)
        if cls.__module__.startswith("lehr") and cls is not _private.PrivateNames
        for name in vars(cls)
    }
    assert theirs & (ours | set(vars(scheduler()))) == set()
    assert theirs >= {"_update_lr", "_step_count", "_last_lr"}


def is_private(name):
    return name.startswith("_") and not name.startswith("__")
