"""Drop-in replacements of the schedulers of ``torch.optim.lr_scheduler``, and of ``SWALR``.

They are subclasses of torch's own classes, with their constructors, methods, warnings and state
dicts; the values come from lehr's algebra. LambdaLR, MultiplicativeLR and LRScheduler have no shape
and are torch's own.

>>> import torch
>>> from lehr.compat.torch import OneCycleLR  # instead of: from torch.optim.lr_scheduler
>>> optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))])
>>> OneCycleLR(optimizer, max_lr=0.01, total_steps=100).get_last_lr()
[0.0004]
"""

from torch.optim.lr_scheduler import (
    EPOCH_DEPRECATION_WARNING,
    LambdaLR,
    LRScheduler,
    MultiplicativeLR,
)

from lehr.compat.torch._private import (
    ChainedScheduler,
    ReduceLROnPlateau,
    SequentialLR,
    _LRScheduler,  # noqa: F401  (imported by code for old versions of torch)
)
from lehr.compat.torch.chainable import (
    ConstantLR,
    CosineAnnealingLR,
    ExponentialLR,
    LinearLR,
    MultiStepLR,
    PolynomialLR,
    StepLR,
)
from lehr.compat.torch.cycles import (
    SWALR,
    CosineAnnealingWarmRestarts,
    CyclicLR,
    OneCycleLR,
)

__all__ = [
    "EPOCH_DEPRECATION_WARNING",
    "SWALR",
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "CyclicLR",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "MultiplicativeLR",
    "OneCycleLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
]
