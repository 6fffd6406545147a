"""The record of a range test: learning rates and raw losses."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from lehr.schedule.errors import fail, one_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lehr.finder.suggest import Suggestion

Spacing = Literal["geometric", "linear"]
Objective = Literal["training", "validation"]
_VERSION = 2


@dataclass(frozen=True, repr=False)
class Sweep:
    """Losses at increasing learning rates.

    Attributes:
        rates: learning rate applied in each update, strictly increasing.
        losses: loss at each rate; the last may be NaN or infinite.
        spacing: "geometric" (a constant ratio of the rates) or "linear" (a constant difference).
        steps: planned number of updates.
        stopped: reason for the end of the test: "end", "diverged" or "not finite".
        objective: "training" (loss of each batch before its update) or "validation" (validation
            loss after each update).

    Raises:
        ValueError: if the rates do not increase, or there is not one loss per rate.

    >>> sweep = Sweep((0.1, 1.0), (2.0, 1.5), "geometric", 2, "end")
    >>> sweep
    <Sweep: training loss of 2 of 2 updates at 0.1 to 1, geometric; ended: end>
    >>> Sweep.from_json(sweep.to_json()) == sweep
    True
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    spacing: Spacing
    steps: int
    stopped: str
    objective: Objective = "training"

    def __post_init__(self) -> None:
        object.__setattr__(self, "rates", tuple(self.rates))
        object.__setattr__(self, "losses", tuple(self.losses))
        one_of("spacing", self.spacing, get_args(Spacing))
        one_of("objective", self.objective, get_args(Objective))
        if len(self.rates) != len(self.losses):
            fail("number of losses", f"the number of rates, {len(self.rates)}", len(self.losses))
        if any(not a < b for a, b in itertools.pairwise(self.rates)):
            fail("rates", "strictly increasing", self.rates)

    def __repr__(self) -> str:
        ends = f" at {self.rates[0]:.3g} to {self.rates[-1]:.3g}" if self.rates else ""
        count = f"{len(self.rates)} of {self.steps} updates"
        ran = f"{self.objective} loss of {count}{ends}, {self.spacing}"
        return f"<Sweep: {ran}; ended: {self.stopped}>"

    def suggest(self, use: str) -> Suggestion:
        """Return the suggested learning rate for a use: "constant", "one-cycle" or "cyclical".

        Raises:
            ValueError: if the use is unknown.
        """
        from lehr.finder.suggest import suggest

        return suggest(self, use)

    def to_dict(self) -> dict[str, Any]:
        """Return the sweep as plain data; a loss that is not finite is converted to a string."""
        losses = [loss if math.isfinite(loss) else str(loss) for loss in self.losses]
        fields = dataclasses.asdict(self) | {"rates": list(self.rates), "losses": losses}
        return {"lehr_sweep": _VERSION} | fields

    @classmethod
    def from_dict(cls, data: Any) -> Sweep:
        """Return the sweep of plain data made by `to_dict`.

        Raises:
            ValueError: if the data is not a sweep, or has another format version.
        """
        if not isinstance(data, dict) or "lehr_sweep" not in data:
            fail("data", "a sweep as plain data", data, "Sweep.to_dict returns it")
        names = {field.name for field in dataclasses.fields(cls)}
        fields = {"objective": "training", **data}
        if (version := fields.pop("lehr_sweep")) != _VERSION:
            fix = "run the range test again with this version of lehr"
            fail("format version ('lehr_sweep')", str(_VERSION), version, fix)
        if fields.keys() != names:
            fail("fields of a sweep", ", ".join(sorted(names)), sorted(fields))
        return cls(**fields | {"losses": tuple(float(loss) for loss in fields["losses"])})

    def to_json(self) -> str:
        """Return the sweep as JSON text."""
        return json.dumps(self.to_dict(), allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Sweep:
        """Return the sweep of JSON text made by `to_json`.

        Raises:
            ValueError: if the text is not JSON or not a sweep, or has another format version.
        """
        fix = "Sweep.to_json returns it"
        if not isinstance(text, str | bytes):
            fail("text", "the JSON of a sweep", text, fix, TypeError)
        try:
            data = json.loads(text)
        except (ValueError, RecursionError):
            fail("text", "the JSON of a sweep", text, fix)
        return cls.from_dict(data)

    def plot(self) -> Figure:
        """Return a figure of the losses, their smoothed line and the suggestions."""
        from lehr import figures

        return figures.draw_sweep(self)
