"""An arm of a study: a policy, the rule for its peak, and its optimizer."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, replace
from typing import TYPE_CHECKING, Any

from lehr.finder.suggest import USES
from lehr.policy import Policy, as_policy
from lehr.schedule import Constant, Schedule
from lehr.schedule.code import call
from lehr.schedule.errors import fail, one_of

_CHECKED_STEPS = 2000  # updates over which the largest rate of a tuned policy is computed
_IN_NAMES, _LONGEST_NAME = " -_.,+=()[]%@#'", 60  # other allowed characters of a name


@dataclass(frozen=True, repr=False)
class Arm:
    """An arm of a study: a policy, the rule for its peak, and its optimizer.

    Args:
        policy: a policy, a schedule or a number.
        tune: "constant", "one-cycle" or "cyclical" for a policy written at peak 1: the study
            multiplies the learning rate by a peak that it chooses around the range test's
            suggestion for this use. None: the policy is used unchanged and shown as untuned.
        optimizer: name of an optimizer, passed to the task as ``optimizer=``; None for the task's
            default.

    Raises:
        ValueError: if ``tune`` is unknown, the tuned policy has parameter groups or is not
            written at peak 1, or the policy has lengths in samples or tokens or cannot be saved
            as JSON.
        TypeError: if the optimizer is not a name.

    >>> import lehr
    >>> Arm(lehr.constant(1.0), tune="constant")
    Arm(1.0, tune='constant')
    """

    policy: Policy
    _: KW_ONLY
    tune: str | None = None
    optimizer: str | None = None

    if TYPE_CHECKING:

        def __init__(
            self,
            policy: Policy | Schedule | float,
            *,
            tune: str | None = None,
            optimizer: str | None = None,
        ) -> None: ...

    def __post_init__(self) -> None:
        policy = as_policy(self.policy)
        object.__setattr__(self, "policy", policy)
        resolved = _example(policy)
        if self.tune is not None:
            one_of("tune", self.tune, USES)
            if isinstance(policy.lr, dict):
                fail("policy", "without parameter groups where its peak is tuned", policy.lr)
            _check_peak(resolved)
        if not isinstance(self.optimizer, str | None):
            fail(
                "optimizer", "the name of an optimizer of the task", self.optimizer, error=TypeError
            )
        if self.optimizer is not None:
            check_name("optimizer", self.optimizer)
        policy.to_dict()  # raises if the policy cannot be saved as JSON

    def __repr__(self) -> str:
        tune, optimizer = (self.tune, None), (self.optimizer, None)
        return call("Arm", self.given, tune=tune, optimizer=optimizer)[0]

    @property
    def given(self) -> Policy | Schedule | float:
        """The policy, or its schedule if it has only a learning rate; shorter in texts."""
        policy = self.policy
        schedule = policy.lr
        if not isinstance(schedule, Schedule) or policy != Policy(schedule):
            return policy
        constant = schedule.value if isinstance(schedule, Constant) else None
        return schedule if constant is None else constant

    def at(self, peak: float | None) -> Policy:
        """Return the policy scaled to a peak; None (for an untuned arm) returns it unchanged."""
        if peak is None or isinstance(self.policy.lr, dict):
            return self.policy
        return replace(self.policy, lr=self.policy.lr * peak)

    def to_dict(self) -> dict[str, Any]:
        """Return the arm as plain data."""
        return {"policy": self.policy.to_dict(), "tune": self.tune, "optimizer": self.optimizer}


def _example(policy: Policy) -> Policy | None:
    """Return the policy resolved for 2000 steps, or None if that length does not fit it."""
    try:
        return policy.resolve(_CHECKED_STEPS, steps_per_epoch=_CHECKED_STEPS // 10)
    except ValueError as error:
        if "_per_step must be given" not in str(error):
            return None
    rule = "in steps, epochs or shares of the run in a study"
    fail("policy", rule, policy, "call .resolve(steps, tokens_per_step=...) first")


def _check_peak(resolved: Policy | None) -> None:
    """Raise if a tuned policy's largest rate is far from 1."""
    if resolved is None:
        return
    highest = max(resolved.written(step)["lr"] for step in range(_CHECKED_STEPS))
    if not 0.5 <= highest <= 1 + 1e-3:
        fix = "the study multiplies it by each peak; use peak 1, for instance one_cycle(1.0)"
        fail("largest rate of a tuned policy", "1", highest, fix)


def check_name(field: str, name: Any) -> None:
    """Raise unless a name can be used in tables, figures and file names."""
    if not isinstance(name, str):
        fail(field, "text", name, error=TypeError)
    odd = [c for c in name if not c.isalnum() and c not in _IN_NAMES]
    if not name.strip() or odd or len(name) > _LONGEST_NAME or name[0] == ".":
        rule = f"1 to {_LONGEST_NAME} letters, digits, spaces and {_IN_NAMES.strip()}"
        fail(field, rule, name)
