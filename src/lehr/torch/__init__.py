"""PyTorch: a scheduler that drives an optimizer, and a learner that can be driven itself."""

try:
    import numpy as _numpy  # noqa: F401
    import torch as _torch  # noqa: F401
except ImportError as error:
    raise ImportError("lehr.torch needs PyTorch and NumPy: pip install 'lehr[torch]'") from error

from lehr.torch.diagnosis import diagnose as diagnose
from lehr.torch.finder import range_test as range_test
from lehr.torch.learner import Learner as Learner
from lehr.torch.scheduler import Scheduler as Scheduler
