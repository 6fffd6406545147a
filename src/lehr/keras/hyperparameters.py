"""Keras optimizers whose hyperparameters can be written in a compiled training step."""

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
    "Muon": "it has two of each, for different layers",
    "ScheduleFreeAdamW": "its average of the weights assumes that they stay",
}
_PORTABLE = {"beta2": "beta_2", "eps": "epsilon"}  # names in ``extra``, and Keras's
_FIXED = {
    "initial_accumulator_value": "it counts only when the optimizer is built",
    "loss_scale_factor": "the loss is scaled before an update begins",
    "clipvalue": "Keras takes only a number there",  # on JAX; so for all
    "l1_regularization_strength": "Keras takes only a number there",
}

_COUNTS = ("ema_overwrite_frequency", "gradient_accumulation_steps", "record")


def plain_variable(value: Any, name: str, dtype: str = "float32") -> Any:
    """Return a variable for an optimizer to own."""
    return keras.Variable(value, dtype=dtype, trainable=False, autocast=False, name=name)


class _Hyper(keras.Variable):  # type: ignore[misc]
    """A variable that Keras compares while it traces (``if clipnorm``): by its initial value."""

    def __init__(self, value: float, name: str) -> None:
        self._constant = float(value)
        super().__init__(value, dtype="float32", trainable=False, autocast=False, name=name)

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
    """Mixin for optimizers: hyperparameters are variables that a compiled step can write."""

    held = False  # whether the values are written from outside now

    def __init__(self, *args: Any, moves: Sequence[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.moves = tuple(moves)
        for name in self.moves:
            if name == "lr":  # a variable already
                continue
            attribute = attribute_of(self, name)
            setattr(self, attribute, _Hyper(getattr(self, attribute), attribute))

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(vars(self).get(name), _Hyper):
            fix = "change the policy, or leave it out there and set it in a new optimizer"
            fail(name, "left to the policy, which moves it", value, fix)
        super().__setattr__(name, value)

    def variable_of(self, name: str) -> Any:
        """Return the variable that holds a hyperparameter, by its name in a policy."""
        if name == "lr":
            return _private.learning_rate(self)
        return getattr(self, attribute_of(self, name))

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        """Do not write the policy's values in training steps that are traced in this block."""
        self.held = True
        try:
            yield
        finally:
            self.held = False

    def get_config(self) -> dict[str, Any]:
        """Return the optimizer's own config with plain numbers."""
        config: dict[str, Any] = super().get_config()  # type: ignore[misc]
        return {k: v._constant if isinstance(v, _Hyper) else v for k, v in config.items()}


def with_writable_hyperparameters(
    optimizer: keras.optimizers.Optimizer,
) -> keras.optimizers.Optimizer:
    """Return an optimizer like the given one whose rate, momentum and weight decay are writable."""
    moves = ["lr"]
    if not _only_lr(optimizer):
        momentum = any(getattr(optimizer, name, 0) != 0 for name in ("momentum", "beta_1"))
        moves += ["momentum"] * momentum
        moves += ["weight_decay"] * (optimizer.weight_decay is not None)
    base = type(optimizer)
    cls = type(f"Writable{base.__name__}", (WritableHyperparameters, base), {})
    rate = float(keras.ops.convert_to_numpy(optimizer.learning_rate))
    return remade(cls, optimizer, rate, moves=moves)


def remade(cls: Any, optimizer: keras.optimizers.Optimizer, rate: float, **more: Any) -> Any:
    """Return an optimizer of another class with the same settings and a rate that is a number."""
    config = dict(optimizer.get_config()) | {"learning_rate": rate}
    made = cls(**config, **more)
    _private.copy_weight_decay_exclusions(optimizer, made)
    return made


def check_fresh(optimizer: Any, driven: bool = False) -> None:
    """Raise unless it is an optimizer with a constant rate that has not trained; perhaps driven."""
    if not isinstance(optimizer, keras.optimizers.Optimizer):
        fix = "build one first, such as keras.optimizers.Adam()"
        fail("optimizer", "a Keras optimizer", optimizer, fix, TypeError)
    if type(optimizer).__name__ in WRAPPERS:
        fail("optimizer", "an inner one", optimizer, "attach first, then wrap it in this")
    if isinstance(optimizer, WritableHyperparameters) and not driven:
        fail("optimizer", "one that is not driven yet", optimizer, "build a new one")
    if optimizer.built:
        fail("optimizer", "one that has not trained yet", optimizer, "attach before compile")
    rate = _private.learning_rate(optimizer)
    if not isinstance(rate, keras.Variable):  # it would be replaced in silence
        fix = "build the optimizer without it: a policy moves it"
        fail("learning_rate", "a number in the optimizer", type(rate).__name__, fix)


def check_groups(policy: Policy) -> None:
    """Raise if a policy names parameter groups."""
    for name, target in policy.targets.items():
        if isinstance(target, dict):
            fix = "use one schedule: Keras optimizers have no parameter groups"
            fail(name, "one schedule for Keras", list(target), fix)


def attribute_of(optimizer: Any, name: str) -> str:
    """Return the optimizer's attribute for a hyperparameter, or raise if it has none."""
    if name == "lr":
        return "learning_rate"
    if kind := _only_lr(optimizer):
        rule = f"left alone with {kind}, as {_ONLY_LR[kind]}"
        fail(name, rule, "a policy that moves it", f"give the policy {name}=None")
    if name == "weight_decay":
        if optimizer.weight_decay is None:
            fix = "build it with weight_decay=, any number"
            fail("optimizer", "one with weight decay to move", optimizer, fix)
        return "weight_decay"
    if name != "momentum":
        return _extra(optimizer, name)
    for attribute in ("momentum", "beta_1"):
        if hasattr(optimizer, attribute):
            if getattr(optimizer, attribute) == 0:
                fix = "build it with momentum=0.9, or Keras keeps no momentum to scale"
                fail("momentum", "above 0 in the optimizer at the start", 0.0, fix)
            return attribute
    rule = "one with momentum or beta_1, which the policy moves"
    fail("optimizer", rule, optimizer, "give the policy momentum=None")


def _extra(optimizer: Any, name: str) -> str:
    """Return the attribute for a hyperparameter in a policy's ``extra``."""
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
        own = {portable.get(key, key) for key in known} - {"momentum", "beta_1", "weight_decay"}
        rule = f"a hyperparameter of {optimizer.name} ({', '.join(sorted(own)) or 'none'})"
        fix = "if the optimizer has it as None, construct it with a number"
        fail("name in extra", rule, name, fix)
    if getattr(optimizer, attribute) == 0:
        fix = "construct it with a value above 0, as Keras omits a hyperparameter of 0"
        fail(name, "above 0 in the optimizer at the start", 0.0, fix)
    return attribute


def _only_lr(optimizer: Any) -> str | None:
    """Return the name of the optimizer's class if only its rate can be written, else None."""
    return next((c.__name__ for c in type(optimizer).__mro__ if c.__name__ in _ONLY_LR), None)
