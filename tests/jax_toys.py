"""What the tests of lehr.jax share."""

import numpy as np


def close(used, wanted):
    """Float32 in a graph: within 4e-7 of the largest value."""
    wanted = np.asarray(wanted)
    assert np.abs(np.asarray(used, np.float64) - wanted).max() <= 4e-7 * wanted.max()
