"""The Learner for JAX and optax."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from lehr import learner as interface
from lehr.jax.optimizer import Make, arguments, dtype_of
from lehr.jax.state import cast_like
from lehr.learner import Batches, Snapshot
from lehr.policy import Policy
from lehr.schedule.errors import fail

_EVALUATION_BATCH = 1000


class _Run(NamedTuple):
    params: Any
    state: Any
    slots: Any


class Learner(interface.Learner):
    """A training run in JAX on data in memory; a block of updates is one compiled loop.

    Args:
        loss: ``loss(params, batch, key)``, which returns a scalar averaged over the rows. ``key``
            is a new random key in each update (for dropout) and None in evaluation. With ``state``:
            ``loss(params, state, batch, key)``, which returns the scalar and the new state.
        params: any pytree of arrays; copied.
        make_optimizer: an optax optimizer such as ``optax.sgd``, or ``functools.partial`` of one.
            A policy cannot schedule arguments whose default is None; replace it by a number with
            ``functools.partial``.
        train: a pytree of arrays with the same number of rows, such as ``(x, y)``. ``batch`` has
            the same structure, with the rows of one batch.
        state: further variables that training changes, such as batch-norm statistics.
        validation: data for ``evaluate()`` in the form of ``train``, or None.
        test: data for ``evaluate("test")`` in the form of ``train``, or None.
        batch_size: number of rows per update.
        seed: seed of the order of the data and of the random keys.
        metrics: additional metrics by name, averaged over the rows: ``f(params, batch)``, or with
            ``state`` ``f(params, state, batch)``.

    Attributes:
        steps_per_epoch: number of updates per epoch.

    Raises:
        TypeError: if ``make_optimizer`` is not a function.
        ValueError: if the arrays of a split differ in rows or have none, or the training data is
            smaller than one batch.

    >>> import jax.numpy as jnp, lehr, optax
    >>> x = jnp.arange(8.0)
    >>> def loss(weight, batch, key):
    ...     return jnp.mean((weight * batch["x"] - batch["y"]) ** 2)
    >>> data = {"x": x, "y": 2 * x}
    >>> learner = lehr.jax.Learner(loss, 0.0, optax.sgd, data, test=data, batch_size=4)
    >>> trace = learner.train(lehr.Policy(lr=lehr.linear(0.02, 0.0, 100)), 100)
    >>> round(trace.rates["lr"][50], 6), learner.evaluate("test")["loss"] < trace.losses[0]
    (0.01, True)
    """

    block = 256  # maximum number of updates per call of the compiled loop

    def __init__(
        self,
        loss: Callable[..., Any],
        params: Any,
        make_optimizer: Make,
        train: Any,
        *,
        state: Any = None,
        validation: Any = None,
        test: Any = None,
        batch_size: int = 32,
        seed: int = 0,
        metrics: dict[str, Callable[..., Any]] | None = None,
    ) -> None:
        splits = {"train": train, "validation": validation, "test": test}
        self._splits = {
            name: _arrays(name, data) for name, data in splits.items() if data is not None
        }
        self._batches = Batches(_rows(self._splits["train"]), batch_size, seed)
        self.steps_per_epoch = self._batches.per_epoch
        self._step = 0
        self._loss, self._make, self._key = loss, make_optimizer, jax.random.key(self._batches.seed)
        (argument,) = arguments(make_optimizer, ["lr"]).values()
        # copies, because the compiled loop donates its arguments
        params, state = jax.tree.map(jnp.array, (params, state))
        self._run = _Run(params, state, make_optimizer(**{argument: 0.0}).init(params))
        self._metrics = metrics or {}
        self._compiled = jax.jit(self._updates, static_argnums=0, donate_argnums=1)
        self._evaluated = jax.jit(self._evaluation)

    @property
    def params(self) -> Any:
        """The current parameters."""
        return self._run.params

    @property
    def state(self) -> Any:
        """The current state."""
        return self._run.state

    def make_updates(
        self, policy: Policy, values: list[dict[str, Any]]
    ) -> tuple[list[float], dict[str, list[float]]]:
        moved, size = self._moved(policy), len(values)
        rows = np.zeros((self.block, self._batches.size), np.int32)
        rows[:size] = [self.rows(self._step + i) for i in range(size)]
        columns = np.zeros((self.block, len(moved)))
        columns[:size] = [[wanted[name] for name in moved] for wanted in values]
        names, data = tuple(moved.values()), self._splits["train"]
        self._run, losses, used = self._compiled(
            names, self._run, data, rows, columns, self._step, size
        )
        self._step += size
        applied = dict(zip(moved, np.asarray(used)[:size].T.tolist(), strict=True))
        return np.asarray(losses)[:size].tolist(), applied

    def evaluate(self, split: str = "validation") -> dict[str, float]:
        if split not in self._splits:
            fail("split", f"one of {list(self._splits)}", split, f"pass {split}=")
        data = self._splits[split]
        rows, totals = _rows(data), dict.fromkeys(["loss", *self._metrics], 0.0)
        for begin in range(0, rows, _EVALUATION_BATCH):
            batch = _batch(data, slice(begin, begin + _EVALUATION_BATCH))
            for name, value in self._evaluated(self.params, self.state, batch).items():
                totals[name] += float(value) * _rows(batch)
        return {name: total / rows for name, total in totals.items()}

    def snapshot(self) -> Snapshot:
        arrays = {name: np.array(leaf) for name, leaf in self._leaves().items()}
        return Snapshot(arrays, {"step": self._step})

    def restore(self, snapshot: Snapshot) -> None:
        leaves, arrays = self._leaves(), snapshot.arrays
        mine, saved = ({k: np.shape(v) for k, v in part.items()} for part in (leaves, arrays))
        if mine != saved:
            differing = sorted(k for k in mine | saved if mine.get(k) != saved.get(k))
            fail("snapshot", "one of the same parameters and optimizer", differing[:3])
        # NumPy files store bfloat16 as raw 2-byte values, so the dtype is restored here
        fresh = [jnp.array(arrays[k].view(leaf.dtype)) for k, leaf in leaves.items()]
        self._run = jax.tree.unflatten(jax.tree.structure(self._run), fresh)
        self._step = snapshot.metadata["step"]

    def _leaves(self) -> dict[str, Any]:
        """Return the arrays of the run by path, in the order of the pytree."""
        leaves, _ = jax.tree_util.tree_flatten_with_path(self._run)
        return {jax.tree_util.keystr(path): leaf for path, leaf in leaves}

    def _moved(self, policy: Policy) -> dict[str, str]:
        """Return the argument of ``make_optimizer`` for each hyperparameter of a policy.

        Raises:
            ValueError: if the policy has parameter groups, or an argument is missing or None.
        """
        moved = arguments(self._make, policy.targets)
        taken = inspect.signature(self._make).parameters
        for name, target in policy.targets.items():
            if isinstance(target, dict):
                fail(name, "one schedule for a jax.Learner", target, "remove the groups")
            if taken[moved[name]].default is None:
                argument = f"{moved[name]}=..."
                fix = f"pass functools.partial(make_optimizer, {argument}) to the Learner"
                fail(name, f"None where {moved[name]} of the optimizer is None", target, fix)
        return moved

    def _call(self, params: Any, state: Any, batch: Any, key: Any) -> tuple[Any, Any]:
        if state is None:
            return self._loss(params, batch, key), None
        value, state = self._loss(params, state, batch, key)
        return value, state

    def _updates(
        self, names: Any, run: _Run, data: Any, rows: Any, values: Any, first: Any, count: Any
    ) -> Any:
        """Make ``count`` updates, at most `block`; all block sizes share one compilation."""
        values = values.astype(dtype_of(run.params))
        gradient = jax.value_and_grad(self._call, has_aux=True)

        def body(i: Any, carry: Any) -> Any:
            (params, state, slots), losses, used = carry
            key = jax.random.fold_in(self._key, first + i)
            (loss, state), grads = gradient(params, state, _batch(data, rows[i]), key)
            written = dict(zip(names, values[i], strict=True))
            updates, new = self._make(**written).update(grads, slots, params)
            slots = cast_like(new, slots)  # hyperparameters are float32 or wider
            params = optax.apply_updates(params, cast_like(updates, grads))
            loss, row = loss.astype(jnp.float32), values[i].astype(jnp.float32)
            return _Run(params, state, slots), losses.at[i].set(loss), used.at[i].set(row)

        empty = jnp.zeros(self.block), jnp.zeros((self.block, len(names)))
        return jax.lax.fori_loop(0, count, body, (run, *empty))

    def _evaluation(self, params: Any, state: Any, batch: Any) -> dict[str, Any]:
        model = (params,) if state is None else (params, state)
        more = {name: metric(*model, batch) for name, metric in self._metrics.items()}
        return {"loss": self._call(params, state, batch, None)[0]} | more


def _batch(data: Any, rows: Any) -> Any:
    return jax.tree.map(lambda array: array[rows], data)


def _rows(data: Any) -> int:
    return len(jax.tree.leaves(data)[0])


def _arrays(name: str, data: Any) -> Any:
    data = jax.tree.map(jnp.asarray, data)
    rows = {array.shape[0] if array.ndim else 0 for array in jax.tree.leaves(data)}
    if len(rows) != 1 or rows == {0}:
        fail(
            name,
            "arrays with the same number of rows, above 0",
            [a.shape for a in jax.tree.leaves(data)],
        )
    return data
