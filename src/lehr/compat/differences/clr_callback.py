"""Rows of `lehr.compat.differences` for the module clr_callback: the fields of `Difference`."""

# `sums(callback, n, block)` returns the sum of the rates of each execution of `block` batches.
ROWS = (
    (
        "CyclicLR",
        "several batches per execution (JAX and TensorFlow)",
        "sums(CyclicLR(0.0, 1.0, 4.0), 8, block=4)",
        "[0.0, 1.0]",
        "[1.5, 2.5]",
        "the original counts executions, and sets the rate once per execution",
    ),
    (
        "CyclicLR",
        "an unknown `mode`",
        "CyclicLR(mode='cosine') and None",
        "None",
        "ValueError",
        "the original raises AttributeError in `fit`",
    ),
    (
        "CyclicLR",
        "`step_size=0`",
        "CyclicLR(step_size=0.0) and None",
        "None",
        "ValueError",
        "the rates of the original are not numbers",
    ),
)
