"""Class weights and sample weights of the range test: its losses equal those that `fit` reports."""

import keras
import keras_models as models
import numpy as np
import pytest
from keras.optimizers import SGD
from keras_models import PAIRS, X

import lehr
import lehr.keras
from lehr.learner import Batches

RATES = np.geomspace(1e-3, 0.1, 20)
LABELS = np.arange(96, dtype="int32") % 3
WEIGHTS = np.linspace(0.0, 4.0, 96)
CLASSES = {0: 0.25, 1: 5.0}  # class 2 has the weight 1
ORDER = Batches(96, 8, seed=3)


def classifier(loss="sparse_categorical_crossentropy"):
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(3, activation="softmax")])
    model.compile(SGD(momentum=0.9), loss=loss, weighted_metrics=["accuracy"])
    return model


def by_fit(model, batches):
    """Return the loss that `fit` reports for each batch, one update at a time."""
    losses = []
    for rate, batch in zip(RATES, batches, strict=True):
        model.optimizer.learning_rate = rate
        history = model.fit(**batch, batch_size=8, shuffle=False, verbose=0).history
        losses += history["loss"]
    return losses


def sweep_of(model, data, **weights):
    options = {"low": 1e-3, "high": 0.1, "steps": 20, "batch_size": 8, "seed": 3}
    return lehr.keras.range_test(model, data, **options, **weights)


def test_k16_sample_weights_are_shuffled_with_the_rows():
    rows = [ORDER[step] for step in range(20)]
    batches = [{"x": X[r], "y": LABELS[r], "sample_weight": WEIGHTS[r]} for r in rows]
    wanted = by_fit(classifier(), batches)
    model = classifier()
    plain = sweep_of(model, (X, LABELS))  # builds the optimizer
    before = models.everything(model)
    sweep = sweep_of(model, (X, LABELS), sample_weight=WEIGHTS)
    np.testing.assert_allclose(sweep.losses, wanted, rtol=1e-5)
    assert sweep != plain
    assert sweep == sweep_of(model, (X, LABELS, WEIGHTS))
    assert plain == sweep_of(model, (X, LABELS))
    assert models.same(before, models.everything(model))


TARGETS = {
    "class numbers": (LABELS, "sparse_categorical_crossentropy"),
    "a column of floats": (LABELS[:, None].astype("float32"), "sparse_categorical_crossentropy"),
    "one-hot": (np.eye(3, dtype="float32")[LABELS], "categorical_crossentropy"),
}


@pytest.mark.parametrize("name", TARGETS)
def test_k16_class_weights_of_arrays(name):
    targets, loss = TARGETS[name]
    rows = [ORDER[step] for step in range(20)]
    batches = [{"x": X[r], "y": targets[r], "class_weight": CLASSES} for r in rows]
    wanted = by_fit(classifier(loss), batches)
    sweep = sweep_of(classifier(loss), (X, targets), class_weight=CLASSES)
    np.testing.assert_allclose(sweep.losses, wanted, rtol=1e-5)


class Count(keras.utils.PyDataset):
    def __init__(self, batches):
        super().__init__()
        self.batches = batches

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, i):
        return self.batches[i]


def test_class_weights_of_batches():
    pairs = [(x, LABELS[8 * i : 8 * i + 8]) for i, (x, _) in enumerate(PAIRS)]
    numbered = [pairs[step % 12] for step in range(20)]
    batches = [{"x": Count([pair]), "class_weight": CLASSES} for pair in numbered]
    model = classifier()
    losses = []
    for rate, batch in zip(RATES, batches, strict=True):
        model.optimizer.learning_rate = rate
        losses += model.fit(**batch, verbose=0).history["loss"]
    for data in (pairs, Count(pairs), iter(pairs * 2)):
        sweep = sweep_of(classifier(), data, class_weight=CLASSES)
        np.testing.assert_allclose(sweep.losses, losses, rtol=1e-5)


def outputs():
    keras.utils.set_random_seed(1)
    inputs = keras.Input((5,))
    parts = {name: keras.layers.Dense(1, name=name)(inputs) for name in "ab"}
    model = keras.Model(inputs, parts)
    model.compile(SGD(), loss={"a": "mse", "b": "mae"})
    return model


TWO = {"a": X[:, :1], "b": X[:, 1:2]}


@pytest.mark.parametrize("each", [False, True])
def test_sample_weights_of_two_outputs(each):
    weights = {"a": WEIGHTS, "b": WEIGHTS[::-1].copy()} if each else WEIGHTS
    batches = []
    for step in range(20):
        rows = ORDER[step]
        y = {name: part[rows] for name, part in TWO.items()}
        own = {name: w[rows] for name, w in weights.items()} if each else weights[rows]
        batches.append({"x": X[rows], "y": y, "sample_weight": own})
    wanted = by_fit(outputs(), batches)
    sweep = sweep_of(outputs(), (X, TWO), sample_weight=weights)
    np.testing.assert_allclose(sweep.losses, wanted, rtol=1e-5)


def test_validation_data_has_no_class_weights():
    model = classifier()
    before = model.evaluate(X, LABELS, verbose=0, return_dict=True)["loss"]
    options = {"low": 1e-9, "high": 1e-8, "steps": 20, "class_weight": CLASSES}
    sweep = lehr.keras.range_test(model, (X, LABELS), validation_data=[(X, LABELS)], **options)
    np.testing.assert_allclose(sweep.losses, before, rtol=1e-5)


WEIGHTED = [(x, y, np.ones(8)) for x, y in PAIRS]
REJECTED = {
    "both": (
        {"sample_weight": WEIGHTS, "class_weight": CLASSES},
        r"class_weight must be None with sample weights, got \{0: 0\.25, 1: 5\.0\}",
    ),
    "class weights and weights in the data": (
        {"data": (X, LABELS, WEIGHTS), "class_weight": CLASSES},
        "class_weight must be None with sample weights",
    ),
    "class weights and weights in the batches": (
        {"data": WEIGHTED, "class_weight": CLASSES},
        "class_weight must be None with sample weights",
    ),
    "several classes per sample": (
        {"data": (X, np.zeros((96, 2, 1), "int32")), "class_weight": CLASSES},
        "class_weight must be None unless there is one class per sample",
    ),
    "a class that is a name": (
        {"class_weight": {"a": 1.0}},
        "class in class_weight must be an int",
    ),
    "a weight that is a name": (
        {"class_weight": {1: "a"}},
        r"class_weight\[1\] must be a finite number, got 'a'",
    ),
    "a list": ({"class_weight": [1.0, 2.0]}, r"class_weight must be a dict \{class: weight\}, got"),
    "weights of batches": (
        {"data": PAIRS, "sample_weight": WEIGHTS},
        r"sample_weight must be None unless data is \(x, y\), got 'ndarray'; pass batches",
    ),
    "one number": (
        {"sample_weight": 3},
        "sample_weight must be an array with one weight per row, got 3",
    ),
    "weights twice": (
        {"data": (X, LABELS, WEIGHTS), "sample_weight": WEIGHTS},
        r"sample_weight must be None unless data is \(x, y\)",
    ),
    "too few weights": (
        {"sample_weight": WEIGHTS[:9]},
        r"data must be arrays of the same length, above 0, got \[9, 96\]",
    ),
    "weights of another structure": (
        {"sample_weight": {"a": WEIGHTS}},
        "sample_weight must be an array, or one per output in the structure of y, got 'dict'",
    ),
}


@pytest.mark.parametrize("case", REJECTED)
def test_wrong_weights_are_rejected(case):
    options, message = REJECTED[case]
    model = classifier()
    before = models.everything(model)
    with pytest.raises((ValueError, TypeError), match=message):
        lehr.keras.range_test(model, **({"data": (X, LABELS)} | options))
    assert models.same(before, models.everything(model))


def test_class_weights_of_two_outputs_are_rejected_as_in_fit():
    with pytest.raises(ValueError, match="class_weight must be None unless the model has one out"):
        lehr.keras.range_test(outputs(), (X, TWO), class_weight=CLASSES)
    with pytest.raises(ValueError, match="only supported for Models with a single output"):
        outputs().fit(X, TWO, class_weight=CLASSES, verbose=0)
