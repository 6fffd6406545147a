"""lehr.compat.torch_lr_finder: runs equal to torch_lr_finder's, its protocol, and exact reset."""

import copy
import gc
import inspect
import math
import random
import sys
import types

import pytest

torch = pytest.importorskip("torch")

import compat_lr_finder as cases  # noqa: E402
import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402
from torch.utils.data import DataLoader  # noqa: E402

from lehr.compat import torch_lr_finder as compat  # noqa: E402
from lehr.compat.torch_lr_finder import lr_finder as module  # noqa: E402

MSE = torch.nn.MSELoss()


def finder(model=None, lr=1e-5, **options):
    model = model or cases.net()
    return compat.LRFinder(model, torch.optim.SGD(model.parameters(), lr=lr), MSE, **options)


def settings(draw):
    """Return random arguments of a range test and of its optimizer and data."""
    test = {
        "end_lr": 10 ** draw.uniform(-2, 2),
        "num_iter": draw.randint(2, 40),
        "step_mode": draw.choice(["exp", "linear", "EXP"]),
        "smooth_f": draw.choice([0.05, 0, draw.random()]),
        "diverge_th": draw.choice([5, draw.uniform(1.05, 6)]),
        "accumulation_steps": draw.choice([1, 1, 2, 3]),
        "start_lr": draw.choice([None, 10 ** draw.uniform(-4, 0), [1e-3, 1e-2]]),
    }
    rows, validation = draw.choice([(24, 8), (20, 8), (3, 8)]), draw.random() < 0.4
    return test, rows, validation, draw.choice(["SGD", "Adam"]), draw.random() < 0.5


def outcome(library, test, rows, validation, optimizer, groups):
    """Return everything that a range test of a library leaves."""
    model = cases.net(5)
    parts = [{"params": model[0].parameters(), "lr": 1e-3}, {"params": model[2].parameters()}]
    options = {"momentum": 0.9} if optimizer == "SGD" else {}
    made = getattr(torch.optim, optimizer)(parts, lr=1e-2, **options)
    found = library.LRFinder(model, made, MSE)
    loaders = {"val_loader": cases.loader(11, 4)} if validation else {}
    torch.manual_seed(1)
    found.range_test(cases.loader(*rows, shuffle=True), **loaders, **test)
    skips = {"skip_start": 0, "skip_end": 0}
    _, axes = plt.subplots()
    result = found.plot(ax=axes, **skips) if len(found.history["lr"]) > 1 else None
    lines = [line.get_xydata() for line in axes.lines]
    plt.close()
    return found, result and result[1], lines, [p.detach() for p in model.parameters()]


@pytest.mark.parametrize("seed", range(60))
def test_a_run_equals_that_of_the_library(seed):
    drawn = settings(random.Random(seed))
    (ours, rate, lines, weights), (theirs, *others) = (
        outcome(library, *drawn) for library in (module, cases.library())
    )
    assert ours.history["lr"] == pytest.approx(theirs.history["lr"], rel=1e-13)
    assert ours.history["loss"] == pytest.approx(theirs.history["loss"], rel=1e-4)
    assert ours.best_loss == pytest.approx(theirs.best_loss, rel=1e-4)
    assert rate == pytest.approx(others[0], rel=1e-13)
    np.testing.assert_allclose(lines, others[1], rtol=1e-4)
    for one, two in zip(weights, others[2], strict=True):
        torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-5)


def test_a_run_with_all_defaults_equals_that_of_the_library():
    found = []
    for library in (compat, cases.library()):
        model = cases.net()
        made = library.LRFinder(model, torch.optim.SGD(model.parameters(), lr=1e-4), MSE)
        made.range_test(cases.loader())
        _, axes = plt.subplots()
        found.append((made.history, made.plot(ax=axes)[1]))
        plt.close()
    (ours, rate), (theirs, other) = found
    assert len(ours["lr"]) > 50
    assert ours["lr"] == pytest.approx(theirs["lr"], rel=1e-13)
    assert ours["loss"] == pytest.approx(theirs["loss"], rel=1e-4)
    assert rate == pytest.approx(other, rel=1e-13)


@pytest.mark.parametrize("name", ["LinearLR", "ExponentialLR"])
def test_a_scheduler_equals_that_of_the_library(name):
    draw = random.Random(name)
    for _ in range(50):
        base, end, n = 10 ** draw.uniform(-6, 0), 10 ** draw.uniform(-6, 2), draw.randint(2, 50)
        runs = []
        for library in (module, cases.library()):
            optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=base)
            scheduler = getattr(library, name)(optimizer, end, n)
            runs.append([])
            for _ in range(n):
                runs[-1].append(optimizer.param_groups[0]["lr"])
                assert scheduler.get_last_lr() == [runs[-1][-1]]
                optimizer.step()
                scheduler.step()
        assert runs[0] == pytest.approx(runs[1], rel=1e-13)
        assert runs[0][-1] == end


def test_the_signatures_are_those_of_the_library():
    library = cases.library()
    for name in ("LRFinder", "DataLoaderIter", "TrainDataLoaderIter", "ValDataLoaderIter"):
        ours, theirs = getattr(compat, name), getattr(library, name)
        public = [m for m in vars(theirs) if m[0] != "_" and callable(getattr(theirs, m))]
        # subclasses override these
        inner = [m for m in ("_train_batch", "_validate", "_move_to_device") if hasattr(theirs, m)]
        for method in ["__init__", *public, *inner]:
            assert parameters(getattr(ours, method)) == parameters(getattr(theirs, method))
    for name in ("StateCacher", "LinearLR", "ExponentialLR"):
        assert parameters(getattr(module, name)) == parameters(getattr(library, name))


def parameters(function):
    return [(p.name, p.default) for p in inspect.signature(function).parameters.values()]


def test_few_iterations_reach_the_last_rate():
    made = finder()
    made.range_test(cases.loader(), num_iter=5, end_lr=0.1)
    assert made.history["lr"] == pytest.approx([1e-5, 1e-4, 1e-3, 1e-2, 0.1])
    made.reset()
    made.range_test(cases.loader(), num_iter=5, end_lr=5e-5, step_mode="linear")
    assert made.history["lr"] == pytest.approx([1e-5, 2e-5, 3e-5, 4e-5, 5e-5])


def test_the_criterion_and_the_iterators_are_called_once_per_batch():
    calls = []

    class Batches(compat.TrainDataLoaderIter):
        def inputs_labels_from_batch(self, batch_data):
            calls.append("batch")
            return super().inputs_labels_from_batch(batch_data)

    class Validation(compat.ValDataLoaderIter):
        def inputs_labels_from_batch(self, batch_data):
            calls.append("validation")
            return super().inputs_labels_from_batch(batch_data)

    made = finder()
    made.criterion = lambda outputs, labels: calls.append("criterion") or MSE(outputs, labels)
    validation = Validation(cases.loader(8, 4))
    batches = Batches(cases.loader())
    made.range_test(batches, validation, num_iter=7, accumulation_steps=3)
    assert (calls.count("batch"), calls.count("validation")) == (21, 14)
    assert calls.count("criterion") == 35


def test_inputs_of_any_type_are_one_argument_and_further_parts_of_a_batch_are_ignored():
    class Words(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(1))

        def forward(self, words):
            return torch.stack([self.weight * len(word) for word in words])

    batches = DataLoader([(["a", "bc"], torch.ones(2, 1), "name", 3)] * 4, batch_size=None)
    made = finder(Words())
    made.range_test(batches, num_iter=4, end_lr=1e-3)
    assert len(made.history["loss"]) == 4


def test_subclasses_replace_the_training_step():
    class Own(compat.LRFinder):
        def _train_batch(self, train_iter, accumulation_steps, non_blocking_transfer=True):
            inputs, labels = self._move_to_device(*next(train_iter))
            self.optimizer.zero_grad()
            loss = self.criterion(self.model(inputs), labels)
            loss.backward()
            self.optimizer.step()
            return loss.item()

    found = []
    for kind in (Own, compat.LRFinder):
        model = cases.net()
        made = kind(model, torch.optim.SGD(model.parameters(), lr=1e-3), MSE)
        made.range_test(cases.loader(), num_iter=10, end_lr=0.1)
        found.append(made.history)
    assert found[0] == found[1]


class Noisy(torch.nn.Module):
    """A model with dropout, statistics, and a buffer that is not in its state dict."""

    def __init__(self):
        super().__init__()
        self.net = torch.nn.Sequential(
            torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8), torch.nn.Linear(8, 1)
        )
        self.register_buffer("calls", torch.zeros(()), persistent=False)
        self.unknown = iter([1])  # a type that lehr.torch.range_test rejects

    def forward(self, x):
        self.calls += 1
        return self.net(x) + 0.01 * self.calls


def train(model, optimizer, updates=6):
    torch.manual_seed(2)
    losses = []
    for (x, y), _ in zip(cases.loader(80, 8), range(updates), strict=False):
        optimizer.zero_grad()
        loss = MSE(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("optimizer", ["SGD", "Adam", "Adagrad"])
@pytest.mark.parametrize("on_disk", [False, True])
def test_training_after_each_reset_equals_training_without_a_test(optimizer, on_disk, tmp_path):
    torch.manual_seed(0)
    model = Noisy()
    options = {"momentum": 0.9} if optimizer == "SGD" else {}
    made = getattr(torch.optim, optimizer)(model.parameters(), lr=0.01, **options)
    train(model, made)
    model.eval()
    cache = {"memory_cache": False, "cache_dir": str(tmp_path)} if on_disk else {}
    test = compat.LRFinder(model, made, MSE, **cache)
    assert bool(list(tmp_path.iterdir())) == on_disk
    states = []
    for _ in range(3):
        states.append(copy.deepcopy((model.state_dict(), made.state_dict(), model.calls)))
        modes = model.training
        test.range_test(cases.loader(), num_iter=8, start_lr=0.1, end_lr=1e4)
        assert not torch.equal(model.net[0].weight, states[0][0]["net.0.weight"])
        test.reset()
        assert model.training == modes
    losses = train(model, made)
    test.reset()
    assert train(model, made) == losses
    test.reset()
    torch.testing.assert_close(
        (model.state_dict(), made.state_dict(), model.calls), states[0], rtol=0, atol=0
    )
    del test
    gc.collect()
    assert not list(tmp_path.iterdir())  # the files are removed with the finder


def test_an_optimizer_with_a_scheduler_is_rejected_also_after_a_test():
    model = cases.net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    made = compat.LRFinder(model, optimizer, MSE)
    made.range_test(cases.loader(), num_iter=3)
    history = copy.deepcopy(made.history)
    with pytest.raises(RuntimeError, match="Optimizer already has a scheduler attached to it"):
        made.range_test(cases.loader())
    with pytest.raises(RuntimeError, match="Optimizer already has a scheduler attached to it"):
        compat.LRFinder(model, optimizer, MSE)
    assert made.history == history


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"num_iter": 0}, "`num_iter` must be larger than 1"),
        ({"num_iter": 1, "step_mode": "linear"}, "`num_iter` must be larger than 1"),
        ({"step_mode": "cosine"}, r"expected one of \(exp, linear\), got cosine"),
        ({"smooth_f": 1}, "smooth_f is outside the range"),
        ({"smooth_f": -0.1}, "smooth_f is outside the range"),
        ({"smooth_f": math.nan}, "smooth_f is outside the range"),
        ({"start_lr": [0.1, 0.2]}, "Length of `new_lrs` is not equal to the number of parameter"),
        ({"end_lr": 0.0}, "end_lr must be a number above 0, got 0.0"),
        ({"val_loader": [(1, 2)]}, "`val_loader` has unsupported type"),
        ({"train_loader": [(1, 2)]}, "`train_loader` has unsupported type"),
        ({"val_loader": "train"}, "`val_loader` has unsupported type"),
    ],
)
def test_a_wrong_argument_changes_nothing(arguments, match):
    made = finder(lr=0.1)
    made.history = {"lr": [1.0], "loss": [2.0]}
    made.model.eval()
    before = copy.deepcopy((made.model.state_dict(), made.optimizer.state_dict(), made.history))
    with pytest.raises(ValueError, match=match):
        made.range_test(**{"train_loader": cases.loader(), "start_lr": 0.3} | arguments)
    after = (made.model.state_dict(), made.optimizer.state_dict(), made.history)
    torch.testing.assert_close(after, before, rtol=0, atol=0)
    assert not made.model.training


def test_batches_of_another_form_need_a_subclass():
    rows = [{"x": torch.ones(4), "y": torch.ones(1)}] * 8
    made = finder()
    with pytest.raises(ValueError, match="Your batch type is not supported: <class 'dict'>"):
        made.range_test(DataLoader(rows, batch_size=4), num_iter=3)
    made.reset()

    class Train(compat.TrainDataLoaderIter):
        def inputs_labels_from_batch(self, batch_data):
            return batch_data["x"], batch_data["y"]

    class Validation(compat.ValDataLoaderIter):
        inputs_labels_from_batch = Train.inputs_labels_from_batch

    data = DataLoader(rows, batch_size=4)
    with pytest.raises(ValueError, match="Your batch type is not supported"):
        made.range_test(Train(data), val_loader=data, num_iter=3)
    made.reset()
    made.range_test(Train(data), val_loader=Validation(data), num_iter=3)
    assert len(made.history["lr"]) == 3


def test_a_validation_loader_without_samples_is_rejected():
    with pytest.raises(ValueError, match="val_loader must be a data loader with at least one"):
        finder().range_test(cases.loader(), val_loader=cases.loader(3, 8, drop_last=True))


def test_iterators_follow_the_data_loader():
    assert isinstance(compat.TrainDataLoaderIter([(1, 2)]), compat.DataLoaderIter)
    once = compat.TrainDataLoaderIter([(1, 2)], auto_reset=False)
    assert list(once) == [(1, 2)]
    validation = compat.ValDataLoaderIter([(1, 2), (3, 4)])
    assert next(validation) == (1, 2)
    assert list(validation) == [(3, 4)]  # not restarted before its end
    assert next(validation, None) is None
    assert list(validation) == [(1, 2), (3, 4)]
    data = cases.loader()
    assert compat.ValDataLoaderIter(data).dataset is data.dataset


def drawn(lrs, losses, **options):
    made = finder()
    made.history = {"lr": lrs, "loss": losses}
    _, axes = plt.subplots()
    try:
        return axes, made.plot(ax=axes, **options)
    finally:
        plt.close()


@pytest.mark.parametrize(
    ("losses", "lr"),
    [([10, 8, 4, 1, 4, 16], 2), ([1, 0, 1, 2, 3, 4], 0), ([0, 1, 2, 3, 4, 3], 5)],
)
def test_the_suggestion_is_the_steepest_numpy_gradient_of_an_assigned_history(losses, lr, capsys):
    axes, (returned, rate) = drawn(range(6), losses, skip_start=0, skip_end=0)
    assert (returned, rate) == (axes, lr)
    assert f"Suggested LR: {lr:.2E}" in capsys.readouterr().out
    assert len(axes.collections) == 1
    assert axes.get_legend() is not None


def test_a_plot_omits_iterations_and_marks_a_rate():
    lrs, losses = [10.0**k for k in range(-9, 11)], [float(k) for k in range(20)]
    axes, returned = drawn(lrs, losses, suggest_lr=False, show_lr=0.01, log_lr=False)
    assert returned is axes
    curve, marked = axes.lines
    assert curve.get_xydata().tolist() == [list(p) for p in zip(lrs, losses, strict=True)][10:-5]
    assert list(marked.get_xdata()) == [0.01, 0.01]
    assert axes.get_xscale() == "linear"
    axes, (_, rate) = drawn(lrs, losses)
    assert (axes.get_xscale(), rate) == ("log", lrs[10])
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("Learning rate", "Loss")


def test_wrong_arguments_of_plot_are_rejected():
    for options, match in [
        ({"skip_start": -1}, "skip_start cannot be negative"),
        ({"skip_end": -1}, "skip_end cannot be negative"),
        ({"show_lr": 1}, "show_lr must be float"),
    ]:
        with pytest.raises(ValueError, match=match):
            drawn([0.1] * 20, [1.0] * 20, **options)
    with pytest.raises(RuntimeError, match=r"Need at least 17 iterations to suggest.*Got 16"):
        drawn([0.1] * 16, [1.0] * 16)


def test_a_plot_without_axes_is_shown(monkeypatch):
    shown = []
    monkeypatch.setattr(plt, "show", lambda: shown.append(True))
    made = finder()
    made.history = {"lr": [0.1] * 20, "loss": [1.0] * 20}
    axes, _ = made.plot()
    assert shown == [True]
    plt.close(axes.figure)


def test_mixed_precision_of_torch_scales_and_restores_the_scaler():
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10, growth_interval=2)
    model, dtypes = cases.net(), []
    model[2].register_forward_hook(lambda *call: dtypes.append(call[2].dtype))
    config = {"device_type": "cpu", "dtype": torch.bfloat16}
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)
    made = compat.LRFinder(
        model,
        optimizer,
        lambda outputs, labels: MSE(outputs.float(), labels),
        amp_backend="torch",
        amp_config=config,
        grad_scaler=scaler,
    )
    made.range_test(cases.loader(), num_iter=6, end_lr=1e-3, accumulation_steps=2)
    assert dtypes == [torch.bfloat16] * 12
    assert scaler.get_scale() == 2.0**13
    made.reset()
    assert scaler.get_scale() == 2.0**10


def test_mixed_precision_of_apex_scales_the_loss_of_a_prepared_optimizer(monkeypatch):
    import contextlib

    scaled = []

    @contextlib.contextmanager
    def scale_loss(loss, optimizer):
        scaled.append(loss)
        yield loss

    apex = types.ModuleType("apex")
    apex.amp = types.ModuleType("apex.amp")
    apex.amp.scale_loss = scale_loss
    monkeypatch.setitem(sys.modules, "apex", apex)
    monkeypatch.setitem(sys.modules, "apex.amp", apex.amp)
    monkeypatch.setattr(module, "AVAILABLE_AMP_BACKENDS", ["torch", "apex"])
    made = finder(amp_backend="apex")
    made.range_test(cases.loader(), num_iter=3, end_lr=1e-3)
    assert not scaled
    made.reset()
    made.optimizer._amp_stash = types.SimpleNamespace()
    made.range_test(cases.loader(), num_iter=3, end_lr=1e-3, accumulation_steps=2)
    assert len(scaled) == 6


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"amp_backend": "cuda"}, "Unknown amp backend: cuda"),
        ({"amp_backend": "torch"}, "`grad_scaler` is required when using `torch.amp`"),
        ({"cache_dir": "/no/such/folder"}, "Given `cache_dir` is not a valid directory"),
    ],
)
def test_wrong_options_of_a_finder_are_rejected(options, match):
    with pytest.raises(ValueError, match=match):
        finder(**options)


@pytest.mark.parametrize("in_memory", [True, False])
def test_a_state_cacher_returns_copies_and_removes_its_files(in_memory, tmp_path):
    cacher = compat.StateCacher(in_memory, cache_dir=str(tmp_path))
    model = cases.net()
    before = copy.deepcopy(model.state_dict())
    cacher.store("model", model.state_dict())
    for _ in range(2):
        torch.nn.init.zeros_(model[0].weight)
        model.load_state_dict(cacher.retrieve("model"))
        torch.testing.assert_close(model.state_dict(), before, rtol=0, atol=0)
    with pytest.raises(KeyError, match="Target optimizer was not cached"):
        cacher.retrieve("optimizer")
    files = list(tmp_path.iterdir())
    assert bool(files) != in_memory
    for file in files:
        file.unlink()
        with pytest.raises(RuntimeError, match="File doesn't exist anymore"):
            cacher.retrieve("model")
    cacher.store("model", model.state_dict())
    del cacher
    gc.collect()
    assert not list(tmp_path.iterdir())
