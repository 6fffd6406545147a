"""Drop-in replacements of the cyclical learning rates of TensorFlow Addons, on Keras 3.

TensorFlow Addons is discontinued and requires an old TensorFlow. These classes are Keras schedules
on all backends of Keras.

>>> import lehr.compat.tensorflow_addons as tfa  # instead of: import tensorflow_addons as tfa
>>> schedule = tfa.optimizers.TriangularCyclicalLearningRate(0.25, 1.0, step_size=3)
>>> [float(schedule(step)) for step in range(8)]
[0.25, 0.5, 0.75, 1.0, 0.75, 0.5, 0.25, 0.5]
"""

from lehr.compat.tensorflow_addons import optimizers as optimizers
