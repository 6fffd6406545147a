"""The default arms of ``lehr compare``; arms with a tuned peak are defined at peak 1."""

from lehr.controllers import Plateau
from lehr.policy import Policy, one_cycle
from lehr.schedule.presets.basic import constant
from lehr.schedule.presets.cycles import triangular2
from lehr.study import Arm


def standard_arms() -> dict[str, Arm]:
    """Return the default arms of ``lehr compare``; the first is the reference.

    >>> list(standard_arms())
    ['fixed', 'plateau', 'triangular2', 'one-cycle', 'fixed 0.01']
    """
    return {
        "fixed": Arm(constant(1.0), tune="constant"),
        "plateau": Arm(Policy(1.0, control=Plateau(factor=0.5, patience=1)), tune="constant"),
        "triangular2": Arm(triangular2(0.1, 1.0, "1 epoch"), tune="cyclical"),
        "one-cycle": Arm(one_cycle(1.0), tune="one-cycle"),
        "fixed 0.01": Arm(constant(0.01)),
    }
