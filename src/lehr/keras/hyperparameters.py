"""Keras optimizers whose hyperparameters can be set in a compiled training step."""

from __future__ import annotations

import contextlib
import numbers
from collections.abc import Iterator, Sequence
from typing import Any

import keras

from lehr.keras import _private
from lehr.policy import Policy
from lehr.schedule.errors import fail

WRAPPERS = ("LossScaleOptimizer", "MultiOptimizer")
_ONLY_LR = {
    "Muon": "which has two values of each hyperparameter, for different layers",
    "ScheduleFreeAdamW": "whose average of the weights assumes constant hyperparameters",
}
_PORTABLE = {"beta2": "beta_2", "eps": "epsilon"}  # name in a policy's ``extra``: name in Keras
_FIXED = {
    "initial_accumulator_value": "it is used only when the optimizer is built",
    "loss_scale_factor": "the loss is scaled before the update",
    "clipvalue": "Keras requires a number",  # on JAX; rejected on all backends for consistency
    "l1_regularization_strength": "Keras requires a number",
}

_COUNTS = ("ema_overwrite_frequency", "gradient_accumulation_steps", "record")


# Keras's settings for the count and the rate; without the aggregation, a replica of a
# ``tf.distribute`` strategy cannot set a variable
_SETTINGS: dict[str, Any] = {
    "trainable": False,
    "autocast": False,
    "aggregation": "only_first_replica",
}


def plain_variable(value: Any, name: str, dtype: str = "float32") -> Any:
    """Create a variable of an optimizer."""
    return keras.Variable(value, dtype=dtype, name=name, **_SETTINGS)


class _Hyper(keras.Variable):  # type: ignore[misc]
    """A variable that compares by its initial value, because Keras tests it in Python code.

    An example is ``if self.clipnorm``, which is evaluated while a training step is traced.
    """

    def __init__(self, value: float, name: str) -> None:
        self._constant = float(value)
        super().__init__(value, dtype="float32", name=name, **_SETTINGS)

    def __eq__(self, other: object) -> bool:
        return bool(self._constant == other)

    def __ne__(self, other: object) -> bool:
        return self._constant != other

    def __gt__(self, other: Any) -> bool:
        return bool(self._constant > other)

    def __bool__(self) -> bool:
        return self._constant != 0

    __hash__ = object.__hash__


class WritableHyperparameters:
    """Mixin for optimizers: hyperparameters are variables, which a compiled step can set.

    Attributes:
        writable: names of the hyperparameters in a policy.
        paused: whether a driver does not set the values; see `pause`.
    """

    name: str
    paused = False

    def __init__(self, *args: Any, writable: Sequence[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.writable = tuple(writable)
        for name in self.writable:
            if name == "lr":  # a variable already
                continue
            attribute = attribute_of(self, name)
            with keras.name_scope(self.name):
                variable = _Hyper(getattr(self, attribute), attribute)
            setattr(self, attribute, variable)

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(vars(self).get(name), _Hyper):
            fix = "change the policy, or remove it from the policy and set it in a new optimizer"
            fail(name, "set by the policy only", value, fix)
        super().__setattr__(name, value)

    def variable_of(self, name: str) -> Any:
        """Return the variable of a hyperparameter, given its name in a policy."""
        if name == "lr":
            return _private.learning_rate(self)
        return getattr(self, attribute_of(self, name))

    @contextlib.contextmanager
    def pause(self) -> Iterator[None]:
        """Do not set the policy's values in training steps that are traced in this context."""
        self.paused = True
        try:
            yield
        finally:
            self.paused = False

    def get_config(self) -> dict[str, Any]:
        """Return the optimizer's config, with numbers instead of variables."""
        config: dict[str, Any] = super().get_config()  # type: ignore[misc]
        return {k: v._constant if isinstance(v, _Hyper) else v for k, v in config.items()}


def with_writable_hyperparameters(
    optimizer: keras.optimizers.Optimizer,
) -> keras.optimizers.Optimizer:
    """Return an equivalent optimizer whose rate, momentum and weight decay are writable."""
    writable = ["lr"]
    if not _only_lr(optimizer):
        momentum = any(getattr(optimizer, name, 0) != 0 for name in ("momentum", "beta_1"))
        writable += ["momentum"] * momentum
        writable += ["weight_decay"] * (optimizer.weight_decay is not None)
    base = type(optimizer)
    cls = type(f"Writable{base.__name__}", (WritableHyperparameters, base), {})
    rate = float(keras.ops.convert_to_numpy(optimizer.learning_rate))
    return converted(cls, optimizer, rate, writable=writable)


def converted(cls: Any, optimizer: keras.optimizers.Optimizer, rate: float, **more: Any) -> Any:
    """Create an optimizer of another class with the same config and a constant rate."""
    config = dict(optimizer.get_config()) | {"learning_rate": rate}
    new = cls(**config, **more)
    _private.copy_weight_decay_exclusions(optimizer, new)
    return new


def check_fresh(optimizer: Any, driven: bool = False) -> None:
    """Raise unless the optimizer is unwrapped, not trained and has a constant rate.

    A driven optimizer is accepted only with ``driven=True``.
    """
    if not isinstance(optimizer, keras.optimizers.Optimizer):
        fix = "pass an instance, such as keras.optimizers.Adam()"
        fail("optimizer", "a Keras optimizer", optimizer, fix, TypeError)
    if type(optimizer).__name__ in WRAPPERS:
        fix = "attach the policy to the inner optimizer, then wrap the result"
        fail("optimizer", "unwrapped", optimizer, fix)
    if isinstance(optimizer, WritableHyperparameters) and not driven:
        fail("optimizer", "one that is not driven yet", optimizer, "construct a new one")
    if optimizer.built:
        fail("optimizer", "one that has not trained yet", optimizer, "attach before compile")
    rate = _private.learning_rate(optimizer)
    if not isinstance(rate, keras.Variable):  # a schedule would be replaced silently
        fix = "construct the optimizer without it: the policy sets the rate"
        fail("learning_rate", "a number in the optimizer", type(rate).__name__, fix)


def check_groups(policy: Policy) -> None:
    """Raise ValueError if a policy has parameter groups."""
    for name, target in policy.targets.items():
        if isinstance(target, dict):
            fix = "for rates per layer, attach several optimizers and combine in MultiOptimizer"
            fail(name, "one schedule for Keras", list(target), fix)


def attribute_of(optimizer: Any, name: str) -> str:
    """Return the attribute name of a hyperparameter.

    Raises:
        ValueError: if the optimizer does not have the hyperparameter, or it cannot be set.
    """
    if name == "lr":
        return "learning_rate"
    if kind := _only_lr(optimizer):
        rule = f"None for {kind}, {_ONLY_LR[kind]}"
        fail(name, rule, "a schedule", f"remove {name} from the policy")
    if name == "weight_decay":
        if optimizer.weight_decay is None:
            fix = "construct it with weight_decay=, any number"
            fail("optimizer", "one with weight decay, which the policy sets", optimizer, fix)
        return "weight_decay"
    if name != "momentum":
        return _extra(optimizer, name)
    for attribute in ("momentum", "beta_1"):
        if hasattr(optimizer, attribute):
            if getattr(optimizer, attribute) == 0:
                fix = "construct it with momentum=0.9: at 0 Keras creates no momentum variables"
                fail("momentum", "above 0 in the optimizer at the start", 0.0, fix)
            return attribute
    rule = "one with momentum or beta_1, which the policy sets"
    fail("optimizer", rule, optimizer, "remove momentum from the policy")


def _extra(optimizer: Any, name: str) -> str:
    """Return the attribute name of a hyperparameter in a policy's ``extra``."""
    attribute = _PORTABLE.get(name, name)
    if reason := _FIXED.get(attribute):
        fail("extra", f"without {name}, as {reason}", name, "set it in the optimizer")
    excluded = {*_FIXED, *_COUNTS} if optimizer.use_ema else {*_FIXED, *_COUNTS, "ema_momentum"}
    known = [
        key
        for key, value in vars(optimizer).items()
        if isinstance(value, numbers.Real | _Hyper) and not isinstance(value, bool)
    ]
    known = [key for key in known if key not in excluded and not key.startswith("_")]
    if attribute not in known:
        portable = {ours: theirs for theirs, ours in _PORTABLE.items()}
        names = {portable.get(key, key) for key in known} - {"momentum", "beta_1", "weight_decay"}
        rule = f"a hyperparameter of {optimizer.name} ({', '.join(sorted(names)) or 'none'})"
        fix = "if the optimizer has it as None, construct it with a number"
        fail("name in extra", rule, name, fix)
    if getattr(optimizer, attribute) == 0:
        fix = "construct it with a value above 0: Keras omits the computation at 0"
        fail(name, "above 0 in the optimizer at the start", 0.0, fix)
    return attribute


def _only_lr(optimizer: Any) -> str | None:
    """Return the name of the optimizer's class if only its rate can be set, otherwise None."""
    return next((c.__name__ for c in type(optimizer).__mro__ if c.__name__ in _ONLY_LR), None)
