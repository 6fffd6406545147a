"""The tables of differences of the Keras modules of lehr.compat."""

import compat_keras

from lehr.compat import tensorflow_addons


def test_tensorflow_addons():
    ours = vars(tensorflow_addons.optimizers)
    found, table = compat_keras.results("tensorflow_addons", compat_keras.TENSORFLOW_ADDONS, ours)
    assert found == table
