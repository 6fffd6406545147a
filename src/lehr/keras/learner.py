"""The Learner for a compiled Keras model: many updates per dispatch, on each backend."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

from lehr import learner as port
from lehr.keras.movable import check_fresh, check_groups, movable
from lehr.learner import Batches, Snapshot, Trace, scheduled
from lehr.policy import Policy, resolved_policy
from lehr.schedule.check import fail, whole

_BLOCK = 256  # most updates in one dispatch
_ASK = 16  # updates between two questions to `until`
_EVALUATION_BATCH = 1000


class Learner(port.Learner):
    """A training run of a compiled Keras model on arrays.

    The model's optimizer is replaced by one like it whose hyperparameters can be written, so
    that any policy runs through one compiled graph. A Learner's update is one batch.

    Args:
        model: compiled, its optimizer not trained yet.
        train: (inputs, targets), arrays.
        validation: likewise, or None.
        test: likewise, or None.
        batch_size: rows in a batch.
        seed: of the order of the data.

    Raises:
        ValueError: if the model is not compiled, has trained, or accumulates gradients.
    """

    def __init__(
        self,
        model: keras.Model,
        train: tuple[Any, Any],
        *,
        validation: tuple[Any, Any] | None = None,
        test: tuple[Any, Any] | None = None,
        batch_size: int = 32,
        seed: int = 0,
    ) -> None:
        if getattr(model, "optimizer", None) is None:
            fail("model", "compiled with an optimizer", model, "call model.compile(...) first")
        check_fresh(model.optimizer)
        if model.optimizer.gradient_accumulation_steps:
            steps = model.optimizer.gradient_accumulation_steps
            way_out = "compile without it and use a larger batch_size"
            fail("gradient_accumulation_steps", "None for a Learner", steps, way_out)
        if len(train[0]) != len(train[1]):
            # JAX would read the last target again and again
            fail("train", "inputs and targets of one length", [len(part) for part in train])
        self.model = model
        self._splits = {"train": train, "validation": validation, "test": test}
        self._batches = Batches(len(train[0]), whole("batch_size", batch_size), seed)
        self.steps_per_epoch = self._batches.per_epoch
        self.step = 0
        model.optimizer = movable(model.optimizer)
        model.train_function = None
        # builds metrics with the shapes that evaluate() will use, so nothing compiles twice
        rows = min(len(train[0]), _EVALUATION_BATCH)
        model.test_on_batch(train[0][:rows], train[1][:rows])
        model.optimizer.build(model.trainable_variables)
        self._data = tuple(keras.ops.convert_to_tensor(array) for array in train)
        self._block = _BLOCKS[keras.backend.backend()](model)
        self._generators = _generators()

    def train(
        self,
        policy: Policy,
        steps: int,
        *,
        first: int = 0,
        factor: float = 1.0,
        until: Callable[[Trace], bool] | None = None,
    ) -> Trace:
        """Make updates in blocks; see `lehr.learner.Learner.train`."""
        steps = whole("steps", steps, at_least=0)
        policy = resolved_policy(policy)
        check_groups(policy)
        optimizer = self.model.optimizer
        for name in policy.targets:
            if name not in optimizer.moves:
                way_out = f"build the optimizer with {name} > 0, or leave it out of the policy"
                fail(name, "one of " + ", ".join(optimizer.moves), policy.targets[name], way_out)
        trace = Trace()
        while len(trace.losses) < steps:
            done = len(trace.losses)
            size = min(steps - done, _BLOCK if until is None else _ASK)
            rows = np.stack([self.rows(self.step + i) for i in range(size)]).astype("int32")
            values = np.empty((size, len(optimizer.moves)), "float32")
            wanted = scheduled(policy, first + done, size, factor)
            for column, name in enumerate(optimizer.moves):
                held = float(keras.ops.convert_to_numpy(optimizer.variable_of(name)))
                values[:, column] = [value.get(name, held) for value in wanted]
            with self._own_generators():
                losses, used = self._block(self._data, rows, values)
            self.step += size
            columns = {name: used[:, i].tolist() for i, name in enumerate(optimizer.moves)}
            trace.extend(losses.tolist(), {name: columns[name] for name in policy.targets})
            if until is not None and until(trace):
                break
        return trace

    def evaluate(self, split: str = "validation") -> dict[str, float]:
        """Return the compiled loss and metrics on "train", "validation" or "test"."""
        data = self._splits.get(split)
        if data is None:
            known = ", ".join(name for name, given in self._splits.items() if given is not None)
            fail("split", f"one of {known}", split, f"build the Learner with {split}=")
        own = self._generators
        with self._own_generators():
            metrics = self.model.evaluate(
                *data, batch_size=_EVALUATION_BATCH, verbose=0, return_dict=True
            )
        self._generators = own
        return {name: float(value) for name, value in metrics.items()}

    def snapshot(self) -> Snapshot:
        """Return copies of all variables of model and optimizer, and of torch's generators."""
        arrays = {
            name: np.array(keras.ops.convert_to_numpy(v)) for name, v in self._variables().items()
        }
        return Snapshot(arrays | self._generators, {"step": self.step})

    def restore(self, snapshot: Snapshot) -> None:
        """Put a snapshot of this learner, or of one built alike, back."""
        variables = self._variables()
        missing = set(variables) - set(snapshot.arrays)
        if missing:
            fail("snapshot", "one of a model and optimizer built alike", sorted(missing)[:3])
        for name, variable in variables.items():
            variable.assign(snapshot.arrays[name])
        self._generators = {name: snapshot.arrays[name] for name in self._generators}
        self.step = snapshot.facts["step"]

    def rows(self, step: int) -> Any:
        """Return the training rows in the batch of one update of the run."""
        return self._batches[step]

    @contextlib.contextmanager
    def _own_generators(self) -> Iterator[None]:
        """Draw from the learner's own random stream, whatever else the process draws."""
        others = _generators()
        _set_generators(self._generators)
        try:
            yield
        finally:
            self._generators = _generators()
            _set_generators(others)

    def _variables(self) -> dict[str, Any]:
        both = [*self.model.variables, *self.model.optimizer.variables]
        unique = {id(variable): variable for variable in both}
        # by place: names count up with every model made in the process
        return {f"variable {i}": v for i, v in enumerate(unique.values())}


def _generators() -> dict[str, Any]:
    """Return torch's generators: Keras's unseeded dropout draws from them on that backend."""
    if keras.backend.backend() != "torch":
        return {}
    import torch

    states = {"torch generator cpu": torch.get_rng_state().numpy().copy()}
    if torch.cuda.is_available():
        for i, state in enumerate(torch.cuda.get_rng_state_all()):
            states[f"torch generator cuda {i}"] = state.numpy().copy()
    return states


def _set_generators(arrays: dict[str, Any]) -> None:
    if keras.backend.backend() != "torch":
        return
    import torch

    torch.set_rng_state(torch.from_numpy(arrays["torch generator cpu"].copy()))
    for i in range(torch.cuda.device_count()):
        state = torch.from_numpy(arrays[f"torch generator cuda {i}"].copy())
        torch.cuda.set_rng_state(state, i)


def _jax_block(model: keras.Model) -> Callable[..., Any]:
    """Return a function that makes a block of updates in one compiled loop of JAX."""
    import jax
    import jax.numpy as jnp

    optimizer = model.optimizer
    model.reset_metrics()
    no_metrics = [np.array(keras.ops.convert_to_numpy(v)) for v in model.metrics_variables]
    places = [
        next(i for i, v in enumerate(optimizer.variables) if v is optimizer.variable_of(name))
        for name in optimizer.moves
    ]

    def update(i: Any, carry: Any, data: Any, rows: Any, values: Any) -> Any:
        (trainable, other, slots), losses, used = carry
        slots = list(slots)
        for column, place in enumerate(places):
            slots[place] = values[i, column].astype(slots[place].dtype)
        batch = tuple(array[rows[i]] for array in data)
        logs, state = model.train_step((trainable, other, slots, no_metrics), batch)
        seen = jnp.stack([state[2][place].astype("float32") for place in places])
        return state[:3], losses.at[i].set(logs["loss"]), used.at[i].set(seen)

    # one capacity and a traced count: blocks of any size share one compilation
    def run(state: Any, data: Any, rows: Any, values: Any, count: Any) -> Any:
        def body(i: Any, carry: Any) -> Any:
            return update(i, carry, data, rows, values)

        nothing = jnp.zeros(_BLOCK), jnp.zeros((_BLOCK, len(places)))
        return jax.lax.fori_loop(0, count, body, (state, *nothing))

    compiled = jax.jit(run, donate_argnums=0)

    def block(data: Any, rows: Any, values: Any) -> tuple[Any, Any]:
        size = len(rows)
        rows, values = (np.pad(a, ((0, _BLOCK - size), (0, 0))) for a in (rows, values))
        groups = (model.trainable_variables, model.non_trainable_variables, optimizer.variables)
        state = tuple([v.value for v in group] for group in groups)
        state, losses, used = compiled(state, data, rows, values, size)
        for group, new in zip(groups, state, strict=True):
            for variable, value in zip(group, new, strict=True):
                variable.assign(value)
        return np.asarray(losses)[:size], np.asarray(used)[:size]

    return block


def _tensorflow_block(model: keras.Model) -> Callable[..., Any]:
    """Return a function that makes a block of updates in one graph loop of TensorFlow."""
    import tensorflow as tf

    variables = [model.optimizer.variable_of(name) for name in model.optimizer.moves]

    @tf.function(jit_compile=model.jit_compile)  # type: ignore[untyped-decorator]
    def update(batch: Any, values: Any) -> Any:
        for i, variable in enumerate(variables):
            variable.assign(values[i])
        model.reset_metrics()
        loss = model.train_step(batch)["loss"]
        return loss, tf.stack([tf.cast(variable.value, "float32") for variable in variables])

    @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
    def run(data: Any, rows: Any, values: Any) -> Any:
        size = tf.shape(rows)[0]
        losses = tf.TensorArray("float32", size)
        used = tf.TensorArray("float32", size)
        for i in tf.range(size):
            batch = tuple(tf.gather(array, rows[i]) for array in data)
            loss, seen = update(batch, values[i])
            losses, used = losses.write(i, loss), used.write(i, seen)
        return losses.stack(), used.stack()

    def block(data: Any, rows: Any, values: Any) -> tuple[Any, Any]:
        losses, used = run(data, tf.constant(rows), tf.constant(values))
        return losses.numpy(), used.numpy()

    return block


def _torch_block(model: keras.Model) -> Callable[..., Any]:
    """Return a function that makes a block of updates, eagerly, and reads them once."""
    import torch

    variables = [model.optimizer.variable_of(name) for name in model.optimizer.moves]

    def block(data: Any, rows: Any, values: Any) -> tuple[Any, Any]:
        losses, used = [], []
        mode = model.training
        model.train()
        for chosen, wanted in zip(torch.from_numpy(rows).long(), values.tolist(), strict=True):
            for variable, value in zip(variables, wanted, strict=True):
                variable.assign(value)
            model.reset_metrics()
            batch = tuple(array[chosen] for array in data)
            losses.append(model.train_step(batch)["loss"].detach())
            used.append(torch.stack([variable.value.detach().float() for variable in variables]))
        model.train(mode)
        return torch.stack(losses).cpu().numpy(), torch.stack(used).cpu().numpy()

    return block


_BLOCKS = {"jax": _jax_block, "tensorflow": _tensorflow_block, "torch": _torch_block}
