"""A range test on two JAX devices, run as a process by `tests/jax/test_finder.py`."""

import os

os.environ |= {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": "--xla_force_host_platform_device_count=2"}

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jax_models import BATCHES, make

import lehr.jax

MESH = Mesh(np.array(jax.devices()), ("devices",))
EVERYWHERE = NamedSharding(MESH, PartitionSpec())
ROWS = NamedSharding(MESH, PartitionSpec("devices"))
COLUMNS = NamedSharding(MESH, PartitionSpec(None, "devices"))


def placed(leaf, matrices):
    return jax.device_put(leaf, matrices if jnp.ndim(leaf) == 2 else EVERYWHERE)


def main() -> None:
    assert len(jax.devices()) == 2
    batches = [jax.device_put(batch, ROWS) for batch in BATCHES]
    for matrices in (EVERYWHERE, COLUMNS):  # the state is replicated or sharded
        ends = []
        for tested in (True, False):
            step, state = make(donate=True)
            state = jax.tree.map(lambda leaf: placed(leaf, matrices), state)  # noqa: B023
            shardings = jax.tree.map(lambda leaf: leaf.sharding, state)
            if tested:
                sweep = lehr.jax.range_test(step, state, batches, steps=30, high=0.1)
                print(sweep.to_json())
            assert jax.tree.map(lambda leaf: leaf.sharding, state) == shardings
            for batch in batches:
                state, _ = step(state, batch, jnp.float32(0.01))
            ends.append([np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(state)])
        assert ends[0] == ends[1]


if __name__ == "__main__":
    main()
