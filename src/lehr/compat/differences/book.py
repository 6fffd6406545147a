"""Rows of `lehr.compat.differences` for the book: the fields of `Difference`."""

# `rates(callback, n)` returns the rates of n batches, rounded to four significant digits;
# `losses(callback, values)` returns the recorded losses of batches with these losses.
ROWS = (
    (
        "OneCycleScheduler",
        "batches after the last iteration",
        "rates(OneCycleScheduler(4, 1.0, last_iterations=2, last_rate=0.02), 6)",
        "[0.1, 1.0, 0.1, 0.06, 0.02, -0.02]",
        "[0.1, 1.0, 0.1, 0.06, 0.02, 0.02]",
        "the chapter's formula continues, so the rate becomes negative; lehr holds the last rate",
    ),
    (
        "OneCycleScheduler",
        "`steps_per_execution`",
        "rates(OneCycleScheduler(4, 1.0, last_iterations=2), 4, steps_per_execution=2)",
        "[0.1, 1.0]",
        "[0.1, 0.1]",
        "the chapter's class counts the blocks of batches, so the cycle has too many batches",
    ),
    (
        "ExponentialDecay",
        "`steps_per_execution`",
        "rates(ExponentialDecay(4), 8, steps_per_execution=4)",
        "[0.5623, 0.3162]",
        "[0.5623, 0.05623]",
        "the chapter's class counts the blocks of batches",
    ),
    (
        "ExponentialLearningRate",
        "the recorded losses",
        "losses(ExponentialLearningRate(2.0), [1.0, 3.0, 8.0])",
        "[1.0, 2.0, 4.0]",
        "[1.0, 3.0, 8.0]",
        "Keras passes the mean since the start of the epoch; lehr records the loss of each batch, "
        "as in the figures of the book",
    ),
    (
        "mc_dropout_predict_classes",
        "a model with one output unit",
        "classes([0.2, 0.9])",
        "[0, 0]",
        "[0, 1]",
        "`argmax` of one column is always 0",
    ),
    (
        "mc_dropout_predict_probas",
        "a model without Monte Carlo dropout",
        "mc_dropout_predict_probas(without_dropout, ones).shape",
        "(2, 1)",
        "ValueError",
        "all predictions would be equal",
    ),
)
