"""Every way to save and load a model, with every place of driven optimizers in a model (K3)."""

import copy
import functools
import pickle

import keras
import keras_models as models
import numpy as np
import pytest
from keras.optimizers import SGD, Adam, LossScaleOptimizer
from keras_models import BACKEND

import lehr
import lehr.keras
from lehr.keras.driver import driven_parts

X, Y = np.random.default_rng(0).normal(size=(2, 32, 5)).astype("float32")
PLATEAU = lehr.Plateau("loss", patience=1, factor=0.5, threshold=10.0, restore_best=True)
POLICY = lehr.Policy(
    lr=lehr.cosine(0.1, steps=40), momentum=lehr.linear(0.9, 0.8, 40), control=PLATEAU
)
OTHER = lehr.Policy(lr=7.0, momentum=0.9, control=PLATEAU)


def attached(policy, name="first", make=SGD, **settings):
    stock = make(momentum=0.9, name=name) if make is SGD else make(name=name)
    return lehr.keras.attach(stock, policy, **settings)


def network():
    keras.utils.set_random_seed(1)
    layers = [keras.layers.Dense(2, name="hidden"), keras.layers.Dense(5, name="output")]
    return keras.Sequential([keras.layers.Input((5,)), *layers], name="model")


def compiled(model, optimizer):
    model.compile(optimizer, "mse")
    model.optimizer.build(model.trainable_variables)
    return model


def multi(policy):
    parts = {".*kernel": attached(policy, "second", Adam)}
    return compiled(network(), models.multi_optimizer(attached(policy), parts))


def with_attribute(name, place, wrap, policy):
    """A model with the optimizer in an attribute; Keras finds it there and in `optimizer`."""
    model, optimizer = network(), attached(policy)
    setattr(model, name, place(optimizer))
    return compiled(model, wrap(optimizer))


def scaled(optimizer):
    return LossScaleOptimizer(optimizer, initial_scale=4.0, name="scaled")


def unchanged(value):
    return value


PLACES = {
    "plain": lambda policy: compiled(network(), attached(policy)),
    "loss scale": lambda policy: compiled(network(), scaled(attached(policy))),
    "multi": multi,
    "attribute": functools.partial(with_attribute, "a_first", unchanged, unchanged),
    "attribute after": functools.partial(with_attribute, "z_last", unchanged, unchanged),
    "list": functools.partial(with_attribute, "a_list", lambda part: [part], unchanged),
    "nested": functools.partial(with_attribute, "a_list", lambda part: [[part]], unchanged),
    "attribute, loss scale": functools.partial(with_attribute, "a_first", unchanged, scaled),
}


def train(model, epochs=1, *callbacks):
    settings = {"batch_size": 8, "shuffle": False, "verbose": 0}
    model.fit(X, Y, epochs=epochs, callbacks=[lehr.keras.Control(), *callbacks], **settings)


def state(model):
    """Everything that the next updates depend on."""
    best = [array for part in driven_parts(model) for array in part.best_weights]
    return [*models.arrays(model), *best], [
        (part.step, part.control_state, part.policy) for part in driven_parts(model)
    ]


def assert_same(left, right):
    arrays, drivers = state(left)
    others, other_drivers = state(right)
    assert drivers == other_drivers
    assert models.same(arrays, others)


@pytest.mark.parametrize("place", PLACES)
def test_k3_k10_k13_a_model_resumes_from_every_file_and_rejects_another_policy(place, tmp_path):
    make = PLACES[place]
    model = make(POLICY)
    files = {
        "keras": tmp_path / "run.keras",
        "weights": tmp_path / "run.weights.h5",
        "shards": tmp_path / "run.weights.json",
        "checkpoint": tmp_path / "checkpoint.weights.h5",
    }
    checkpoint = keras.callbacks.ModelCheckpoint(files["checkpoint"], save_weights_only=True)
    backup = keras.callbacks.BackupAndRestore(tmp_path / "backup", delete_checkpoint=False)
    train(model, 2, checkpoint, backup)
    model.save(files["keras"])
    model.save_weights(files["weights"])
    model.save_weights(files["shards"], max_shard_size=1.0)
    steps = [part.step for part in driven_parts(model)]
    assert steps == [8] * (2 if place == "multi" else 1)
    assert all(part.control_state.factor == 0.5 for part in driven_parts(model))
    for file in files.values():
        resumed = make(POLICY)
        resumed.load_weights(file)
        assert_same(model, resumed)
        with pytest.raises(ValueError, match=r"must be the saved policy: lr was cosine.* is const"):
            make(OTHER).load_weights(file)
    restored = make(POLICY)
    train(restored, 2, backup)  # restores the state and does not train
    assert_same(model, restored)
    with pytest.raises(ValueError, match=r"must be the saved policy: lr was cosine.* is const"):
        train(make(OTHER), 2, backup)
    for run in (model, resumed):
        train(run)
    assert_same(model, resumed)


@pytest.mark.parametrize("place", ["plain", "loss scale", "multi"])
def test_k8_k10_k13_copies_of_a_model_and_state_trees_continue(place, tmp_path):
    make = PLACES[place]
    model = make(POLICY)
    train(model, 2)
    for copied in (copy.deepcopy(model), copy.copy(model), pickle.loads(pickle.dumps(model))):
        assert_same(model, copied)
        assert copied.variables[0] is not model.variables[0]
    restored = make(POLICY)
    restored.set_state_tree(model.get_state_tree("numpy_array"))
    assert models.same(models.arrays(model), models.arrays(restored))
    trees = [restored]
    if BACKEND == "tensorflow" and place != "multi":  # Keras does not track the parts
        import tensorflow as tf

        path = tf.train.Checkpoint(model=model).write(str(tmp_path / "checkpoint"))
        trees.append(make(POLICY))
        tf.train.Checkpoint(model=trees[1]).restore(path).expect_partial()
        assert models.same(models.arrays(model), models.arrays(trees[1]))
    for restored in trees:
        for part in driven_parts(restored):
            with pytest.warns(UserWarning, match="weights of the best metric were not restored"):
                part.observe(1e9, restored)
            weights = restored.get_weights()
            part.observe(1e9, restored)
            assert models.same(weights, restored.get_weights())  # one warning, and no weights
            part.observe(-1e9, restored)
            assert models.same(part.best_weights, weights)


def test_k10_older_variables_do_not_restore_the_best_weights_of_later_ones():
    model = PLACES["plain"](POLICY)
    train(model)
    earlier = model.get_state_tree("numpy_array")
    model.optimizer.observe(-1e6, model)
    model.set_state_tree(earlier)
    with pytest.warns(UserWarning, match="weights of the best metric were not restored"):
        model.optimizer.observe(1e9, model)


def test_k3_a_rejected_file_does_not_affect_the_next_file(tmp_path):
    model = PLACES["attribute"](POLICY)
    train(model)
    model.save_weights(tmp_path / "run.weights.h5")
    other = PLACES["attribute"](OTHER)
    with pytest.raises(ValueError, match="must be the saved policy"):
        other.load_weights(tmp_path / "run.weights.h5")
    bare = network()
    bare.save_weights(tmp_path / "bare.weights.h5")
    with pytest.warns(UserWarning, match="Skipping variable loading for opt"):
        other.load_weights(tmp_path / "bare.weights.h5")
    other.save_weights(tmp_path / "other.weights.h5")
    other.load_weights(tmp_path / "other.weights.h5")


COPIES = {
    "deepcopy": copy.deepcopy,
    "copy": copy.copy,
    "pickle": lambda value: pickle.loads(pickle.dumps(value)),
}
WRAPPED = {
    "plain": attached,
    "loss scale": lambda *args, **kwargs: LossScaleOptimizer(attached(*args, **kwargs)),
    "multi": lambda *args, **kwargs: models.multi_optimizer(attached(*args, **kwargs)),
}


class Own(SGD):
    """An optimizer class of the user, which Keras does not know."""


@pytest.mark.parametrize("wrapped", WRAPPED)
@pytest.mark.parametrize("copied", COPIES)
def test_k8_copies_of_an_optimizer_that_has_not_trained(copied, wrapped):
    settings = {"start_step": 3, "factor": 0.5, "record": 4}
    original = WRAPPED[wrapped](POLICY, **settings)
    both = [compiled(network(), COPIES[copied](original)), compiled(network(), original)]
    for model in both:
        train(model)
    assert_same(*both)
    parts = [driven_parts(model)[0] for model in both]
    assert parts[0].recorded() == parts[1].recorded()
    assert parts[0].step == 7


@pytest.mark.parametrize("copied", COPIES)
def test_k8_a_copy_of_a_trained_optimizer_continues_when_it_is_built(copied):
    model = PLACES["plain"](POLICY)
    model.optimizer.on_change = "continue"
    train(model, 2)
    weights, state_before = model.get_weights(), models.arrays(model)
    again = network()
    again.set_weights(weights)
    compiled(again, COPIES[copied](model.optimizer))
    assert again.optimizer.on_change == "continue"
    assert_same(model, again)
    train(again)
    assert models.same(models.arrays(model), state_before)  # the original has not changed
    train(model)
    assert_same(model, again)


def test_k8_an_optimizer_class_of_the_user():
    policy = lehr.Policy(0.5)
    copied = copy.deepcopy(lehr.keras.attach(Own(), policy))
    assert isinstance(copied, Own)
    assert copied.policy == policy
