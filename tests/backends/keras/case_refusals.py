"""Optimizers, policies and arguments that the driver rejects, and the fix that each error names."""

import keras
import keras_models as models
import numpy as np
import pytest
from keras_models import ONE_CYCLE

import lehr
import lehr.keras

SGD, Adam = keras.optimizers.SGD, keras.optimizers.Adam
MOMENTUM = lehr.Policy(lr=0.1, momentum=0.9)
DECAY = lehr.Policy(lr=0.1, weight_decay=0.1)
DECAYING = keras.optimizers.schedules.CosineDecay(0.5, 10)
FIXED = lehr.keras.schedule(lehr.cosine(0.5, 10))
NAMELESS = lehr.from_function(lambda step: 0.1).take(5)
GROUPS = lehr.Policy(lr={"head": 0.1, "body": 0.01})


def trained():
    model = models.one_weight(SGD())
    models.fit_one_weight(model, 1)
    return model


def multi():
    return keras.optimizers.MultiOptimizer(keras.optimizers.OptimizerMap(SGD()))


ATTACH = {
    "a model": (lambda: models.one_weight(SGD()), 0.1, "optimizer must be a Keras optimizer, got"),
    "a name": (lambda: "sgd", 0.1, r"a Keras optimizer, got 'sgd'; pass an instance.*Adam\(\)"),
    "a schedule": (lambda: Adam(DECAYING), 0.1, "a number.*got 'CosineDecay'; .*without it"),
    "a function": (lambda: Adam(lambda: 0.5), 0.1, "learning_rate must be a number.*'function'"),
    "a schedule of ours": (lambda: Adam(FIXED), 0.1, "learning_rate must be a number.*'Schedule'"),
    "no name": (SGD, NAMELESS, r"name must be given.*from_function\(f, name=\.\.\.\)"),
    "trained": (lambda: trained().optimizer, 0.1, "one that has not trained yet.*attach before"),
    "driven": (lambda: lehr.keras.attach(SGD(), 0.1), 0.1, "not driven yet.*construct a new"),
    "scaled": (
        lambda: keras.optimizers.LossScaleOptimizer(SGD()),
        0.1,
        "must be unwrapped.*, then wrap",
    ),
    "no momentum": (SGD, MOMENTUM, r"momentum must be above 0.*momentum=0\.9"),
    "never momentum": (keras.optimizers.Adagrad, MOMENTUM, "momentum or beta_1.*remove momentum"),
    "two momenta": (keras.optimizers.Muon, MOMENTUM, "momentum must be None for Muon"),
    "two decays": (keras.optimizers.Muon, DECAY, "weight_decay must be None for Muon"),
    "no decay": (Adam, DECAY, "one with weight decay, which.*weight_decay="),
    "groups": (SGD, GROUPS, r"lr must be one schedule for Keras, got \['head', 'body'\]"),
    "unresolved": (SGD, lehr.cosine(0.1), "in integer steps.*pass steps="),
    "no policy": (SGD, "fast", "policy must be a policy, a schedule or a number, got 'fast'"),
}
if hasattr(keras.optimizers, "ScheduleFreeAdamW"):  # since Keras 3.14
    ATTACH["averaged"] = (
        keras.optimizers.ScheduleFreeAdamW,
        MOMENTUM,
        "momentum must be None for ScheduleFreeAdamW.*remove momentum",
    )
if hasattr(keras.optimizers, "MultiOptimizer"):  # since Keras 3.15
    ATTACH["several"] = (multi, 0.1, "must be unwrapped.*, then wrap")


@pytest.mark.parametrize("case", ATTACH)
def test_attach_rejects_unsupported_optimizers_and_policies(case):
    optimizer, policy, message = ATTACH[case]
    with pytest.raises((TypeError, ValueError), match=message):
        lehr.keras.attach(optimizer(), policy)


def test_wrong_arguments_are_rejected():
    with pytest.raises(ValueError, match="record must be an integer >= 0, got -1"):
        lehr.keras.attach(SGD(), 0.1, record=-1)
    with pytest.raises(ValueError, match=r"record must be above 0 to record values.*attach"):
        lehr.keras.attach(SGD(), 0.1).recorded()
    with pytest.raises(ValueError, match="on_change must be one of refuse, continue, got 'go'"):
        lehr.keras.attach(SGD(), 0.1, on_change="go")
    with pytest.raises(ValueError, match="start_step must be an integer number of steps >= 0"):
        lehr.keras.attach(SGD(), 0.1, start_step=-1)
    for start in (1.0, True, "3"):
        with pytest.raises(TypeError, match=f"start_step must be an integer .*, got {start!r}"):
            lehr.keras.attach(SGD(), 0.1, start_step=start)
    for factor in (-0.5, float("nan")):
        with pytest.raises(ValueError, match=f"factor must be a number at least 0, got {factor}"):
            lehr.keras.attach(SGD(), 0.1, factor=factor)
    for factor in (True, "half"):
        with pytest.raises(TypeError, match=f"factor must be a finite number, got {factor!r}"):
            lehr.keras.attach(SGD(), 0.1, factor=factor)
    with pytest.raises(ValueError, match=r"in integer steps.*pass steps="):
        lehr.keras.schedule(lehr.cosine(0.1))
    with pytest.raises(TypeError, match=r"schedule must be a schedule or a number, .*attach\(opt"):
        lehr.keras.schedule(MOMENTUM)
    with pytest.raises(ValueError, match="accumulation must be an integer >= 1, got 0"):
        lehr.keras.schedule(0.1, accumulation=0)
    with pytest.raises(ValueError, match=r"the whole run|steps"):
        lehr.keras.attach(SGD(), lehr.warmup(0.1, "5%"), steps_per_epoch=10)


def test_the_representation_is_short():
    driven = lehr.keras.attach(SGD(), 0.1, start_step=3)
    assert repr(driven) == f"<driven SGD at step 3: {driven.policy!r}>"
    assert repr(FIXED) == f"<lehr.keras.Schedule: {lehr.cosine(0.5, 10)!r}>"


def test_lengths_are_resolved():
    driven = lehr.keras.attach(SGD(), lehr.warmup(0.1, "2 epochs"), steps_per_epoch=10)
    assert driven.policy.lr == lehr.warmup(0.1, 20)
    fixed = lehr.keras.schedule(lehr.warmup(0.1, "2 epochs"), steps_per_epoch=10)
    assert fixed.get_config()["definition"] == lehr.warmup(0.1, 20).dumps()
    assert lehr.keras.schedule(lehr.cosine(0.1), steps=50).get_config()["definition"] == (
        lehr.cosine(0.1, steps=50).dumps()
    )


@pytest.mark.parametrize("jit", [True, False])
@pytest.mark.parametrize("rate", [lehr.cosine(0.1, 10), lehr.cosine(0.1), MOMENTUM])
def test_a_schedule_or_policy_passed_to_keras_is_rejected(rate, jit):
    """Keras calls an unknown function without the step; the error names the fix."""
    model = models.one_weight(SGD(rate), jit_compile=jit)
    fix = r"attach\(optimizer, policy\)" if rate is MOMENTUM else r"schedule\(\.\.\.\)"
    match = rf"step must be .*, got None; .*lehr\.keras\.{fix}"
    with pytest.raises(TypeError, match=match):
        models.fit_one_weight(model, 2)


@pytest.mark.skipif(models.BACKEND != "torch", reason="JAX and TensorFlow have it")
def test_steps_per_execution_is_rejected_on_torch():
    """Keras raises the error, which names the fix."""
    model = models.one_weight(lehr.keras.attach(SGD(), 0.1), steps_per_execution=2)
    with pytest.raises(ValueError, match=r"must be 1 with the PyTorch backend.*=2"):
        models.fit_one_weight(model, 4)


def learner(optimizer=None, rows=16, targets=None, **settings):
    inputs = np.ones((rows, 1), "float32")
    model = models.one_weight(SGD() if optimizer is None else optimizer)
    other = inputs if targets is None else targets
    return lehr.keras.Learner(model, (inputs, other), **({"batch_size": 8} | settings))


LEARNERS = {
    "accumulation": (
        lambda: learner(SGD(gradient_accumulation_steps=2)),
        "gradient_accumulation_steps must be None for a Learner, got 2.*larger batch_size",
    ),
    "scaled": (
        lambda: learner(keras.optimizers.LossScaleOptimizer(SGD())),
        "optimizer must be unwrapped",
    ),
    "small data": (lambda: learner(rows=4), "batch_size must be at most the 4 training rows"),
    "no batch": (lambda: learner(batch_size=0), "batch_size must be an integer >= 1, got 0"),
    "few targets": (
        lambda: learner(targets=np.ones((15, 1))),
        r"train must be x and y with the same number of rows, got \[16, 15\]",
    ),
    "trained": (
        lambda: lehr.keras.Learner(trained(), (np.ones((8, 1)),) * 2),
        "one that has not trained yet",
    ),
    "not compiled": (
        lambda: lehr.keras.Learner(keras.Sequential(), (np.ones((8, 1)),) * 2),
        "model must be compiled with an optimizer.*model.compile",
    ),
    "no split": (lambda: learner().evaluate(), "split must be one of train, got 'validation'"),
    "no momentum": (
        lambda: learner().train(MOMENTUM, 1),
        "momentum must be one of lr.*momentum > 0",
    ),
    "groups": (lambda: learner().train(GROUPS, 1), "lr must be one schedule for Keras"),
    "unresolved": (lambda: learner().train(lehr.Policy(lehr.cosine(1.0)), 1), "in integer steps"),
    "negative": (lambda: learner().train(ONE_CYCLE, -1), "steps must be an integer >= 0"),
    "foreign snapshot": (
        lambda: learner(SGD(momentum=0.9)).restore(learner().snapshot()),
        "snapshot must be one of the same model and optimizer",
    ),
}


@pytest.mark.parametrize("case", LEARNERS)
def test_the_learner_rejects_wrong_models_and_data(case):
    act, message = LEARNERS[case]
    with pytest.raises(ValueError, match=message):
        act()


def test_k18_the_error_for_groups_names_multi_optimizer():
    with pytest.raises(ValueError, match=r"got \['head', 'body'\]; .*MultiOptimizer"):
        lehr.keras.attach(SGD(), GROUPS)


@pytest.mark.parametrize(
    "policy", [lehr.triangular2(1e-4, 1e-2, 400), MOMENTUM, lehr.one_cycle(0.1, 100)]
)
def test_k19_a_schedule_passed_to_a_keras_optimizer_names_the_call(policy):
    model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(1)])
    model.compile(SGD(policy), "mse")
    with pytest.raises(TypeError, match=r"for a Keras optimizer use lehr\.keras\."):
        model.fit(np.ones((4, 2)), np.ones((4, 1)), verbose=0)
