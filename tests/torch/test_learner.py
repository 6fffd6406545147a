"""lehr.torch.Learner: real training, snapshots, exact resume."""

import numpy as np
import pytest
import torch
from torch.optim import SGD, AdamW, NAdam
from torch_models import net

import lehr
import lehr.torch
from lehr.learner import Snapshot


def data(rows=100, seed=0):
    draw = np.random.default_rng(seed)
    x = draw.normal(size=(rows, 6)).astype(np.float32)
    return x, (x.sum(1) > 0).astype(np.int64)


def optimizers(name, params):
    return {
        "sgd": lambda: SGD(params, lr=0.1, momentum=0.9),
        "adamw": lambda: AdamW(params, lr=0.1),
        "nadam": lambda: NAdam(params, lr=0.1),
        "tensor rate": lambda: AdamW(params, lr=torch.tensor(0.1, dtype=torch.float64)),
    }[name]()


def model_of(kind="dense"):
    if kind == "channels last":
        torch.manual_seed(3)
        layers = [
            torch.nn.Unflatten(1, (2, 3, 1)),
            torch.nn.Conv2d(2, 8, 3, padding=1),
            torch.nn.Flatten(),
        ]
        model = torch.nn.Sequential(*layers, torch.nn.Dropout(0.3), torch.nn.Linear(24, 2))
        return model.to(memory_format=torch.channels_last)
    dtypes = {"dense": torch.float32, "double": torch.float64, "bfloat16": torch.bfloat16}
    return net(6, 2, seed=3).to(dtypes[kind])


def accuracy(output, y):
    return (output.argmax(1) == y).double().mean()


def learner(optimizer="sgd", kind="dense", seed=0, **options):
    model = model_of(kind)
    x, y = data()
    x = torch.as_tensor(x).to(next(model.parameters()).dtype)
    test = (x[:50], torch.as_tensor(y[:50]))
    return lehr.torch.Learner(
        model,
        optimizers(optimizer, model.parameters()),
        torch.nn.functional.cross_entropy,
        (x, y),
        **{"validation": test, "test": test, "batch_size": 8, "seed": seed} | options,
    )


CALM = lehr.Policy(lr=lehr.linear(0.05, 0.0, 60), momentum=lehr.linear(0.95, 0.85, 60))
WILD = lehr.Policy(lr=lehr.linear(0.1, 50.0, 20), momentum=0.5)


def same_state(a, b):
    assert a.digest() == b.digest()
    assert a.arrays.keys() == b.arrays.keys()
    for name, array in a.arrays.items():
        np.testing.assert_array_equal(array, b.arrays[name], err_msg=name)


CASES = [
    ("sgd", "dense"),
    ("adamw", "dense"),
    ("nadam", "double"),
    ("adamw", "bfloat16"),
    ("nadam", "bfloat16"),
    ("tensor rate", "dense"),
    ("adamw", "channels last"),
]


@pytest.mark.parametrize("before", [0, 7, 15])  # 15 is in the second epoch
@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize(("optimizer", "kind"), CASES)
def test_the_update_after_a_restore_is_bit_identical(optimizer, kind, stored, before, tmp_path):
    run, calm = learner(optimizer, kind), learner(optimizer, kind)
    torch.manual_seed(11)
    run.train(CALM, before)
    snapshot, path = run.snapshot(), tmp_path / "run.npz"
    run.save(path)

    torch.manual_seed(11)
    calm.train(CALM, before)
    same_state(snapshot, calm.snapshot())
    wanted = calm.train(CALM, 20, first=before)

    for _ in range(2):  # a snapshot can be restored twice
        run.train(WILD, 20)
        torch.rand(5)
        if stored:
            run.load(path)
        else:
            run.restore(snapshot)
        same_state(snapshot, run.snapshot())
        got = run.train(CALM, 20, first=before)
        assert got.losses == wanted.losses
        assert got.rates == wanted.rates
        same_state(run.snapshot(), calm.snapshot())


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_range_test_restores_the_run(optimizer):
    run, calm = learner(optimizer), learner(optimizer)
    traces = []
    for tested in (run, calm):
        torch.manual_seed(11)
        tested.train(CALM, 3)
        if tested is run:
            lehr.range_test(tested, low=1e-4, high=10.0, steps=30)
        traces.append(tested.train(CALM, 20, first=3))
    assert traces[0] == traces[1]
    same_state(run.snapshot(), calm.snapshot())


def test_a_snapshot_restores_another_learner(tmp_path):
    run, other = learner("adamw"), learner("adamw")
    run.train(CALM, 5)
    run.save(tmp_path / "run.npz")
    wanted = run.train(CALM, 5, first=5)
    other.load(tmp_path / "run.npz")
    assert other.train(CALM, 5, first=5) == wanted
    betas = other.optimizer.param_groups[0]["betas"]
    assert isinstance(betas, tuple)
    assert betas[1] == 0.999


def test_a_snapshot_is_a_copy_and_its_file_is_equal(tmp_path):
    run = learner("adamw", "bfloat16")
    run.train(CALM, 3)
    snapshot = run.snapshot()
    digest = snapshot.digest()
    run.train(WILD, 3)
    assert snapshot.digest() == digest
    snapshot.save(tmp_path / "run.npz")
    assert Snapshot.load(tmp_path / "run.npz").digest() == digest


def test_a_state_that_cannot_be_saved_is_rejected():
    run = learner()
    run.optimizer.param_groups[0]["note"] = object()
    with pytest.raises(TypeError, match=r"optimizer.param_groups\[0\]\['note'\] must be a tensor"):
        run.snapshot()


def test_losses_depend_on_the_seed_only():
    def run(seed):
        torch.manual_seed(0)
        return learner(seed=seed).train(CALM, 30)

    assert run(0) == run(0)
    assert run(0).losses != run(1).losses


def test_learners_see_every_row_once_an_epoch():
    run = learner()
    assert run.steps_per_epoch == 12
    rows = np.concatenate([run.rows(step) for step in range(12)])
    assert len(set(rows)) == 96
    assert not np.array_equal(run.rows(0), run.rows(12))


def test_losses_are_those_of_each_batch():
    """Against a hand-written loop."""
    run, model = learner(), model_of()
    torch.manual_seed(5)
    trace = run.train(CALM, 20)
    optimizer = optimizers("sgd", model.parameters())
    scheduler = lehr.torch.Scheduler(optimizer, CALM)
    x, y = map(torch.as_tensor, data())
    torch.manual_seed(5)
    for step in range(20):
        rows = run.rows(step)
        loss = torch.nn.functional.cross_entropy(model(x[rows]), y[rows])
        assert loss.item() == trace.losses[step]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()


def test_rates_are_read_back_from_the_optimizer():
    run = learner("adamw")
    trace = run.train(CALM, 20, first=10, factor=0.5)
    assert trace.rates == {
        "lr": [CALM.lr(t) * 0.5 for t in range(10, 30)],
        "momentum": [CALM.momentum(t) for t in range(10, 30)],
    }
    run.optimizer.register_step_pre_hook(
        lambda optimizer, *_: optimizer.param_groups[0].update(lr=0.25)
    )
    assert run.train(CALM, 3).rates["lr"] == [0.25] * 3


def test_rates_of_groups_and_of_tensors():
    model = model_of()
    named = [{"params": model[i].parameters(), "name": n} for i, n in ((0, "body"), (4, "head"))]
    sgd = SGD(named, lr=torch.tensor(1.0, dtype=torch.float64))
    own = {"head": lehr.linear(0.1, 0.0, 20), "body": lehr.linear(0.01, 0.0, 20)}
    run = lehr.torch.Learner(model, sgd, torch.nn.functional.cross_entropy, data())
    trace = run.train(lehr.Policy(lr=own), 20)
    assert trace.rates == {f"lr/{name}": [s(t) for t in range(20)] for name, s in own.items()}
    assert all(parameter.grad is None for parameter in model.parameters())


def test_until_is_called_every_16_updates_and_at_the_end():
    asked = []
    run = learner()
    assert len(run.train(CALM, 40, until=lambda t: asked.append(len(t.losses))).losses) == 40
    assert asked == [16, 32, 40]
    assert len(run.train(CALM, 40, until=lambda t: len(t.losses) >= 20).losses) == 32


def test_training_restores_modes_and_gradients():
    run = learner()
    run.model.eval()
    run.model[4].train()
    modes = [module.training for module in run.model.modules()]
    run.train(CALM, 3)
    run.evaluate()
    assert [module.training for module in run.model.modules()] == modes
    assert all(parameter.grad is None for parameter in run.model.parameters())


def test_evaluation_does_not_change_the_run():
    draws = {"draws": lambda output, y: torch.rand(()).item()}
    quiet, asked = learner(), learner(metrics=draws)
    torch.manual_seed(5)
    wanted = [quiet.train(CALM, 10), quiet.train(CALM, 10, first=10)]
    torch.manual_seed(5)
    first = asked.train(CALM, 10)
    assert asked.evaluate() == asked.evaluate()
    assert [first, asked.train(CALM, 10, first=10)] == wanted
    same_state(quiet.snapshot(), asked.snapshot())


def test_metrics_are_averaged_over_the_rows():
    run = learner(metrics={"accuracy": accuracy})
    run.train(CALM, 30)
    x, y = map(torch.as_tensor, data())
    run.model.eval()
    with torch.no_grad():
        output = run.model(x[:50])
    metrics = run.evaluate("test")
    assert metrics.keys() == {"loss", "accuracy"}
    assert metrics["accuracy"] == pytest.approx(accuracy(output, y[:50]).item(), rel=1e-12)
    loss = torch.nn.functional.cross_entropy(output, y[:50]).item()
    assert metrics["loss"] == pytest.approx(loss, rel=1e-6)


def test_only_read_only_data_is_copied():
    x, y = data()
    model, loss = model_of(), torch.nn.functional.cross_entropy
    optimizer = SGD(model.parameters(), lr=0.1)
    run = lehr.torch.Learner(model, optimizer, loss, (x, y))
    assert run._splits["train"][0].data_ptr() == x.ctypes.data
    x.flags.writeable = False
    frozen = lehr.torch.Learner(model, optimizer, loss, (x, y))
    assert torch.equal(frozen._splits["train"][0], run._splits["train"][0])


def test_a_missing_split_is_rejected():
    run = learner(validation=None)
    with pytest.raises(ValueError, match=r"split must be one of .*'test'.*; pass validation=\(x"):
        run.evaluate()


def test_a_loss_that_is_not_a_scalar_is_rejected():
    run = learner()
    run.loss = lambda output, y: torch.nn.functional.cross_entropy(output, y, reduction="none")
    with pytest.raises(ValueError, match=r"loss must be a scalar, got 'shape \(8,\)'; return its"):
        run.train(CALM, 1)


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"validation": data()[0]}, TypeError, r"validation must be a pair \(x, y\) of tensors"),
        ({"test": (data()[0], [1])}, ValueError, r"test must be x and y with the same.*\(100, 1\)"),
        ({"batch_size": 101}, ValueError, "batch_size must be at most the 100 training rows"),
        ({"batch_size": 0}, ValueError, "batch_size must be an integer >= 1, got 0"),
        ({"seed": -1}, ValueError, "seed must be an integer >= 0, got -1"),
    ],
)
def test_wrong_arguments_of_a_learner_are_rejected(options, error, match):
    with pytest.raises(error, match=match):
        learner(**options)


def test_a_learner_rejects_hyperparameters_missing_in_its_optimizer():
    model = model_of()
    adagrad = torch.optim.Adagrad(model.parameters())
    run = lehr.torch.Learner(model, adagrad, torch.nn.functional.cross_entropy, data())
    with pytest.raises(ValueError, match="momentum must be None for Adagrad"):
        run.train(CALM, 1)
    with pytest.raises(ValueError, match="policy must be in integer steps"):
        run.train(lehr.Policy(lr=lehr.cosine(0.1)), 1)


def test_a_custom_step_trains_and_evaluates_in_its_modes():
    x, y = data()
    model, seen = model_of(), []

    def step(model, batch):
        seen.append(model.training)
        features, target = batch
        return torch.nn.functional.cross_entropy(model(2 * features), target, label_smoothing=0.1)

    run = lehr.torch.Learner(
        model, SGD(model.parameters(), 0.1), None, (x, y), test=(x, y), step=step, batch_size=20
    )
    trace = run.train(lehr.Policy(0.1), 3)
    assert seen == [True] * 3
    model.eval()
    with torch.no_grad():
        expected = torch.nn.functional.cross_entropy(
            model(2 * torch.from_numpy(x)), torch.from_numpy(y), label_smoothing=0.1
        )
    assert run.evaluate("test")["loss"] == pytest.approx(float(expected), rel=1e-6)
    assert seen[3:] == [False] * 5
    assert len(trace.losses) == 3
    with pytest.raises(ValueError, match=r"loss must be a function loss\(output, y\), got None"):
        lehr.torch.Learner(model, SGD(model.parameters(), 0.1), None, (x, y))


def test_a_schedule_free_optimizer_evaluates_its_average_and_resumes():
    from schedulefree import AdamWScheduleFree

    def fresh():
        x, y = data()
        model = model_of()
        optimizer = AdamWScheduleFree(model.parameters(), lr=0.02)
        loss = torch.nn.functional.cross_entropy
        return lehr.torch.Learner(model, optimizer, loss, (x, y), test=(x, y), batch_size=20)

    run = fresh()
    run.train(lehr.Policy(0.02), 7)
    saved = run.snapshot()
    where_it_trains = [p.detach().clone() for p in run.model.parameters()]
    score = run.evaluate("test")
    for before, after in zip(where_it_trains, run.model.parameters(), strict=True):
        assert torch.equal(before, after)
    run.optimizer.eval()
    run.model.eval()
    x, y = map(torch.from_numpy, data())
    average = torch.nn.functional.cross_entropy(run.model(x), y).item()
    assert score["loss"] == pytest.approx(average, rel=1e-6)
    run.restore(saved)
    onward = run.train(lehr.Policy(0.02), 5)
    other = fresh()
    other.restore(saved)
    assert other.train(lehr.Policy(0.02), 5) == onward
