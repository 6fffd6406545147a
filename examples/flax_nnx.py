"""Flax NNX on scikit-learn's digits: warm-up, decay, and a plateau on the validation loss.

pip install "lehr[jax]" flax scikit-learn
"""

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from sklearn.datasets import load_digits

import lehr

EPOCHS, BATCH = 6, 32

x, y = load_digits(return_X_y=True)
x, y = jnp.asarray(x / 16, jnp.float32), jnp.asarray(y)
train, validation = (x[:1440], y[:1440]), (x[1440:], y[1440:])
steps = EPOCHS * (len(train[0]) // BATCH)

rngs = nnx.Rngs(0)
model = nnx.Sequential(nnx.Linear(64, 64, rngs=rngs), nnx.relu, nnx.Linear(64, 10, rngs=rngs))
policy = lehr.Policy(
    lr=lehr.warmup(0.3, "10%").then(lehr.cosine(0.3, floor=0.03)),
    momentum=0.9,
    control=lehr.Plateau("val_loss", factor=0.5, patience=1, threshold=0.05),
)
tx = lehr.jax.drive(optax.sgd, policy, steps=steps)
optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)


def loss_of(model, x, y):
    return optax.softmax_cross_entropy_with_integer_labels(model(x), y).mean()


@nnx.jit
def train_epoch(model, optimizer, key):
    """Train on every row once, in one compiled scan; return the rate of each update."""

    @nnx.scan(in_axes=(nnx.Carry, 0), out_axes=(nnx.Carry, 0))
    def update(carry, rows):
        model, optimizer = carry
        optimizer.update(model, nnx.grad(loss_of)(model, train[0][rows], train[1][rows]))
        return carry, lehr.jax.hyperparams(optimizer.opt_state)["lr"]

    rows = jax.random.permutation(key, len(train[0])).reshape(-1, BATCH)
    return update((model, optimizer), rows)[1]


for epoch in range(EPOCHS):
    rates = train_epoch(model, optimizer, jax.random.key(epoch))
    loss = loss_of(model, *validation)
    optimizer.opt_state = tx.observe(optimizer.opt_state, loss)
    print(f"epoch {epoch}: rates {rates[0]:.4f} to {rates[-1]:.4f}, validation loss {loss:.3f}")

accuracy = (model(validation[0]).argmax(1) == validation[1]).mean()
print(f"accuracy {accuracy:.3f}")
