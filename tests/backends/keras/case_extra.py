"""Every hyperparameter of `Policy(extra=...)`, compared with floats set by hand in plain Keras."""

import re

import keras
import keras_models as models
import numpy as np
import pytest
from keras_models import ALL_BLOCKS, JITS

import lehr
import lehr.keras

STEPS = 6
FTRL = {"beta": 0.1, "l2_regularization_strength": 0.1, "l2_shrinkage_regularization_strength": 0.1}
KINDS = {
    "RMSprop": ({"momentum": 0.9}, ["rho", "eps"]),
    "RMSprop centered": ({"centered": True}, ["rho", "eps"]),
    "Adam": ({}, ["momentum", "beta2", "eps"]),
    "Adam amsgrad": ({"amsgrad": True}, ["beta2"]),
    "AdamW": ({}, ["momentum", "beta2", "eps"]),
    "Nadam": ({}, ["momentum", "beta2", "eps"]),
    "Adamax": ({}, ["momentum", "beta2", "eps"]),
    "Lamb": ({}, ["momentum", "beta2", "eps"]),
    "Lion": ({}, ["momentum"]),
    "Lion's memory": ({}, ["beta2"]),
    "Adagrad": ({}, ["eps"]),
    "Adadelta": ({}, ["rho", "eps"]),
    "Adafactor": ({}, ["epsilon_1", "epsilon_2", "clip_threshold"]),
    "Ftrl": (FTRL, list(FTRL)),
    "SGD clipped": ({"clipnorm": 1.0}, ["clipnorm"]),
    "SGD clipped by an integer": ({"clipnorm": 1}, ["clipnorm"]),
    "SGD clipped together": ({"global_clipnorm": 1.0}, ["global_clipnorm"]),
    "SGD averaged": ({"use_ema": True, "ema_overwrite_frequency": 2}, ["ema_momentum"]),
}
KERAS = {"momentum": "beta_1", "beta2": "beta_2", "eps": "epsilon"}  # Keras's names in the tests


@pytest.mark.parametrize("name", KINDS)
def test_each_hyperparameter_equals_keras_with_floats_set_by_hand(name):
    """All hyperparameters of an optimizer in one run; each of them changes the weights."""
    settings, names = KINDS[name]
    kind = getattr(keras.optimizers, re.match(r"\w+", name)[0])
    attributes = [KERAS.get(name, name) for name in names]
    starts = [getattr(kind(**settings), attribute) for attribute in attributes]
    moves = {
        name: lehr.linear(start / 2 if start > 1e-3 else 0.01, start, STEPS)
        for name, start in zip(names, starts, strict=True)
    }
    momentum = moves.pop("momentum", None)
    policy = lehr.Policy(lr=0.02, momentum=momentum, extra=moves)
    inputs, targets = models.data()

    def by_hand(moved):
        model = models.regression(kind(0.02, **settings), run_eagerly=True)
        for step in range(STEPS):
            for name, attribute in moved:
                setattr(model.optimizer, attribute, policy(step)[name])
            model.train_on_batch(inputs[step * 8 :][:8], targets[step * 8 :][:8])
        return model.get_weights()

    driven = models.regression(lehr.keras.attach(kind(0.5, **settings), policy, record=STEPS))
    for step in range(STEPS):
        driven.train_on_batch(inputs[step * 8 :][:8], targets[step * 8 :][:8])
    models.assert_recorded(driven, policy, STEPS)
    pairs = list(zip(names, attributes, strict=True))
    for actual, expected in zip(driven.get_weights(), by_hand(pairs), strict=True):
        np.testing.assert_allclose(actual, expected, rtol=2e-6, atol=1e-6)
    for pair in pairs:
        without = by_hand([other for other in pairs if other != pair])
        far = [np.abs(a - b).max() for a, b in zip(driven.get_weights(), without, strict=True)]
        assert max(far) > 5e-6, pair


@pytest.mark.parametrize("jit", JITS)
@pytest.mark.parametrize("accumulation", [None, 4])
@pytest.mark.parametrize("block", ALL_BLOCKS)
def test_blocks_and_accumulation_equal_adam_by_hand(block, accumulation, jit):
    """One weight with gradient one, all hyperparameters scheduled: Adam in closed arithmetic."""
    policy = lehr.Policy(
        lr=lehr.warmup(0.1, 4).then(lehr.cosine(0.1, 28)),
        momentum=lehr.linear(0.9, 0.5, 32),
        weight_decay=lehr.linear(0.5, 0.1, 32),
        extra={"beta2": lehr.linear(0.99, 0.5, 32)},
    )
    stock = keras.optimizers.AdamW(gradient_accumulation_steps=accumulation)
    driven = lehr.keras.attach(stock, policy, record=32)
    model = models.one_weight(driven, steps_per_execution=block, jit_compile=jit)
    models.fit_one_weight(model, 32, accumulation or 1)
    models.assert_recorded(model, policy, 32)
    first = second = weight = 0.0
    for step in range(32):
        rate, one, decay, two = policy(step).values()
        weight -= weight * decay * rate
        first += (1 - first) * (1 - one)
        second += (1 - second) * (1 - two)
        n = step + 1
        corrected = rate * np.sqrt(1 - two**n) / (1 - one**n)
        weight -= corrected * first / (np.sqrt(second) + 1e-7)
    assert models.number(model.weights[0]) == pytest.approx(weight, rel=5e-6)


SGD, Adam = keras.optimizers.SGD, keras.optimizers.Adam
REJECTED = {
    "unknown": (Adam, {}, "beta_3", r"a hyperparameter of adam.* \(beta2, eps\), got"),
    "no float": (Adam, {}, "amsgrad", "name in extra must be a hyperparameter of adam"),
    "not there": (SGD, {}, "clipnorm", "has it as None, construct it with a number"),
    "not averaged": (SGD, {}, "ema_momentum", r"a hyperparameter of (sgd|SGD).* \(none\)"),
    "not averaged, integer": (
        SGD,
        {"ema_momentum": 1},
        "ema_momentum",
        r"a hyperparameter of (sgd|SGD).* \(none\)",
    ),
    "a count": (
        SGD,
        {"use_ema": True, "ema_overwrite_frequency": 2},
        "ema_overwrite_frequency",
        r"a hyperparameter of (sgd|SGD).* \(ema_momentum\), got",
    ),
    "at zero": (keras.optimizers.Ftrl, {}, "beta", "beta must be above 0 in the optimizer"),
    "at build": (
        keras.optimizers.Adagrad,
        {},
        "initial_accumulator_value",
        "it is used only when the optimizer is built.*set it in the optimizer",
    ),
    "before": (SGD, {"loss_scale_factor": 2.0}, "loss_scale_factor", "scaled before the update"),
    "a number": (SGD, {"clipvalue": 1.0}, "clipvalue", "Keras requires a number"),
    "two layers": (keras.optimizers.Muon, {}, "muon_a", "muon_a must be None for Muon"),
}


@pytest.mark.parametrize("case", REJECTED)
def test_hyperparameters_that_cannot_be_scheduled_are_rejected(case):
    kind, settings, name, message = REJECTED[case]
    policy = lehr.Policy(lr=0.1, extra={name: 0.5})
    with pytest.raises(ValueError, match=message):
        lehr.keras.attach(kind(**settings), policy)


def test_assigning_a_scheduled_hyperparameter_is_rejected():
    policy = lehr.Policy(lr=0.1, momentum=0.9, extra={"clipnorm": 0.5, "eps": 0.25})
    driven = lehr.keras.attach(Adam(clipnorm=1), policy)
    model = models.one_weight(driven)
    for name in ("beta_1", "clipnorm", "epsilon"):
        message = f"{name} must be set by the policy only, got 0.3; change the policy"
        with pytest.raises(ValueError, match=message):
            setattr(model.optimizer, name, 0.3)
    driven.beta_2 = 0.5  # the policy does not schedule beta_2, so assignment sets Keras's attribute
    models.fit_one_weight(model, 1)
    # by hand: Adam's first update, of the gradient 1 clipped to a norm of 0.5
    correction = np.sqrt(1 - 0.5) / (1 - 0.9)
    moved = 0.1 * correction * (0.1 * 0.5) / (np.sqrt(0.5 * 0.25) + 0.25)
    assert models.number(model.weights[0]) == pytest.approx(-moved, rel=2e-6)
