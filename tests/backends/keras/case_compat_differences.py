"""The tables of differences of the Keras modules of lehr.compat."""

import compat_keras

from lehr.compat import clr_callback, tensorflow_addons


def test_clr_callback():
    ours = vars(clr_callback)
    found, table = compat_keras.results("clr_callback", compat_keras.CLR_CALLBACK, ours)
    assert found == table


def test_tensorflow_addons():
    ours = vars(tensorflow_addons.optimizers)
    found, table = compat_keras.results("tensorflow_addons", compat_keras.TENSORFLOW_ADDONS, ours)
    assert found == table
