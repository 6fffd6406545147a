"""PyTorch: learning-rate scheduler, range test, layer diagnosis and learner."""

try:
    import numpy as _numpy  # noqa: F401
    import torch as _torch  # noqa: F401
except ImportError as error:
    raise ImportError("lehr.torch requires PyTorch and NumPy: pip install 'lehr[torch]'") from error

from lehr.torch.diagnosis import diagnose as diagnose
from lehr.torch.finder import range_test as range_test
from lehr.torch.learner import Learner as Learner
from lehr.torch.scheduler import Scheduler as Scheduler
