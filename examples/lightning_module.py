"""Lightning: warm-up and cosine, a plateau on the validation loss, two batches per update.

`Trainer` steps the scheduler after each update, because its "interval" is "step". Checkpoints
include the scheduler; `trainer.fit(..., ckpt_path=...)` resumes exactly.
"""

import lightning as L
import torch
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, TensorDataset, random_split

import lehr


class Classifier(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = torch.nn.Sequential(
            torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10)
        )

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), momentum=0.9)
        policy = lehr.Policy(
            lr=lehr.warmup(0.1, "10%").then(lehr.cosine(0.1)),
            control=lehr.Plateau("val_loss", factor=0.5, patience=1, threshold=0.2),
        )
        updates = int(self.trainer.estimated_stepping_batches)  # includes accumulation
        scheduler = lehr.torch.Scheduler(optimizer, policy, steps=updates)
        # the default interval, "epoch", would step it once per epoch
        config = {"scheduler": scheduler, "interval": "step"}
        return {"optimizer": optimizer, "lr_scheduler": config}

    def training_step(self, batch, batch_idx):
        return self.loss(batch)

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", self.loss(batch))

    def on_validation_epoch_end(self):
        if not self.trainer.sanity_checking:
            loss = self.trainer.callback_metrics["val_loss"].item()
            self.lr_schedulers().observe(loss)
            print(f"validation: loss {loss:.9g}")

    def on_before_optimizer_step(self, optimizer):
        print(f"update {self.global_step}: lr {optimizer.param_groups[0]['lr']:.9g}")

    def loss(self, batch):
        x, y = batch
        return torch.nn.functional.cross_entropy(self.net(x), y)


if __name__ == "__main__":
    L.seed_everything(0)
    x, y = load_digits(return_X_y=True)
    data = TensorDataset(torch.tensor(x, dtype=torch.float32) / 16, torch.tensor(y))
    train, validation = random_split(data, [1500, 297])
    trainer = L.Trainer(max_epochs=4, accumulate_grad_batches=2, accelerator="cpu", logger=False)
    trainer.fit(Classifier(), DataLoader(train, 100, shuffle=True), DataLoader(validation, 297))
