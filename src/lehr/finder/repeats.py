"""Range tests over several seeds, and over a grid of other hyperparameters."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Unpack

from lehr.finder.run import RangeTest, RangeTestOptions
from lehr.finder.suggest import Suggestion, lowest_point, smoothed
from lehr.finder.sweep import Sweep
from lehr.learner import Learner
from lehr.schedule.errors import fail


def repeat(
    make: Callable[[int], Learner], seeds: Iterable[int], **options: Unpack[RangeTestOptions]
) -> list[Sweep]:
    """Run a range test for each seed.

    Args:
        make: function from a seed to a new Learner.
        seeds: seeds of the range tests.
        **options: keyword arguments of `range_test`.

    Returns:
        One sweep per seed.

    Raises:
        TypeError: before a Learner is built, if an option is unknown or has the wrong type.
        ValueError: before a Learner is built, if an option is out of range.

    >>> import lehr, torch
    >>> def make(seed):
    ...     torch.manual_seed(seed)
    ...     x, model = torch.randn(64, 1), torch.nn.Linear(1, 1)
    ...     sgd = torch.optim.SGD(model.parameters(), lr=0.1)
    ...     return lehr.torch.Learner(model, sgd, torch.nn.functional.mse_loss, (x, 2 * x))
    >>> [sweep.steps for sweep in lehr.finder.repeat(make, seeds=range(3), steps=20)]
    [20, 20, 20]
    """
    test = RangeTest(**options)
    return [test(make(seed)) for seed in seeds]


def agree(sweeps: Sequence[Sweep], use: str) -> Suggestion:
    """Return the median suggestion of several range tests.

    The bounds are the smallest and the largest of the suggested rates. The result has no rate
    (``lr=None``) if half or more of the range tests have no suggestion.

    Args:
        sweeps: range tests of one task, over several seeds.
        use: "constant", "one-cycle" or "cyclical".

    Raises:
        ValueError: if there are no sweeps or the use is unknown.

    >>> import math
    >>> from lehr.finder import Sweep
    >>> rates = [10 ** (k / 10 - 4) for k in range(40)]
    >>> seeds = [[(math.log10(x) + best) ** 2 for x in rates] for best in (1.0, 1.2, 1.4)]
    >>> sweeps = [Sweep(rates, losses, "geometric", 40, "end") for losses in seeds]
    >>> agree(sweeps, "constant").reason
    'median of 3 range tests, from 0.016 to 0.04'
    """
    if not sweeps:
        fail("sweeps", "at least one range test", sweeps)
    suggestions = [sweep.suggest(use) for sweep in sweeps]
    rates = [s.lr for s in suggestions if s.lr is not None]
    if len(rates) <= len(sweeps) / 2:
        none = next(s for s in suggestions if s.lr is None)
        count = f"{len(sweeps) - len(rates)} of {len(sweeps)} range tests have no suggestion"
        return Suggestion(use, None, None, None, f"{count}: {none.reason}")
    lr = statistics.median(rates)
    why = f"median of {len(rates)} range tests, from {min(rates):.2g} to {max(rates):.2g}"
    return Suggestion(use, lr, min(rates), max(rates), why)


@dataclass(frozen=True)
class Cell:
    """One range test of a grid.

    Attributes:
        settings: hyperparameters of the Learner, by name.
        sweep: record of the range test.
        lowest: lowest smoothed loss.
        largest: learning rate of the lowest smoothed loss.
    """

    settings: dict[str, Any]
    sweep: Sweep
    lowest: float
    largest: float


def grid(
    make: Callable[..., Learner],
    axes: Mapping[str, Sequence[Any]],
    **options: Unpack[RangeTestOptions],
) -> list[Cell]:
    """Run a range test for each combination of other hyperparameters.

    Prefer settings that reach a low loss at a large rate. Source: Smith, arXiv 1803.09820.

    Args:
        make: function from the settings, as keyword arguments, to a new Learner.
        axes: values to try by name, ``{"weight_decay": [0.0, 1e-4], "momentum": [0.9, 0.95]}``.
        **options: keyword arguments of `range_test`.

    Returns:
        One cell per combination, lowest loss first. Range tests without a finite loss are omitted.

    Raises:
        TypeError: before a Learner is built, if an option is unknown or has the wrong type.
        ValueError: before a Learner is built, if an axis is empty or an option is out of range.

    >>> import lehr, torch
    >>> def make(momentum):
    ...     torch.manual_seed(0)
    ...     x, model = torch.randn(64, 1), torch.nn.Linear(1, 1)
    ...     sgd = torch.optim.SGD(model.parameters(), lr=0.1, momentum=momentum)
    ...     return lehr.torch.Learner(model, sgd, torch.nn.functional.mse_loss, (x, 2 * x))
    >>> cells = lehr.finder.grid(make, {"momentum": [0.0, 0.9]}, high=1.0, steps=40)
    >>> len(cells), cells[0].lowest < cells[1].lowest
    (2, True)
    """
    test = RangeTest(**options)
    for name, values in axes.items():
        if not values:
            fail(name, "at least one value to try", values)
    cells = []
    for values in itertools.product(*axes.values()):
        settings = dict(zip(axes, values, strict=True))
        sweep = test(make(**settings))
        rates, line = smoothed(sweep)
        if line:
            at = lowest_point(line)
            cells.append(Cell(settings, sweep, line[at], rates[at]))
    return sorted(cells, key=lambda cell: cell.lowest)
