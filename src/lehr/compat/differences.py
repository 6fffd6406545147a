"""The deliberate differences between ``lehr.compat`` and the libraries that it replaces.

The tests run the example of every row with both, and the pages of differences are generated from
the rows (``docs/make_compat.py``).
"""

from __future__ import annotations

from dataclasses import dataclass

from lehr.compat import (
    _differences_book,
    _differences_clr_callback,
    _differences_optax,
    _differences_tensorflow_addons,
    _differences_torch_lr_finder,
    _differences_transformers,
)


@dataclass(frozen=True)
class Difference:
    """One row of the table.

    Args:
        module: name of the module in ``lehr.compat``.
        name: name of the class or function.
        condition: where the results differ.
        example: an expression, evaluated with the names of the library, or of the module.
        theirs: its result with the library, as code, or the type of an error.
        ours: its result with ``lehr.compat``, as code, or the type of an error.
        reason: why the library's result is not reproduced.
    """

    module: str
    name: str
    condition: str
    example: str
    theirs: str
    ours: str
    reason: str


def differences(module: str) -> list[Difference]:
    """Return the rows of a module.

    >>> [row.ours for row in differences("torch") if row.name == "ExponentialLR"]
    []
    """
    return [row for row in DIFFERENCES if row.module == module]


# In the examples of torch, `optimizer` is SGD with rate 0.1 and momentum 0.9, and
# `rates(scheduler, n)` returns the rates of the first n updates, rounded to four significant
# digits; `steps` are arguments of `scheduler.step`.
DIFFERENCES = (
    Difference(
        "torch",
        "CosineAnnealingWarmRestarts",
        "`step(epoch)` at a restart, with `T_mult` above 1",
        "rates(CosineAnnealingWarmRestarts(optimizer, 10, T_mult=3), steps=[1210])",
        "[0.1, 0.0]",
        "[0.1, 0.1]",
        "PyTorch rounds a logarithm; 307 of 4917 restarts have the lowest rate, not the highest",
    ),
    Difference(
        "torch",
        "CosineAnnealingWarmRestarts",
        "`last_epoch` after the first restart, with `T_mult` above 1",
        "rates(CosineAnnealingWarmRestarts(optimizer, 5, T_mult=2, last_epoch=19), 3)",
        "[0.1, 0.09755, 0.09045]",
        "[0.08536, 0.07939, 0.0727]",
        "PyTorch counts at most one restart before `last_epoch`",
    ),
    Difference(
        "torch",
        "OneCycleLR",
        "the step after the last update, which the usual loop makes",
        "rates(OneCycleLR(optimizer, 1.0, total_steps=10, anneal_strategy='linear'), 11)[8:]",
        "[0.1429, 4e-06, -0.1429]",
        "[0.1429, 4e-06, 4e-06]",
        "the rate becomes negative, or rises along the cosine; lehr holds the lowest rate",
    ),
    Difference(
        "torch",
        "OneCycleLR",
        "a phase without a step: `pct_start * total_steps` is 1",
        "rates(OneCycleLR(optimizer, 1.0, total_steps=10, pct_start=0.1), 3)",
        "ZeroDivisionError",
        "[1.0, 0.9698, 0.883]",
        "PyTorch divides by the length of the phase",
    ),
    Difference(
        "torch",
        "OneCycleLR",
        "the step after the last update, with `pct_start=1.0`",
        "rates(OneCycleLR(optimizer, 1.0, total_steps=4, pct_start=1.0), 5)",
        "ZeroDivisionError",
        "[0.04, 0.28, 0.76, 1.0, 4e-06]",
        "PyTorch divides by the length of the second phase",
    ),
    Difference(
        "torch",
        "OneCycleLR",
        "`three_phase=True` and `pct_start` above 0.5",
        "rates(OneCycleLR(optimizer, 1.0, 10, pct_start=0.55, three_phase=True), 10)[8:]",
        "[0.1523, 0.04]",
        "[0.1523, 4e-06]",
        "the third phase has no steps, so PyTorch does not reach the lowest rate",
    ),
    Difference(
        "torch",
        "CyclicLR",
        "`step_size_up=0`",
        "rates(CyclicLR(optimizer, 0.0, 1.0, step_size_up=0, step_size_down=2), 4)",
        "ZeroDivisionError",
        "[1.0, 0.5, 1.0, 0.5]",
        "PyTorch divides by the length of the rise",
    ),
    Difference(
        "torch",
        "LinearLR",
        "`total_iters=0`",
        "rates(LinearLR(optimizer, total_iters=0), 3)",
        "[0.03333, 0.03333, 0.03333]",
        "[0.1, 0.1, 0.1]",
        "without a warm-up the rates remain at `start_factor` in PyTorch",
    ),
    Difference(
        "torch",
        "ConstantLR",
        "`total_iters=0`",
        "rates(ConstantLR(optimizer, factor=0.5, total_iters=0), 3)",
        "[0.05, 0.05, 0.05]",
        "[0.1, 0.1, 0.1]",
        "as LinearLR",
    ),
    Difference(
        "torch",
        "PolynomialLR",
        "`total_iters=0`",
        "rates(PolynomialLR(optimizer, total_iters=0), 3)",
        "[0.1, 0.1, 0.1]",
        "[0.0, 0.0, 0.0]",
        "as LinearLR: the value after the end",
    ),
    Difference(
        "torch",
        "ConstantLR",
        "`factor=0`",
        "rates(ConstantLR(optimizer, factor=0.0, total_iters=2), 4)",
        "ZeroDivisionError",
        "[0.0, 0.0, 0.1, 0.1]",
        "PyTorch accepts the factor and divides by it at the end",
    ),
    Difference(
        "torch",
        "CosineAnnealingLR",
        "a group that is added later, at step `T_max + 1`",
        "rates(with_group(CosineAnnealingLR(optimizer, 2), lr=0.5), 5, group=1)",
        "ValueError",
        "[0.5, 0.25, 0.0, 0.25, 0.5]",
        "PyTorch has no base rate for the group; lehr uses its rate at its first step",
    ),
    Difference(
        "torch",
        "StepLR",
        "`step_size=0`",
        "StepLR(optimizer, 0) and None",
        "None",
        "ValueError",
        "PyTorch raises ZeroDivisionError at the first step",
    ),
    Difference(
        "torch",
        "CosineAnnealingLR",
        "`T_max=0`",
        "CosineAnnealingLR(optimizer, 0) and None",
        "None",
        "ValueError",
        "PyTorch raises ZeroDivisionError at the first step",
    ),
    Difference(
        "torch",
        "SequentialLR",
        "a SequentialLR as its first part",
        "rates(SequentialLR(optimizer, [SequentialLR(optimizer, [LinearLR(optimizer, 0.1, "
        "total_iters=3), ExponentialLR(optimizer, 0.9)], [3]), StepLR(optimizer, 9)], [5]), 6)",
        "[0.01, 0.04, 0.1, 0.09, 0.081, 0.1]",
        "[0.01, 0.04, 0.07, 0.1, 0.09, 0.1]",
        "the inner one is advanced once too often when the outer one is created",
    ),
    Difference(
        "torch",
        "SequentialLR",
        "a ChainedScheduler as its first part",
        "rates(SequentialLR(optimizer, [ChainedScheduler([LinearLR(optimizer, 0.1, "
        "total_iters=3), ExponentialLR(optimizer, 0.9)]), StepLR(optimizer, 9)], [3]), 4)",
        "[0.009, 0.0324, 0.05103, 0.1]",
        "[0.01, 0.036, 0.0567, 0.1]",
        "some of the schedulers are advanced when the outer one is created",
    ),
    Difference(
        "torch",
        "SequentialLR",
        "a SequentialLR or ChainedScheduler as a later part",
        "rates(SequentialLR(optimizer, [ConstantLR(optimizer, 0.5, 2), ChainedScheduler([LinearLR("
        "optimizer, 0.1, total_iters=3), ExponentialLR(optimizer, 0.9)])], [2]), 5)",
        "NotImplementedError",
        "[0.05, 0.05, 0.01, 0.036, 0.0567]",
        "PyTorch cannot restart it at the milestone",
    ),
    Difference(
        "torch",
        "SequentialLR",
        "OneCycleLR as a later part",
        "rates(SequentialLR(optimizer, [LinearLR(optimizer, 0.2, total_iters=4), "
        "OneCycleLR(optimizer, 0.1, total_steps=9)], [4]), 4)",
        "[0.0008, 0.0016, 0.0024, 0.0032]",
        "[0.02, 0.04, 0.06, 0.08]",
        "OneCycleLR replaces the initial rate, from which PyTorch starts the first part",
    ),
    Difference(
        "torch",
        "SequentialLR",
        "`last_epoch` of 0 or more",
        "rates(SequentialLR(optimizer, [ConstantLR(optimizer, 0.1, 4), "
        "ExponentialLR(optimizer, 0.9)], [4], last_epoch=4), 3)",
        "[0.01, 0.009, 0.0081]",
        "[0.09, 0.081, 0.0729]",
        "PyTorch starts the first part again",
    ),
    Difference(
        "torch",
        "ReduceLROnPlateau",
        "a negative metric with a relative threshold",
        "rates(ReduceLROnPlateau(optimizer, patience=1), steps=[-100.0, -99.995, -99.99])",
        "[0.1, 0.1, 0.1, 0.1]",
        "[0.1, 0.1, 0.1, 0.01]",
        "the threshold has the wrong sign: a slightly worse metric counts as an improvement",
    ),
    *(Difference("optax", *row) for row in _differences_optax.ROWS),
    *(Difference("transformers", *row) for row in _differences_transformers.ROWS),
    *(Difference("book", *row) for row in _differences_book.ROWS),
    *(Difference("torch_lr_finder", *row) for row in _differences_torch_lr_finder.ROWS),
    *(Difference("clr_callback", *row) for row in _differences_clr_callback.ROWS),
    *(Difference("tensorflow_addons", *row) for row in _differences_tensorflow_addons.ROWS),
)
