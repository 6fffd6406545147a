"""JAX: `drive` applies a policy to an optax optimizer; range test and learner.

A lehr schedule is a valid optax schedule: pass it as ``learning_rate`` to any optax optimizer.
"""

try:
    import jax as _jax  # noqa: F401
    import optax as _optax  # noqa: F401
except ImportError as error:
    raise ImportError("lehr.jax requires JAX and optax: pip install 'lehr[jax]'") from error

from lehr.jax.driver import Driver as Driver
from lehr.jax.driver import drive as drive
from lehr.jax.finder import range_test as range_test
from lehr.jax.learner import Learner as Learner
from lehr.jax.state import Driven as Driven
from lehr.jax.state import hyperparams as hyperparams
from lehr.jax.state import restored as restored
