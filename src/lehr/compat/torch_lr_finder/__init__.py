"""Drop-in replacement of ``torch_lr_finder``, the range test of pytorch-lr-finder.

The classes have the original's signatures, attributes, return values and conventions. The rates
come from lehr's algebra, and `LRFinder.reset` restores the state as `lehr.torch.range_test` does.

>>> from lehr.compat.torch_lr_finder import LRFinder  # instead of: from torch_lr_finder
"""

from lehr.compat.torch_lr_finder.lr_finder import (
    DataLoaderIter,
    ExponentialLR,
    LinearLR,
    LRFinder,
    StateCacher,
    TrainDataLoaderIter,
    ValDataLoaderIter,
)

__all__ = [
    "DataLoaderIter",
    "ExponentialLR",
    "LRFinder",
    "LinearLR",
    "StateCacher",
    "TrainDataLoaderIter",
    "ValDataLoaderIter",
]
