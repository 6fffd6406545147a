"""One of two processes that train one Keras model on PyTorch; started by `case_processes.py`."""

import sys

import keras
import keras_models as models
import numpy as np
import torch
from keras_models import LOSS, PAIRS, everything
from torch import distributed

import lehr.keras


class Averaging(keras.Sequential):
    """Averages its gradients over the processes, as a user's training loop does."""

    def train_step(self, data):
        x, y, weights = keras.utils.unpack_x_y_sample_weight(data)
        self.zero_grad()
        loss = self.compute_loss(x, y, self(x, training=True), weights)
        loss.backward()
        gradients = [variable.value.grad for variable in self.trainable_variables]
        for gradient in gradients:
            distributed.all_reduce(gradient)
            gradient /= 2
        with torch.no_grad():
            self.optimizer.apply(gradients, self.trainable_variables)
        return {"loss": loss}


def main(rank: int, meet: str) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{meet}", rank=rank, world_size=2)
    mine = PAIRS[rank::2]
    weights = np.ones((48, 8))
    if rank:
        weights[24] = np.nan
    broken = [(*pair, w) for pair, w in zip(mine * 8, weights, strict=True)]
    after = []
    for tested in (True, False):
        keras.utils.set_random_seed(1)
        layers = [keras.layers.Dense(8), keras.layers.BatchNormalization(), keras.layers.Dense(3)]
        model = Averaging([keras.layers.Input((5,)), *layers])
        model.compile(keras.optimizers.SGD(0.1, momentum=0.9), loss=LOSS)
        model.fit(mine[0][0], mine[0][1], batch_size=8, verbose=0)
        if tested:
            print(lehr.keras.range_test(model, mine, high=1e6).to_json())
            print(lehr.keras.range_test(model, broken, high=0.1).to_json())
            # rank 1 has more validation data
            options = {"validation_data": mine[: 1 + rank], "steps": 20}
            print(lehr.keras.range_test(model, mine, high=0.1, **options).to_json())
        model.fit(mine[0][0], mine[0][1], batch_size=8, verbose=0)
        after.append(everything(model))
    assert models.same(*after)
    distributed.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
