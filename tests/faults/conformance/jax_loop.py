"""A jitted optax loop with lehr.jax.drive, for the conformance suite."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import optax

import lehr
import lehr.jax


class JaxLoop:
    """A small net, AdamW, warm-up and decay with momentum; a plateau observes each batch loss."""

    plateau: lehr.Plateau | None = None

    def __init__(self):
        lr = lehr.warmup(0.01, steps=3).then(lehr.cosine(0.01, steps=5))
        self.policy = lehr.Policy(lr, momentum=lehr.linear(0.95, 0.85, 8), control=self.plateau)
        self.tx = tx = lehr.jax.drive(optax.adamw, self.policy)
        a, b, data = jax.random.split(jax.random.key(0), 3)
        params = {"a": jax.random.normal(a, (4, 8)), "b": jax.random.normal(b, (8, 1))}
        self.carry = (params, tx.init(params))
        self.x = jax.random.normal(data, (8, 16, 4))

        def loss(params, x):
            return jnp.mean(
                (jnp.tanh(x @ params["a"]) @ params["b"] - x.sum(1, keepdims=True)) ** 2
            )

        @jax.jit
        def update(carry, x):
            params, state = carry
            value, grads = jax.value_and_grad(loss)(params, x)
            updates, state = tx.update(grads, state, params)
            used = lehr.jax.hyperparams(state) | {"factor": state.control.factor}
            if self.policy.control is not None:
                state = tx.observe(state, value)
            return (optax.apply_updates(params, updates), state), used

        self.update = update

    def train(self, steps):
        used = []
        for _ in range(steps):
            self.carry, values = self.update(self.carry, self.x[int(self.carry[1].step)])
            used.append({name: float(value) for name, value in values.items()})
        return used

    def save(self, folder):
        np.savez(folder / "arrays.npz", *jax.tree.leaves(self.carry))
        state = self.tx.state_dict(self.carry[1])
        (folder / "state.json").write_text(json.dumps(state))

    def load(self, folder):
        with np.load(folder / "arrays.npz") as file:
            arrays = [jnp.asarray(file[name]) for name in file.files]
        params, state = jax.tree.unflatten(jax.tree.structure(self.carry), arrays)
        saved = json.loads((folder / "state.json").read_text())
        self.carry = params, self.tx.load_state_dict(state, saved)

    def weights(self):
        return [np.asarray(leaf) for leaf in jax.tree.leaves(self.carry[0])]


class JaxPlateau(JaxLoop):
    """The same loop with a factor that is reduced at every second loss."""

    plateau = lehr.Plateau(patience=1, factor=0.5, threshold=0.9, average=2)
