"""lehr.compat.torch: runs, protocol and states are those of torch's schedulers."""

import ast
import copy
import gc
import inspect
import io
import math
import pickle
import random
import warnings
import weakref
from fractions import Fraction
from pathlib import Path

import pytest
from programs import run_python

torch = pytest.importorskip("torch")

from compat_torch import (  # noqa: E402
    CHAINABLE,
    DEFAULTS,
    LEAVES,
    NAMES,
    PEER,
    N,
    assert_same,
    make_optimizer,
    parameters,
    quiet,
    run,
    values,
)
from torch.optim import lr_scheduler, swa_utils  # noqa: E402

import lehr.compat.torch as compat  # noqa: E402

SEEDS, FEW = range(50), range(20)
SCHEDULES = [name for name in LEAVES if name not in ("LambdaLR", "MultiplicativeLR")]
SOURCE = Path(compat.__file__).parent


def one(name, arguments):
    return lambda module, optimizer: [getattr(module, name)(optimizer, **arguments)]


def several(names, seed, combine=None):
    """Return a function that makes random schedulers of one optimizer."""
    draw = random.Random(seed)
    arguments = [parameters(name, draw) for name in names]
    milestones = sorted(draw.sample(range(1, 40), len(names) - 1))

    def make(module, optimizer):
        pairs = zip(names, arguments, strict=True)
        schedulers = [getattr(module, name)(optimizer, **values) for name, values in pairs]
        if combine == "chained":
            return [module.ChainedScheduler(schedulers, optimizer=optimizer)]
        if combine == "sequential":
            return [module.SequentialLR(optimizer, schedulers, milestones)]
        return schedulers

    return make


def by_hand(seed):
    """Return events that set the rates by hand in a fifth of the steps."""
    draw = random.Random(seed)

    def set_rates(rate):
        def event(optimizer, _):
            for group in optimizer.param_groups:
                if isinstance(group["lr"], torch.Tensor):
                    group["lr"].fill_(rate)
                else:
                    group["lr"] = rate

        return event

    return {t: set_rates(draw.uniform(0.01, 1)) for t in range(N) if draw.random() < 0.2}


# Names, constructors, classes.


def test_the_names_are_those_of_torch():
    assert set(NAMES) <= set(compat.__all__)
    assert compat.EPOCH_DEPRECATION_WARNING == lr_scheduler.EPOCH_DEPRECATION_WARNING
    for name in NAMES:
        ours, theirs = getattr(compat, name), getattr(PEER, name)
        assert issubclass(ours, theirs)
        assert inspect.signature(ours) == inspect.signature(theirs)
        assert ours.__name__ == name


def test_schedulers_without_a_shape_are_torchs_own():
    for name in ("LRScheduler", "_LRScheduler", "LambdaLR", "MultiplicativeLR"):
        assert getattr(compat, name) is getattr(lr_scheduler, name)


def test_a_schedule_class_has_at_most_20_lines():
    longer = {"OneCycleLR", "ReduceLROnPlateau", "Shaped", "Composite", "SequentialLR"}
    found = {}
    for path in SOURCE.glob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef):
                docstring = node.body[0]
                found[node.name] = node.end_lineno - docstring.end_lineno
    assert {*SCHEDULES, "ChainedScheduler"} <= found.keys()
    assert {name for name, lines in found.items() if lines > 20} <= longer


def test_torch_is_imported_only_with_its_module():
    code = "import sys, lehr, lehr.compat, lehr.compat.differences; print('torch' in sys.modules)"
    assert run_python("-c", code).stdout.strip() == "False"
    code = "import sys, lehr; print([name for name in sys.modules if 'compat' in name])"
    assert run_python("-c", code).stdout.strip() == "[]"


# Runs. The oracle is the installed torch.


@pytest.mark.parametrize("name", LEAVES)
@pytest.mark.parametrize("adam", [False, True], ids=["sgd", "adam"])
def test_a_run_with_all_defaults_is_torchs(name, adam):
    assert_same(one(name, DEFAULTS.get(name, {})), adam=adam)


@pytest.mark.parametrize("name", SCHEDULES)
def test_runs_with_random_parameters_are_torchs(name):
    for seed in SEEDS:
        arguments = parameters(name, random.Random(seed))
        for tensors in (False, True):
            assert_same(one(name, arguments), seed=seed, tensors=tensors, adam=seed % 3 == 0)


@pytest.mark.parametrize("name", SCHEDULES)
def test_rates_set_by_hand_persist_as_in_torch(name):
    for seed in FEW:
        arguments = parameters(name, random.Random(seed))
        for tensors in (False, True):
            events = by_hand(seed)
            assert_same(one(name, arguments), seed=seed, events=events, tensors=tensors)


@pytest.mark.parametrize("combine", [None, "chained", "sequential"])
@pytest.mark.parametrize("count", [2, 3])
def test_several_schedulers_of_one_optimizer_are_torchs(combine, count):
    absolute = ["CosineAnnealingWarmRestarts", "LambdaLR", "MultiplicativeLR", "CyclicLR"]
    for seed in FEW:
        draw = random.Random(seed)
        names = draw.sample(CHAINABLE if seed % 3 else [*CHAINABLE, *absolute], count)
        events = by_hand(seed) if seed % 2 else None
        assert_same(several(names, seed, combine), events=events)


@pytest.mark.parametrize("outer", ["chained", "sequential"])
def test_our_schedulers_can_be_parts_of_torchs(outer):
    class Mixed:
        """The names of lehr.compat, with torch's schedulers of schedulers."""

        ChainedScheduler = lr_scheduler.ChainedScheduler
        SequentialLR = lr_scheduler.SequentialLR

        def __getattr__(self, name):
            return getattr(compat, name)

    for seed in FEW:
        names = random.Random(seed).sample(CHAINABLE, 2)
        make = several(names, seed, outer)
        expected, got = run(PEER, make), run(Mixed(), make)
        assert got == [pytest.approx(row, rel=1e-12, abs=1e-12) for row in expected]


@pytest.mark.parametrize("name", [*CHAINABLE, "CosineAnnealingWarmRestarts", "CyclicLR"])
def test_step_with_an_epoch_is_torchs(name):
    for seed in FEW:
        draw = random.Random(seed)
        arguments = parameters(name, draw)
        if name == "CosineAnnealingWarmRestarts":
            arguments["T_mult"] = 1  # the differences for larger values are in the table
        # in torch, the steps after a fraction of an epoch skip milestones
        epochs = [(draw.uniform(0, 60), draw.randint(0, 60), *[None] * 4) for _ in range(8)]
        found = []
        for module in (PEER, compat):
            optimizer = make_optimizer()
            scheduler = getattr(module, name)(optimizer, **arguments)
            optimizer.step()
            with quiet():
                for epoch in (epoch for group in epochs for epoch in group):
                    scheduler.step(epoch)
                    found.append(values(optimizer))
        half = len(found) // 2
        largest = max(map(max, found))
        for theirs, ours in zip(found[:half], found[half:], strict=True):
            assert ours == pytest.approx(theirs, rel=0, abs=1e-11 * largest)


@pytest.mark.parametrize("name", LEAVES)
def test_last_epoch_continues_as_in_torch(name):
    for seed in FEW:
        draw = random.Random(seed)
        arguments = parameters(name, draw)
        last = draw.randint(0, 9)
        if name == "ReduceLROnPlateau" or arguments.get("T_mult", 1) > 1:
            continue  # no argument last_epoch; in the table of differences

        def make(module, optimizer, arguments=arguments, last=last):
            first = getattr(module, name)(optimizer, **arguments)
            for _ in range(last + 1):
                optimizer.step()
                first.step()
            return [getattr(module, name)(optimizer, **arguments, last_epoch=last)]

        assert_same(make, n=30)


def test_versions_of_torch_without_an_initial_mode_are_supported(monkeypatch):
    def initial_step(self):
        self._step_count = 0
        self.step()

    expected = run(PEER, one("LinearLR", {}), n=10)
    monkeypatch.delattr(lr_scheduler.LRScheduler, "_is_initial")
    monkeypatch.setattr(lr_scheduler.LRScheduler, "_initial_step", initial_step)
    assert run(compat, one("LinearLR", {}), n=10) == [pytest.approx(row) for row in expected]


@pytest.mark.parametrize("t_max", [12.5, 7.3, 61 / 3])
def test_a_cosine_of_a_real_length_is_torchs(t_max):
    assert_same(one("CosineAnnealingLR", {"T_max": t_max, "eta_min": 0.01}), tolerance=1e-9)


@pytest.mark.parametrize("name", ["LinearLR", "PolynomialLR", "ConstantLR", "StepLR"])
def test_lengths_beyond_int32_are_accepted(name):
    length = 2**31 if name == "StepLR" else 10**11
    arguments = {"step_size" if name == "StepLR" else "total_iters": length}
    assert_same(one(name, arguments), n=20)


@pytest.mark.parametrize(
    ("name", "arguments", "exact"),
    [
        ("ExponentialLR", {"gamma": 0.999}, lambda t: Fraction(0.999) ** t),
        ("StepLR", {"step_size": 7, "gamma": 0.99}, lambda t: Fraction(0.99) ** (t // 7)),
        (
            "LinearLR",
            {"start_factor": 0.25, "total_iters": 3001},
            lambda t: 1 - Fraction(3, 4) * (1 - Fraction(t, 3001)),
        ),
        (
            "PolynomialLR",
            {"total_iters": 3001, "power": 2.0},
            lambda t: (1 - Fraction(t, 3001)) ** 2,
        ),
    ],
)
def test_rounding_errors_do_not_accumulate(name, arguments, exact):
    optimizer = make_optimizer()
    scheduler = getattr(compat, name)(optimizer, **arguments)
    for t in range(3001):
        if t % 100 == 0:
            expected = float(Fraction(0.1) * exact(t))
            assert scheduler.get_last_lr()[0] == pytest.approx(expected, rel=1e-15, abs=0)
        optimizer.step()
        scheduler.step()


def test_very_small_powers_still_multiply_rates_set_by_hand():
    scheduler_of = {}
    for module in (PEER, compat):
        optimizer = make_optimizer()
        scheduler = module.ExponentialLR(optimizer, gamma=0.1)
        for t in range(500):
            optimizer.step()
            scheduler.step()
            if t == 400:
                optimizer.param_groups[0]["lr"] = 1e90
        scheduler_of[module is compat] = values(optimizer)
    assert scheduler_of[True] == pytest.approx(scheduler_of[False], rel=1e-13)
    assert scheduler_of[True][0] > 0


def test_restarts_of_fractional_epochs_are_exact():
    optimizer = make_optimizer()
    wrong = []
    for first in range(1, 60):
        for factor in (2, 3, 4, 5, 10):
            scheduler = compat.CosineAnnealingWarmRestarts(optimizer, first, factor)
            start, length = 0, first  # integer arithmetic
            while start < 20_000:
                for epoch in (start, start + length - 0.5, math.nextafter(start + length, 0)):
                    scheduler.step(epoch)
                    if (scheduler.T_i, scheduler.T_cur) != (length, pytest.approx(epoch - start)):
                        wrong.append((first, factor, epoch))
                start, length = start + length, length * factor
    assert wrong == []


@pytest.mark.parametrize("first", [1, 5, 20])
@pytest.mark.parametrize("factor", [1, 2, 3])
def test_restarts_continue_at_any_last_epoch(first, factor):
    optimizer = make_optimizer()
    scheduler = compat.CosineAnnealingWarmRestarts(optimizer, first, factor)
    expected = []
    for _ in range(90):
        expected.append(scheduler.get_last_lr())
        optimizer.step()
        scheduler.step()
    for last in range(80):
        later = compat.CosineAnnealingWarmRestarts(optimizer, first, factor, last_epoch=last)
        for t in range(last + 1, last + 9):
            assert later.get_last_lr() == expected[t]
            later.step()


def test_setting_t_cur_restarts_the_cycle():
    for module in (PEER, compat):
        optimizer = make_optimizer()
        scheduler = module.CosineAnnealingWarmRestarts(optimizer, 10)
        for _ in range(15):
            optimizer.step()
            scheduler.step()
        scheduler.T_cur = -1
        scheduler.step()
        assert scheduler.T_cur == 0
        assert scheduler.get_last_lr() == [0.1, 0.05]


def test_hyperparameters_can_be_changed_during_a_run():
    for name, change in (
        ("StepLR", {"gamma": 0.5}),
        ("ExponentialLR", {"gamma": 0.5}),
        ("CosineAnnealingLR", {"eta_min": 0.02}),
    ):

        def event(optimizer, schedulers, change=change):
            vars(schedulers[0]).update(change)

        arguments = {"step_size": 4} if name == "StepLR" else DEFAULTS[name]
        assert_same(one(name, arguments), events={7: event}, n=12)


# Schedulers of schedulers; the expected rates are computed by hand.


def rates(scheduler, n):
    found = []
    for _ in range(n):
        found.append(scheduler.optimizer.param_groups[0]["lr"])
        scheduler.optimizer.step()
        scheduler.step()
    return found


def warm(module, optimizer):
    """Return a SequentialLR: 0.01, 0.055, then 0.1, 0.05, 0.025 ..."""
    parts = [
        module.LinearLR(optimizer, 0.1, total_iters=2),
        module.ExponentialLR(optimizer, 0.5),
    ]
    return module.SequentialLR(optimizer, parts, [2])


def product(module, optimizer):
    """Return a ChainedScheduler: 0.01, 0.0275, 0.025, 0.0125 ..."""
    parts = [
        module.LinearLR(optimizer, 0.1, total_iters=2),
        module.ExponentialLR(optimizer, 0.5),
    ]
    return module.ChainedScheduler(parts)


WARM, PRODUCT = [0.01, 0.055, 0.1, 0.05, 0.025], [0.01, 0.0275, 0.025, 0.0125]


@pytest.mark.parametrize("inner", [PEER, compat], ids=["torch", "lehr"])
def test_schedulers_of_schedulers_can_be_nested_at_any_position(inner):
    optimizer = make_optimizer()
    outer = compat.SequentialLR(
        optimizer,
        [
            compat.SequentialLR(
                optimizer, [warm(compat, optimizer), product(compat, optimizer)], [3]
            ),
            compat.ConstantLR(optimizer, 0.5, 2),
            product(compat, optimizer),
            warm(compat, optimizer),
        ],
        [6, 8, 12],
    )
    expected = [*WARM[:3], *PRODUCT[:3], 0.05, 0.05, *PRODUCT, *WARM]
    assert rates(outer, 17) == pytest.approx(expected, rel=1e-12)
    optimizer = make_optimizer()
    if inner is PEER:  # torch's own can only be the first part
        parts = [warm(PEER, optimizer), compat.ConstantLR(optimizer, 0.5, 2)]
        with quiet():
            scheduler = compat.SequentialLR(optimizer, parts, [4])
        assert rates(scheduler, 5)[2:] == pytest.approx([0.1, 0.05, 0.05], rel=1e-12)
    else:
        parts = [warm(compat, optimizer), warm(compat, optimizer)]
        scheduler = lr_scheduler.SequentialLR(optimizer, parts, [4])
        assert rates(scheduler, 9) == pytest.approx([*WARM[:4], *WARM], rel=1e-12)


def test_nested_schedulers_do_not_warn_about_the_order_of_steps():
    optimizer = make_optimizer()
    parts = [warm(compat, optimizer), product(compat, optimizer)]
    assert len(rates(compat.SequentialLR(optimizer, parts, [4]), 6)) == 6  # warnings are errors


def test_a_sequence_continues_from_every_last_epoch():
    def make(optimizer, last_epoch=-1):
        inner = [warm(compat, optimizer), compat.CosineAnnealingWarmRestarts(optimizer, 3, 2)]
        inner.append(compat.LambdaLR(optimizer, lambda t: 1 / (1 + t)))
        inner.append(compat.MultiplicativeLR(optimizer, lambda t: 0.9))
        return compat.SequentialLR(optimizer, inner, [4, 11, 14], last_epoch=last_epoch)

    expected = rates(make(make_optimizer()), 30)
    for last in range(20):
        optimizer = make_optimizer()
        optimizer.param_groups[0]["initial_lr"] = 0.1
        optimizer.param_groups[1]["initial_lr"] = 0.05
        optimizer.step()
        got = rates(make(optimizer, last), 8)
        assert got == pytest.approx(expected[last + 1 : last + 9], rel=1e-12)


def test_a_part_may_be_any_object_with_the_methods_that_torch_calls():
    class Halved:
        """Half of the initial rate; it has no base rates."""

        def __init__(self, optimizer):
            self.optimizer, self.last_epoch = optimizer, 0

        def step(self):
            self._update_lr(self.last_epoch + 1)

        def _update_lr(self, epoch):
            self.last_epoch = epoch
            for group in self.optimizer.param_groups:
                group["lr"] = group["initial_lr"] / 2

        def _initial_step(self):
            self._update_lr(0)

        def get_last_lr(self):
            return [group["lr"] for group in self.optimizer.param_groups]

    optimizer = make_optimizer()
    later = compat.ConstantLR(optimizer, 0.1, 2)
    inner = compat.SequentialLR(optimizer, [Halved(optimizer), later], [2])
    scheduler = compat.SequentialLR(optimizer, [Halved(optimizer), inner], [1])
    assert rates(scheduler, 5) == pytest.approx([0.05, 0.05, 0.05, 0.01, 0.01], rel=1e-12)


def test_a_part_that_replaces_the_initial_rates_does_not_change_the_first_part():
    optimizer = make_optimizer()
    warmup = compat.LinearLR(optimizer, 0.2, total_iters=4)
    cycle = compat.OneCycleLR(optimizer, 0.1, total_steps=9)
    scheduler = compat.SequentialLR(optimizer, [warmup, cycle], [4])
    assert rates(scheduler, 5) == pytest.approx([0.02, 0.04, 0.06, 0.08, 0.004], rel=1e-12)


@pytest.mark.parametrize("name", ["SequentialLR", "ChainedScheduler"])
def test_a_plateau_is_rejected_as_a_part_as_in_torch(name):
    texts = []
    for module in (PEER, compat):
        optimizer = make_optimizer()
        parts = [module.ReduceLROnPlateau(optimizer)]
        arguments = (optimizer, parts, []) if name == "SequentialLR" else (parts,)
        with pytest.raises(ValueError, match="does not support `ReduceLROnPlateau`") as error:
            getattr(module, name)(*arguments)
        texts.append(str(error.value))
    assert texts[0] == texts[1]


# Protocol: warnings, errors, group keys, tensors, groups.


@pytest.mark.parametrize("name", [*CHAINABLE, "LambdaLR", "MultiplicativeLR", "CyclicLR"])
def test_step_with_an_epoch_warns_once_a_call(name):
    optimizer = make_optimizer()
    scheduler = getattr(compat, name)(optimizer, **DEFAULTS.get(name, {}))
    optimizer.step()
    for epoch in (1, 2):
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            scheduler.step(epoch)
        assert [str(one.message) for one in found] == [compat.EPOCH_DEPRECATION_WARNING]


@pytest.mark.parametrize("name", SCHEDULES)
def test_get_lr_outside_of_step_warns_and_returns_what_torch_returns(name):
    if name == "ReduceLROnPlateau":
        return  # has no get_lr
    found = []
    for module in (PEER, compat):
        optimizer = make_optimizer()
        scheduler = getattr(module, name)(optimizer, **DEFAULTS.get(name, {}))
        for _ in range(4):
            with pytest.warns(UserWarning, match="please use `get_last_lr"):
                found.append(scheduler.get_lr())
            optimizer.step()
            scheduler.step()
    assert found[:4] == [pytest.approx(row, rel=1e-13) for row in found[4:]]


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        *[(name, {"last_epoch": 1}) for name in LEAVES if name != "ReduceLROnPlateau"],
        ("ConstantLR", {"factor": 1.5}),
        ("ConstantLR", {"factor": -0.1}),
        ("LinearLR", {"start_factor": 0.0}),
        ("LinearLR", {"start_factor": 1.1}),
        ("LinearLR", {"end_factor": 1.1}),
        ("CosineAnnealingWarmRestarts", {"T_0": 0}),
        ("CosineAnnealingWarmRestarts", {"T_mult": 1.5}),
        ("CyclicLR", {"mode": "sawtooth"}),
        ("CyclicLR", {"max_lr": [0.1]}),
        ("OneCycleLR", {"anneal_strategy": "exp"}),
        ("OneCycleLR", {"pct_start": 1.1}),
        ("OneCycleLR", {"total_steps": None}),
        ("OneCycleLR", {"total_steps": 0}),
        ("OneCycleLR", {"total_steps": None, "epochs": 3}),
        ("SWALR", {"anneal_strategy": "exp"}),
        ("SWALR", {"anneal_epochs": -1}),
        ("ReduceLROnPlateau", {"factor": 1.0}),
        ("ReduceLROnPlateau", {"mode": "mean"}),
        ("ReduceLROnPlateau", {"threshold_mode": "percent"}),
        ("ReduceLROnPlateau", {"min_lr": [0.1]}),
        ("LambdaLR", {"lr_lambda": [abs]}),
    ],
)
def test_constructor_errors_are_torchs(name, arguments):
    errors = []
    for module in (PEER, compat):
        with pytest.raises((ValueError, KeyError), match=r"\w") as error:
            getattr(module, name)(make_optimizer(), **DEFAULTS.get(name, {}) | arguments)
        errors.append((error.type, str(error.value)))
    assert errors[0] == errors[1]


@pytest.mark.parametrize("name", ["CyclicLR", "OneCycleLR"])
def test_an_optimizer_without_momentum_is_rejected(name):
    optimizer = torch.optim.Rprop([torch.nn.Parameter(torch.zeros(1))])
    with pytest.raises(ValueError, match="optimizer must support momentum or beta1"):
        getattr(compat, name)(optimizer, **DEFAULTS[name])


def test_one_cycle_raises_after_the_last_step():
    optimizer = make_optimizer()
    scheduler = compat.OneCycleLR(optimizer, 0.1, total_steps=3)
    for _ in range(3):
        optimizer.step()
        scheduler.step()
    text = r"Tried to step 4 times\. The specified number of total steps is 3"
    with pytest.raises(ValueError, match=text):
        scheduler.step()


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_keys_of_the_groups_are_torchs(name):
    found = []
    for module in (PEER, compat):
        optimizer = make_optimizer()
        getattr(module, name)(optimizer, **DEFAULTS.get(name, {}))
        found += [{**group, "params": None} for group in optimizer.param_groups]
    for theirs, ours in zip(found[:2], found[2:], strict=True):
        assert ours.pop("lr") == pytest.approx(theirs.pop("lr"), rel=1e-14)
        assert ours == theirs


@pytest.mark.parametrize("name", CHAINABLE)
def test_base_rates_do_not_alias_tensors(name):
    rate = torch.tensor(0.1)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=rate)
    scheduler = getattr(compat, name)(optimizer, **DEFAULTS.get(name, {}))
    group = optimizer.param_groups[0]
    assert group["lr"] is rate
    optimizer.step()
    scheduler.step()
    assert group["lr"] is rate  # filled in place
    rate.fill_(7.0)
    assert scheduler.base_lrs == [pytest.approx(0.1)]
    assert scheduler.base_lrs[0] is not group["initial_lr"]
    assert float(scheduler.get_last_lr()[0]) != 7.0


@pytest.mark.parametrize("name", CHAINABLE)
def test_float32_rates_are_torchs(name):
    found = []
    for module in (PEER, compat):
        optimizer = make_optimizer()
        for group in optimizer.param_groups:
            group["lr"] = torch.tensor(group["lr"])
        scheduler = getattr(module, name)(optimizer, **DEFAULTS.get(name, {}))
        for _ in range(N):
            found.append(values(optimizer))
            optimizer.step()
            scheduler.step()
    for theirs, ours in zip(found[:N], found[N:], strict=True):
        assert ours == pytest.approx(theirs, rel=0, abs=4e-7)


@pytest.mark.parametrize("name", CHAINABLE)
def test_tensor_rates_are_never_compared(name):
    # a comparison of a meta tensor raises an error, as one of a CUDA tensor would synchronize
    optimizer = make_optimizer()
    for group in optimizer.param_groups:
        group["lr"] = torch.tensor(0.1, device="meta")
    scheduler = getattr(compat, name)(optimizer, **DEFAULTS.get(name, {}))
    with quiet():
        for _ in range(60):
            scheduler.step()
    assert scheduler.last_epoch == 60
    with pytest.raises(RuntimeError, match="meta"):
        bool(optimizer.param_groups[0]["lr"] == 0.1)


@pytest.mark.parametrize("name", [*CHAINABLE, "SWALR"])
def test_groups_that_are_added_later_follow_as_in_torch(name):
    def add(optimizer, _):
        group = {"params": [torch.nn.Parameter(torch.zeros(1))], "lr": 0.3, "swa_lr": 0.02}
        optimizer.add_param_group(group)

    for seed in FEW:
        arguments = parameters(name, random.Random(seed))
        if name == "CosineAnnealingLR":
            arguments["T_max"] = 80  # torch raises an error at T_max + 1; see the table
        assert_same(one(name, arguments), events={5: add})


@pytest.mark.parametrize("name", ["CosineAnnealingWarmRestarts", "CyclicLR", "OneCycleLR"])
def test_other_schedulers_reject_groups_that_are_added_later_as_in_torch(name):
    errors = []
    for module in (PEER, compat):
        optimizer = make_optimizer()
        scheduler = getattr(module, name)(optimizer, **DEFAULTS[name])
        optimizer.add_param_group({"params": [torch.nn.Parameter(torch.zeros(1))], "lr": 0.3})
        optimizer.step()
        with pytest.raises((ValueError, KeyError), match=r"\w") as error:
            scheduler.step()
        errors.append((error.type, str(error.value)))
    assert errors[0] == errors[1]


def test_a_plateau_requires_a_bound_for_a_new_group():
    optimizer = make_optimizer()
    scheduler = compat.ReduceLROnPlateau(optimizer, patience=0, min_lr=[1e-5, 1e-4])
    optimizer.add_param_group({"params": [torch.nn.Parameter(torch.zeros(1))], "lr": 0.3})
    scheduler.step(1.0)
    with pytest.raises(RuntimeError, match="Please modify the `min_lrs` field"):
        scheduler.step(1.3)
    scheduler.min_lrs.append(0.29)
    scheduler.step(1.3)
    assert scheduler.get_last_lr() == pytest.approx([0.01, 0.005, 0.29])


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_plateau_needs_a_relative_improvement_for_either_sign(mode, sign):
    better = -1.0 if mode == "min" else 1.0
    for gain, reduced in ((0.011, False), (0.009, True), (0.0, True), (-0.1, True)):
        optimizer = make_optimizer()
        scheduler = compat.ReduceLROnPlateau(optimizer, mode=mode, patience=0, threshold=0.01)
        for metric in (sign, sign + better * gain):
            scheduler.step(metric)
        assert (scheduler.get_last_lr()[0] < 0.1) == reduced, gain


# State.


def saved(scheduler):
    """Return the state after torch.save and torch.load."""
    buffer = io.BytesIO()
    torch.save(scheduler.state_dict(), buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=not isinstance(scheduler, lr_scheduler.LambdaLR))


@pytest.mark.parametrize("name", LEAVES)
@pytest.mark.parametrize("to_ours", [True, False], ids=["torch-to-lehr", "lehr-to-torch"])
def test_a_state_dict_is_loaded_by_the_other_library(name, to_ours):
    source, target = (PEER, compat) if to_ours else (compat, PEER)
    for seed in FEW:
        draw = random.Random(seed)
        arguments, others = parameters(name, draw), parameters(name, draw)
        if name in ("LambdaLR", "MultiplicativeLR") or arguments.get("scale_fn"):
            others = arguments  # functions are not saved
        cut = draw.randint(1, 40)

        def swap(optimizer, schedulers, others=others, arguments=arguments, tensors=bool(seed % 2)):
            state, groups = saved(schedulers[0]), copy.deepcopy(optimizer.state_dict())
            other = make_optimizer(tensors=tensors)
            if "cycle_momentum" in others:
                others["cycle_momentum"] = arguments["cycle_momentum"]
            if "scale_fn" in others:
                others["scale_fn"] = arguments["scale_fn"]
            scheduler = getattr(target, name)(other, **others)
            scheduler.load_state_dict(state)
            other.load_state_dict(groups)
            optimizer.param_groups = other.param_groups
            scheduler.optimizer = optimizer
            assert vars(scheduler).keys() == vars(schedulers[0]).keys()
            return [scheduler]

        make, options = one(name, arguments), {"seed": seed, "tensors": bool(seed % 2)}
        expected = run(PEER, make, **options)
        got = run(source, make, events={cut: swap}, **options)
        largest = max(abs(value) for row in expected for value in row)
        for ours, theirs in zip(got, expected, strict=True):
            assert ours == pytest.approx(theirs, rel=0, abs=1e-12 * largest)


@pytest.mark.parametrize("to_ours", [True, False], ids=["torch-to-lehr", "lehr-to-torch"])
@pytest.mark.parametrize("combine", ["chained", "sequential"])
def test_a_state_dict_of_several_schedulers_is_loaded_by_the_other_library(combine, to_ours):
    source, target = (PEER, compat) if to_ours else (compat, PEER)
    for seed in FEW:
        make = several(random.Random(seed).sample(CHAINABLE, 3), seed, combine)

        def swap(optimizer, schedulers, make=make):
            state, groups = schedulers[0].state_dict(), copy.deepcopy(optimizer.state_dict())
            other = make_optimizer()
            (scheduler,) = make(target, other)
            scheduler.load_state_dict(state)
            other.load_state_dict(groups)
            for one_of in (scheduler, *scheduler._schedulers):
                one_of.optimizer = optimizer
            optimizer.param_groups = other.param_groups
            return [scheduler]

        expected, got = run(PEER, make), run(source, make, events={20: swap})
        assert got == [pytest.approx(row, rel=1e-12, abs=1e-12) for row in expected]


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
@pytest.mark.parametrize("name", [*SCHEDULES, "warm", "product"])
def test_a_scheduler_can_be_copied_and_pickled(name, duplicate):
    make = {"warm": warm, "product": product}.get(name)
    optimizer = make_optimizer()
    if make:
        scheduler = make(compat, optimizer)
    else:
        scheduler = getattr(compat, name)(optimizer, **DEFAULTS.get(name, {}))
    plateau = name == "ReduceLROnPlateau"
    for _ in range(3):
        optimizer.step()
        scheduler.step(*([1.0] if plateau else []))
    again = duplicate(scheduler)
    assert type(again) is type(scheduler)
    assert again.optimizer is not optimizer
    for one_of in (scheduler, again):
        for _ in range(12):
            one_of.optimizer.step()
            one_of.step(*([1.0] if plateau else []))
    assert values(again.optimizer) == values(optimizer)
    assert again.state_dict() == scheduler.state_dict() or name in ("warm", "product", "CyclicLR")


@pytest.mark.parametrize("name", SCHEDULES)
def test_there_are_no_reference_cycles(name):
    optimizer = make_optimizer()
    scheduler = getattr(compat, name)(optimizer, **DEFAULTS.get(name, {}))
    gc.collect()
    gc.disable()
    try:
        optimizer.step()
        scheduler.step(*([1.0] if name == "ReduceLROnPlateau" else []))
        references = weakref.ref(optimizer), weakref.ref(scheduler)
        del optimizer, scheduler
        assert [reference() for reference in references] == [None, None]
    finally:
        gc.enable()


def test_swa_utilities_use_the_scheduler():
    model = torch.nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    averaged = swa_utils.AveragedModel(model)
    scheduler = compat.SWALR(optimizer, swa_lr=0.05, anneal_epochs=2, anneal_strategy="linear")
    found = []
    for _ in range(4):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        averaged.update_parameters(model)
        scheduler.step()
    assert found == pytest.approx([0.1, 0.075, 0.05, 0.05])
