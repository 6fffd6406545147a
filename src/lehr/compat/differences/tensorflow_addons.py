"""Rows of `lehr.compat.differences` for TensorFlow Addons: the fields of `Difference`."""

# `rates(schedule, *steps)` returns the rates at the steps, rounded to four significant digits.
ROWS = (
    (
        "CyclicalLearningRate",
        "late steps, in float32",
        "rates(TriangularCyclicalLearningRate(0.0, 1.0, 2.5), 10**7 + 1, 2**25 + 3)",
        "[0.5, 0.0]",
        "[0.4, 0.0]",
        "the step becomes a float32, and the quotients of large steps are rounded",
    ),
    (
        "CyclicalLearningRate",
        "`step_size=0`",
        "rates(TriangularCyclicalLearningRate(0.0, 1.0, 0), 1)",
        "[nan]",
        "ValueError",
        "TensorFlow Addons divides by it",
    ),
    (
        "CyclicalLearningRate",
        "integer rates",
        "rates(TriangularCyclicalLearningRate(0, 1, 2), 0, 1, 2)",
        "TypeError",
        "[0.0, 0.5, 1.0]",
        "TensorFlow Addons accepts floats only",
    ),
    (
        "ExponentialCyclicalLearningRate",
        "`gamma=0`",
        "rates(ExponentialCyclicalLearningRate(0.0, 1.0, 2, gamma=0.0), 1, 2)",
        "[0.0, 0.0]",
        "ValueError",
        "the rate never rises",
    ),
)
