"""GreedyLR, which has no shape."""

from __future__ import annotations

import math

from transformers import optimization


class GreedyLR(optimization.GreedyLR):
    """Raise the rates while a metric improves, and lower them while it does not.

    It is the library's class, with its attributes and state dict. Only the relative threshold
    differs: it is a share of the absolute value of the best metric, so that negative metrics can
    also stop improving.

    Source: arXiv 2512.14527.

    Args:
        optimizer: the optimizer.
        mode: "min" if a smaller metric is better, or "max".
        factor: the rates are multiplied or divided by it, below 1.
        patience: number of metrics with (without) improvement after which the next one raises
            (lowers) the rates.
        threshold: smallest improvement that counts.
        threshold_mode: "abs" or "rel" (to the best metric).
        cooldown: number of metrics ignored after a reduction.
        warmup: number of metrics ignored after an increase.
        min_lr: lower bound of the rates, a number or one for each group.
        max_lr: upper bound of the rates, a number or one for each group.
        eps: smallest change of a rate.
        verbose: whether to print each change.
        smooth: whether to average the last ``window_size`` metrics.
        window_size: number of metrics in the average.
        reset_start: number of reductions at the lower bound after which the scheduler starts again.

    Raises:
        ValueError: if an argument is out of range.
        TypeError: if the optimizer is not one.

    >>> import torch
    >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
    >>> scheduler = GreedyLR(optimizer, factor=0.5, patience=1)
    >>> for loss in (4.0, 3.0, 2.0, 2.0, 2.0):
    ...     scheduler.step(loss)
    ...     print(scheduler.get_last_lr()[0], end=" ")
    0.5 1.0 1.0 1.0 0.5
    """

    def is_better(self, current: float, best: float) -> bool:
        """Return whether a metric is an improvement."""
        if self.threshold_mode == "rel" and -math.inf < best < 0.0:
            gain = best - current if self.mode == "min" else current - best
            return bool(gain > self.threshold * -best)
        return bool(super().is_better(current, best))
