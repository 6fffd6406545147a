"""lehr.compat.transformers: runs, protocol and states are those of the library's schedulers."""

import ast
import copy
import inspect
import io
import pickle
import random
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from programs import run_python

pytest.importorskip("transformers")
torch = pytest.importorskip("torch")

from compat_transformers import DEFAULTS, N, make_optimizer, parameters, run  # noqa: E402
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, ReduceLROnPlateau  # noqa: E402
from transformers import SchedulerType, optimization  # noqa: E402
from transformers.trainer_pt_utils import LayerWiseDummyOptimizer  # noqa: E402

import lehr  # noqa: E402
import lehr.compat.transformers as compat  # noqa: E402

SEEDS, FEW = range(50), range(10)
FUNCTIONS = [name for name in vars(optimization) if name.startswith("get_")]
OWN = ["AdafactorSchedule", "StreamingAverage", "get_adafactor_schedule", "get_constant_schedule"]
SOURCE = Path(compat.__file__).parent


def make(module, name, arguments, optimizer=None):
    return getattr(module, name)(optimizer or make_optimizer(), **arguments)


# Names and signatures.


def test_the_names_are_those_of_the_library():
    others = {"GreedyLR", "SchedulerType", "TYPE_TO_SCHEDULER_FUNCTION", *OWN}
    assert set(compat.__all__) == {*FUNCTIONS, *others}
    assert compat.SchedulerType is SchedulerType
    for name in OWN:
        assert getattr(compat, name) is getattr(optimization, name)


@pytest.mark.parametrize("name", [*FUNCTIONS, "GreedyLR"])
def test_the_arguments_and_defaults_are_those_of_the_library(name):
    ours, theirs = (
        inspect.signature(getattr(module, name)).parameters.values()
        for module in (compat, optimization)
    )
    assert [(p.name, p.kind, p.default) for p in ours] == [
        (p.name, p.kind, p.default) for p in theirs
    ]


def test_every_type_has_the_function_of_the_library():
    theirs = optimization.TYPE_TO_SCHEDULER_FUNCTION
    ours = compat.TYPE_TO_SCHEDULER_FUNCTION
    assert {key: function.__name__ for key, function in ours.items()} == {
        key: function.__name__ for key, function in theirs.items()
    }


def test_a_function_has_at_most_20_lines():
    found = {}
    for path in SOURCE.glob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                found[node.name] = node.end_lineno - node.body[0].end_lineno
    assert found.keys() >= {*FUNCTIONS, "GreedyLR"} - set(OWN)
    assert max(found.values()) <= 20


def test_the_library_is_imported_only_with_its_module():
    modules = "lehr, lehr.compat.differences, lehr.compat.torch"
    code = f"import sys, {modules}; print('transformers' in sys.modules)"
    assert run_python("-c", code).stdout.strip() == "False"


# Runs. The oracle is the installed library.


def assert_same(theirs, ours, metrics=None, tolerance=1e-12):
    expected, got = np.array(run(theirs, metrics=metrics)), np.array(run(ours, metrics=metrics))
    assert np.abs(got - expected).max() <= tolerance * np.abs(expected).max()
    assert ours.get_last_lr() == pytest.approx(theirs.get_last_lr(), abs=tolerance)


@pytest.mark.parametrize("name", DEFAULTS)
def test_a_run_with_all_defaults_is_that_of_the_library(name):
    assert_same(*(make(module, name, DEFAULTS[name]) for module in (optimization, compat)))


@pytest.mark.parametrize("name", DEFAULTS)
def test_runs_with_random_parameters_are_those_of_the_library(name):
    for seed in SEEDS:
        arguments = parameters(name, random.Random(seed))
        assert_same(*(make(module, name, arguments) for module in (optimization, compat)))


@pytest.mark.parametrize("name", DEFAULTS)
def test_step_with_an_epoch_is_that_of_the_library(name):
    for seed in FEW:
        draw = random.Random(seed)
        arguments = {
            k: int(v) if "steps" in k and v is not None else v
            for k, v in parameters(name, draw).items()
        }
        if arguments.get("num_training_steps") == arguments.get("num_warmup_steps", -1):
            arguments["num_training_steps"] += 1
        # the differences for fractions of a step are in the table
        whole = name.endswith(("hard_restarts_schedule_with_warmup", "warmup_lr_rate"))
        epochs = [draw.randint(0, 110) if whole else draw.uniform(0, 110) for _ in range(20)]
        found = []
        for module in (optimization, compat):
            scheduler = make(module, name, arguments)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                for epoch in epochs:
                    scheduler.step(epoch)
                    found.append(scheduler.get_last_lr()[0])
        assert found[20:] == pytest.approx(found[:20], rel=0, abs=1e-12), (seed, arguments)


@pytest.mark.parametrize("name", DEFAULTS)
def test_a_run_that_continues_with_last_epoch_is_that_of_the_library(name):
    def continued(module):
        optimizer = make_optimizer()
        run(make(module, name, DEFAULTS[name], optimizer), 31)
        return make(module, name, {**DEFAULTS[name], "last_epoch": 30}, optimizer)

    assert_same(continued(optimization), continued(compat))
    with pytest.raises(KeyError, match="initial_lr"):
        make(compat, name, {**DEFAULTS[name], "last_epoch": 30})


# The protocol of LambdaLR.


@pytest.mark.parametrize("name", DEFAULTS)
def test_the_scheduler_is_a_lambda_lr_of_a_schedule(name):
    scheduler = make(compat, name, DEFAULTS[name])
    assert type(scheduler) is LambdaLR
    assert isinstance(scheduler, LRScheduler)
    if name not in OWN:
        (shape,) = scheduler.lr_lambdas[0].args
        assert isinstance(shape, lehr.schedule.Schedule)
        assert [scheduler.lr_lambdas[1](t) for t in range(50)] == [shape(t) for t in range(50)]


class Wrapped:
    """A callable object that replaces a function of a scheduler."""

    def __init__(self, f):
        self.f = f
        self.calls = 0

    def __call__(self, step):
        self.calls += 1
        return 0.5 * self.f(step)


def test_the_functions_can_be_replaced():
    lengths = {"num_warmup_steps": 2, "num_training_steps": 6}
    scheduler = make(compat, "get_linear_schedule_with_warmup", lengths)
    scheduler.lr_lambdas = [Wrapped(f) for f in scheduler.lr_lambdas]
    assert [row[0] for row in run(scheduler, 6)[1:]] == pytest.approx(
        [0.05, 0.1, 0.075, 0.05, 0.025]
    )
    assert scheduler.lr_lambdas[0].calls == 6
    state = scheduler.state_dict()
    assert state["lr_lambdas"][0].keys() == {"f", "calls"}


def test_many_schedulers_of_one_optimizer_start_from_its_initial_rates():
    optimizer, other = make_optimizer(), make_optimizer()
    for name in DEFAULTS:
        theirs = make(optimization, name, DEFAULTS[name], optimizer)
        ours = make(compat, name, DEFAULTS[name], other)
        with pytest.warns(UserWarning, match="please use `get_last_lr"):  # as in the library
            first = ours.get_lr()  # before any step
        with pytest.warns(UserWarning, match="please use `get_last_lr"):
            assert first == theirs.get_lr()
        expected = run(theirs, 30)
        assert run(ours, 30) == [pytest.approx(row, rel=1e-12, abs=1e-15) for row in expected]


# States.


def saved(state):
    """Return a state after saving and loading it as a file without code."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=True)


@pytest.mark.parametrize("to_ours", [True, False], ids=["theirs-to-ours", "ours-to-theirs"])
@pytest.mark.parametrize("name", DEFAULTS)
def test_a_state_dict_is_loaded_by_the_other_library(name, to_ours):
    source, target = (optimization, compat) if to_ours else (compat, optimization)
    for seed in FEW:
        arguments = parameters(name, random.Random(seed))
        expected = run(make(optimization, name, arguments), N)
        optimizer = make_optimizer()
        scheduler = make(source, name, arguments, optimizer)
        first = run(scheduler, 40)
        state, groups = saved(scheduler.state_dict()), copy.deepcopy(optimizer.state_dict())
        other = make_optimizer()
        scheduler = make(target, name, arguments, other)
        scheduler.load_state_dict(state)
        other.load_state_dict(groups)
        got = np.array(first + run(scheduler, N - 40))
        assert np.abs(got - np.array(expected)).max() <= 1e-12 * np.abs(expected).max()


@pytest.mark.parametrize("name", DEFAULTS)
def test_the_state_dicts_are_equal(name):
    states = []
    for module in (optimization, compat):
        scheduler = make(module, name, DEFAULTS[name])
        run(scheduler, 20)
        states.append(scheduler.state_dict())
    theirs, ours = states
    assert ours.pop("_last_lr") == pytest.approx(theirs.pop("_last_lr"), rel=1e-12)
    assert ours == theirs


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_a_scheduler_can_be_copied_and_pickled(duplicate):
    for name in DEFAULTS:
        for seed in FEW:
            scheduler = make(compat, name, parameters(name, random.Random(seed)))
            run(scheduler, 20)
            again = duplicate(scheduler)
            assert again.optimizer is not scheduler.optimizer
            assert run(again, 60) == run(scheduler, 60)


# get_scheduler.


OPTIONS = {
    "cosine_with_restarts": {"num_cycles": 3},
    "polynomial": {"power": 2.0, "lr_end": 0.01},
    "inverse_sqrt": {"timescale": 30},
    "cosine_with_min_lr": {"min_lr_rate": 0.1},
    "cosine_warmup_with_min_lr": {"min_lr": 0.01, "warmup_lr_rate": 0.3},
    "warmup_stable_decay": {"num_decay_steps": 30, "decay_type": "1-sqrt"},
    "reduce_lr_on_plateau": {"patience": 2, "factor": 0.5},
    "greedy": {"patience": 2, "factor": 0.5, "max_lr": 2.0},
}


@pytest.mark.parametrize("name", [kind.value for kind in SchedulerType])
def test_get_scheduler_returns_the_scheduler_of_each_type(name):
    draw = random.Random(1)
    metrics = None
    if name in ("reduce_lr_on_plateau", "greedy"):
        metrics = [0.9**t + draw.random() / 10 for t in range(N)]
    theirs, ours = (
        module.get_scheduler(kind, make_optimizer(), 10, 100, OPTIONS.get(name))
        for module, kind in ((optimization, SchedulerType(name)), (compat, name))
    )
    assert_same(theirs, ours, metrics)


@pytest.mark.parametrize("name", ["cosine", "inverse_sqrt", "warmup_stable_decay", "linear"])
@pytest.mark.parametrize(("warmup", "steps"), [(None, 100), (10, None), (None, None)])
def test_a_missing_length_is_the_librarys_error(name, warmup, steps):
    found = []
    for module in (optimization, compat):
        try:
            module.get_scheduler(name, make_optimizer(), warmup, steps, OPTIONS.get(name))
            found.append(None)
        except ValueError as error:
            found.append(str(error))
    assert found[0] == found[1]


def test_wrong_arguments_are_errors_of_the_library():
    with pytest.raises(ValueError, match="sawtooth is not a valid SchedulerType"):
        compat.get_scheduler("sawtooth", make_optimizer())
    with pytest.raises(TypeError, match="unexpected keyword argument 'period'"):
        compat.get_scheduler("linear", make_optimizer(), 1, 9, {"period": 3})
    with pytest.raises(ValueError, match=r"lr_end \(0.2\) must be smaller than initial lr \(0.2\)"):
        make(compat, "get_polynomial_decay_schedule_with_warmup",
             {"num_warmup_steps": 1, "num_training_steps": 9, "lr_end": 0.2})  # fmt: skip
    lengths = {"num_warmup_steps": 1, "num_training_steps": 9}
    name = "get_cosine_with_min_lr_schedule_with_warmup"
    with pytest.raises(ValueError, match="Only one of min_lr or min_lr_rate"):
        make(compat, name, {**lengths, "min_lr": 0.0, "min_lr_rate": 0.0})
    with pytest.raises(ValueError, match="One of min_lr or min_lr_rate should be set"):
        make(compat, name, lengths)
    lengths["num_decay_steps"] = 3
    with pytest.raises(ValueError, match="Unknown warmup type: x, expected 'linear'"):
        make(compat, "get_wsd_schedule", {**lengths, "warmup_type": "x"})
    with pytest.raises(ValueError, match="Unknown decay type: x, expected 'linear'"):
        make(compat, "get_wsd_schedule", {**lengths, "decay_type": "x"})
    with pytest.raises(ValueError, match="Either num_training_steps or num_stable_steps"):
        make(compat, "get_wsd_schedule", {"num_warmup_steps": 1, "num_decay_steps": 2})
    with pytest.warns(UserWarning, match="num_stable_steps will be used"):
        make(compat, "get_wsd_schedule", {**lengths, "num_stable_steps": 2})


def test_a_rejected_argument_leaves_the_optimizer_unchanged():
    optimizer = make_optimizer()
    before = copy.deepcopy(optimizer.state_dict())
    with pytest.raises(ValueError, match="timescale must be"):
        compat.get_inverse_sqrt_schedule(optimizer, 5, timescale=0)
    assert optimizer.state_dict() == before


@pytest.mark.parametrize("module", [optimization, compat], ids=["theirs", "ours"])
def test_a_layer_wise_optimizer_is_scheduled_in_the_backward_pass(module):
    weight = torch.nn.Parameter(
        torch.ones(1)
    )  # with more than one, the library fails in torch 2.13
    optimizer = torch.optim.SGD([weight], lr=0.1)
    dummy = LayerWiseDummyOptimizer({weight: optimizer}, lr=0.1)
    scheduler = module.get_scheduler("linear", dummy, 0, 4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the optimizer itself makes no step here
        for _ in range(2):
            weight.sum().backward()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.05)
    assert scheduler.get_last_lr() == [0.1]


# Schedulers of metrics.


def greedy_arguments(draw: random.Random) -> dict:
    """Return random valid arguments of GreedyLR for two groups."""
    integer, uniform, choice = draw.randint, draw.uniform, draw.choice
    return {
        **{"mode": choice(["min", "max"]), "factor": uniform(0.3, 0.95), "patience": integer(0, 4)},
        **{"threshold": choice([0.0, 1e-6, 0.1]), "threshold_mode": choice(["abs", "rel"])},
        **{"cooldown": integer(0, 3), "warmup": integer(0, 3)},
        **{"min_lr": choice([1e-3, [0.05, 0.01]]), "max_lr": choice([1.0, [0.3, 0.2]])},
        **{"smooth": choice([True, False]), "window_size": integer(1, 9)},
        **{"reset_start": integer(1, 9)},
    }


def greedy_metrics(draw: random.Random) -> list[float]:
    trend = draw.choice([0.97, 1.0, 1.03])
    return [trend**t + 0.1 * draw.random() for t in range(N)]


def test_greedy_runs_are_those_of_the_library():
    changed = 0
    for seed in SEEDS:
        draw = random.Random(seed)
        arguments, metrics = greedy_arguments(draw), greedy_metrics(draw)
        theirs, ours = (
            module.GreedyLR(make_optimizer(), **arguments) for module in (optimization, compat)
        )
        rows = run(theirs, metrics=metrics)
        assert run(ours, metrics=metrics) == rows
        assert ours.state_dict() == theirs.state_dict()
        changed += len({tuple(row) for row in rows}) > 2
    assert changed > 40


@pytest.mark.parametrize("to_ours", [True, False], ids=["theirs-to-ours", "ours-to-theirs"])
def test_a_greedy_state_is_loaded_by_the_other_library(to_ours):
    source, target = (optimization, compat) if to_ours else (compat, optimization)
    for seed in FEW:
        draw = random.Random(seed)
        arguments, metrics = greedy_arguments(draw), greedy_metrics(draw)
        expected = run(optimization.GreedyLR(make_optimizer(), **arguments), metrics=metrics)
        first = source.GreedyLR(make_optimizer(), **arguments)
        head = run(first, 40, metrics)
        again = target.GreedyLR(make_optimizer())
        again.load_state_dict(saved(first.state_dict()))
        assert head + run(again, N - 40, metrics[40:]) == expected


def test_a_partial_greedy_state_changes_only_its_keys():
    scheduler = compat.GreedyLR(make_optimizer(), patience=7)
    before = scheduler.state_dict()
    scheduler.load_state_dict({"best": 5.0, "num_bad_epochs": 3})
    assert scheduler.state_dict() == before | {"best": 5.0, "num_bad_epochs": 3}


@pytest.mark.parametrize("mode", ["min", "max"])
def test_a_relative_threshold_is_a_share_of_the_absolute_best_metric(mode):
    sign = -1.0 if mode == "min" else 1.0
    for best in (100.0, -100.0):
        options = {"mode": mode, "threshold_mode": "rel", "threshold": 0.1}
        scheduler = compat.GreedyLR(make_optimizer(), **options)
        scheduler.step(best)
        scheduler.step(best + sign * 9.0)  # better, within the threshold
        assert scheduler.num_bad_epochs == 1
        scheduler.step(best + sign * 11.0)
        assert scheduler.best == best + sign * 11.0


def test_the_classes_are_those_that_a_trainer_recognizes():
    assert isinstance(compat.get_greedy_schedule(make_optimizer()), optimization.GreedyLR)
    assert isinstance(compat.get_reduce_on_plateau_schedule(make_optimizer()), ReduceLROnPlateau)
    assert isinstance(compat.get_constant_schedule(make_optimizer()), LambdaLR)
    assert callable(partial(compat.get_scheduler, "linear"))
