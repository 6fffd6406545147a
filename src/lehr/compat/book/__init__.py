"""The definitions of the chapter "Training Deep Neural Networks" of Hands-On Machine Learning.

The names and arguments are those of the second edition's notebook, on Keras 3 with every backend.
`PiecewiseConstantDecay` is Keras's own class, as in the chapter.

Source: Géron, Hands-On Machine Learning, second edition, chapter 11.

>>> from lehr.compat.book import OneCycleScheduler  # instead of the cell that defines it
"""

from keras.optimizers.schedules import PiecewiseConstantDecay

from lehr.compat.book.callbacks import (
    ExponentialDecay,
    ExponentialLearningRate,
    OneCycleScheduler,
)
from lehr.compat.book.dropout import (
    MCAlphaDropout,
    MCDropout,
    mc_dropout_predict_classes,
    mc_dropout_predict_probas,
)
from lehr.compat.book.finder import find_learning_rate, plot_lr_vs_loss
from lehr.compat.book.schedules import (
    exponential_decay,
    exponential_decay_fn,
    piecewise_constant,
)

__all__ = [
    "ExponentialDecay",
    "ExponentialLearningRate",
    "MCAlphaDropout",
    "MCDropout",
    "OneCycleScheduler",
    "PiecewiseConstantDecay",
    "exponential_decay",
    "exponential_decay_fn",
    "find_learning_rate",
    "mc_dropout_predict_classes",
    "mc_dropout_predict_probas",
    "piecewise_constant",
    "plot_lr_vs_loss",
]
