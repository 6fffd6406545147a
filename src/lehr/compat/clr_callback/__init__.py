"""Drop-in replacement of the module ``clr_callback``: a cyclical learning rate as a callback.

It runs on Keras 3. The original is bckenstler/CLR on GitHub; the callback of the same name in
keras-contrib differs from it: its history has the rate of the next batch.

>>> from lehr.compat.clr_callback import CyclicLR  # instead of: from clr_callback import CyclicLR
>>> clr = CyclicLR(base_lr=0.25, max_lr=1.0, step_size=3.0, mode="triangular2")
"""

from lehr.compat.clr_callback.callback import CyclicLR

__all__ = ["CyclicLR"]
