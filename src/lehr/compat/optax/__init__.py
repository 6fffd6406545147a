"""Drop-in replacements of the schedule functions of ``optax.schedules``.

They return lehr's schedules, which are functions of the step in every framework: Python integers
and arrays of NumPy, JAX (also in ``jit``, ``vmap`` and ``scan``), PyTorch and TensorFlow. Optax is
not imported; its other names (``inject_hyperparams``, the optimizers) remain in ``optax``.

>>> from lehr.compat.optax import warmup_cosine_decay_schedule  # instead of: from optax
>>> schedule = warmup_cosine_decay_schedule(0.0, 1.0, warmup_steps=2, decay_steps=6)
>>> [round(schedule(t), 6) for t in range(8)]
[0.0, 0.5, 1.0, 0.853553, 0.5, 0.146447, 0.0, 0.0]
>>> schedule
warmup(1.0, 2).then(cosine(1.0, 4))
"""

from lehr.compat.optax.compositions import (
    cosine_onecycle_schedule,
    join_schedules,
    linear_onecycle_schedule,
    piecewise_interpolate_schedule,
    sgdr_schedule,
    warmup_constant_schedule,
    warmup_cosine_decay_schedule,
    warmup_exponential_decay_schedule,
)
from lehr.compat.optax.transitions import (
    constant_schedule,
    cosine_decay_schedule,
    exponential_decay,
    linear_schedule,
    piecewise_constant_schedule,
    polynomial_schedule,
)

__all__ = [
    "constant_schedule",
    "cosine_decay_schedule",
    "cosine_onecycle_schedule",
    "exponential_decay",
    "join_schedules",
    "linear_onecycle_schedule",
    "linear_schedule",
    "piecewise_constant_schedule",
    "piecewise_interpolate_schedule",
    "polynomial_schedule",
    "sgdr_schedule",
    "warmup_constant_schedule",
    "warmup_cosine_decay_schedule",
    "warmup_exponential_decay_schedule",
]
