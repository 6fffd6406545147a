"""A Keras model on two JAX devices; `case_processes.py` starts this program."""

import os

os.environ |= {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": "--xla_force_host_platform_device_count=2"}

import keras
import keras_models as models
from keras.optimizers import Adam
from keras.optimizers.schedules import ExponentialDecay
from keras_models import X, Y, everything, fit, network

import lehr.keras

LAYOUT = keras.distribution.DataParallel(devices=keras.distribution.list_devices())


def main() -> None:
    assert len(keras.distribution.list_devices()) == 2
    keras.distribution.set_distribution(LAYOUT)
    after = []
    for tests in (0, 2):
        model = network(Adam(ExponentialDecay(0.1, 5, 0.5)))
        keras.utils.set_random_seed(2)
        fit(model)
        shardings = [variable.value.sharding for variable in model.variables]
        for _ in range(tests):
            sweep = lehr.keras.range_test(model, (X, Y), batch_size=8, steps=20)
            print(sweep.to_json())
        assert [variable.value.sharding for variable in model.variables] == shardings
        assert {len(layout.device_set) for layout in shardings} == {2}
        keras.utils.set_random_seed(3)
        fit(model)
        after.append(everything(model))
    assert models.same(*after)


if __name__ == "__main__":
    main()
