"""The record of a range test: what was tried and what it gave. Nothing in it is smoothed."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lehr.schedule.errors import fail, one_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lehr.finder.suggest import Suggestion

SPACINGS = ("exponential", "linear")
OBJECTIVES = ("training", "validation")
_VERSION = 1


@dataclass(frozen=True)
class Sweep:
    """Losses at rising learning rates.

    Attributes:
        rates: learning rate applied in each update, rising.
        losses: loss at each rate; the last may be NaN or infinite.
        spacing: "exponential" or "linear".
        steps: planned number of updates.
        stopped: reason of the end: "end", "diverged" or "not finite".
        objective: "training": the loss of each batch before its update; "validation": after it.

    >>> sweep = Sweep((0.1, 1.0), (2.0, 1.5), "exponential", 2, "end")
    >>> Sweep.from_json(sweep.to_json()) == sweep
    True
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    spacing: str
    steps: int
    stopped: str
    objective: str = "training"

    def __post_init__(self) -> None:
        object.__setattr__(self, "rates", tuple(self.rates))
        object.__setattr__(self, "losses", tuple(self.losses))
        one_of("spacing", self.spacing, SPACINGS)
        one_of("objective", self.objective, OBJECTIVES)
        if len(self.rates) != len(self.losses):
            fail("losses", f"as many as the {len(self.rates)} rates", len(self.losses))
        if any(not a < b for a, b in itertools.pairwise(self.rates)):
            fail("rates", "rising", self.rates)

    def suggest(self, use: str) -> Suggestion:
        """Return the learning rate for a use: "constant", "one-cycle" or "cyclical"."""
        from lehr.finder.suggest import suggest

        return suggest(self, use)

    def to_dict(self) -> dict[str, Any]:
        """Return the record as plain data; a loss that is not finite is written as a string."""
        losses = [loss if math.isfinite(loss) else str(loss) for loss in self.losses]
        fields = dataclasses.asdict(self) | {"rates": list(self.rates), "losses": losses}
        return {"lehr_sweep": _VERSION} | fields

    @classmethod
    def from_dict(cls, data: Any) -> Sweep:
        """Return the record that `to_dict` converted to plain data.

        Raises:
            ValueError: if it is something else.
        """
        names = {field.name for field in dataclasses.fields(cls)}
        if not isinstance(data, dict) or data.get("lehr_sweep") != _VERSION:
            fail("data", f"a sweep of format version {_VERSION}", data)
        fields = {"objective": "training", **data}  # the first sweeps have no objective
        del fields["lehr_sweep"]
        if fields.keys() != names:
            fail("fields of a sweep", ", ".join(sorted(names)), sorted(fields))
        return cls(**fields | {"losses": tuple(float(loss) for loss in fields["losses"])})

    def to_json(self) -> str:
        """Return the record as JSON text."""
        return json.dumps(self.to_dict(), allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Sweep:
        """Return the record that `to_json` wrote.

        Raises:
            ValueError: if it is something else.
        """
        return cls.from_dict(json.loads(text))

    def plot(self) -> Figure:
        """Return a figure: the losses, their smoothed line, the suggestions."""
        from lehr import figures

        return figures.draw_sweep(self)
