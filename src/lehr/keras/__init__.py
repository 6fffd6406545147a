"""Keras 3 on JAX, TensorFlow and PyTorch: policies in the graph, range test and learner.

Importing this module registers the driven optimizers, so that Keras can load saved models.
"""

try:
    import keras as _keras  # noqa: F401
except ImportError as error:
    raise ImportError(
        f"lehr.keras requires Keras 3 and a backend ({error}); pip install 'lehr[keras]'"
    ) from error

from lehr.keras.control import Control as Control
from lehr.keras.diagnosis import diagnose as diagnose
from lehr.keras.driver import attach as attach
from lehr.keras.driver import driven as driven
from lehr.keras.finder import range_test as range_test
from lehr.keras.keras_schedule import Schedule as Schedule
from lehr.keras.keras_schedule import schedule as schedule
from lehr.keras.learner import Learner as Learner
from lehr.keras.monte_carlo import MonteCarlo as MonteCarlo
from lehr.keras.monte_carlo import Prediction as Prediction
