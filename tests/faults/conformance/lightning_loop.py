"""Lightning with lehr's Scheduler, resumed from Lightning's checkpoints."""

import lightning
import torch
from fit_run import POLICY, UPDATES, FitRun, read
from lightning.pytorch.callbacks import ModelCheckpoint

import lehr

ACCUMULATE = 2


class Batches:
    """Three updates an epoch; saves its position, without which Lightning restarts the epoch."""

    def __init__(self):
        self.x = torch.randn(6, 8, 4, generator=torch.Generator().manual_seed(1))
        self.at = 0

    def __len__(self):
        return len(self.x)

    def __iter__(self):
        while self.at < len(self.x):
            self.at += 1
            yield self.x[self.at - 1]
        self.at = 0

    def state_dict(self):
        return {"at": self.at}

    def load_state_dict(self, state):
        self.at = state["at"]


class Module(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.net = torch.nn.Sequential(
            torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8), torch.nn.Linear(8, 1)
        )
        self.used = []

    def configure_optimizers(self):
        optimizer = torch.optim.AdamW(self.parameters())
        scheduler = lehr.torch.Scheduler(optimizer, POLICY)
        config = {"scheduler": scheduler, "interval": "step"}
        return {"optimizer": optimizer, "lr_scheduler": config}

    def training_step(self, x, batch_idx):
        return torch.nn.functional.mse_loss(self.net(x)[:, 0], x.sum(1))

    def on_before_optimizer_step(self, optimizer):
        self.used.append(read(optimizer))


class LightningLoop(FitRun):
    def fit(self, checkpoint):
        self.module = Module()
        saving = ModelCheckpoint(
            self.checkpoints,
            "{step}/state",
            auto_insert_metric_name=False,
            every_n_train_steps=1,
            save_top_k=-1,
        )
        lightning.Trainer(
            accelerator="cpu",
            max_steps=UPDATES,
            accumulate_grad_batches=ACCUMULATE,
            callbacks=[saving],
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        ).fit(self.module, Batches(), ckpt_path=checkpoint and checkpoint / "state.ckpt")
        return self.module.used

    def weights(self):
        return [tensor.numpy() for tensor in self.module.state_dict().values()]
