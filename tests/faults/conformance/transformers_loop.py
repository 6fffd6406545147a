"""Hugging Face's Trainer with lehr's Scheduler, resumed from Trainer's checkpoints."""

import torch
import transformers
from fit_run import POLICY, UPDATES, FitRun, read

import lehr

ACCUMULATE = 2


class Net(torch.nn.Module):
    """With dropout: Trainer saves the random generators."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.net = torch.nn.Sequential(
            torch.nn.Linear(4, 8),
            torch.nn.BatchNorm1d(8),
            torch.nn.Dropout(),
            torch.nn.Linear(8, 1),
        )

    def forward(self, x, labels):
        return {"loss": torch.nn.functional.mse_loss(self.net(x)[:, 0], labels)}


class Read(transformers.TrainerCallback):
    def __init__(self):
        self.used = []

    def on_pre_optimizer_step(self, args, state, control, optimizer, **_):
        self.used.append(read(optimizer))


class TransformersLoop(FitRun):
    checkpoint_name = "checkpoint-{}"

    def fit(self, checkpoint):
        self.model, read = Net(), Read()
        arguments = transformers.TrainingArguments(
            self.checkpoints,
            max_steps=UPDATES,
            per_device_train_batch_size=8,
            gradient_accumulation_steps=ACCUMULATE,
            save_steps=1,
            logging_strategy="no",
            report_to="none",
            use_cpu=True,
            disable_tqdm=True,
        )
        optimizer = torch.optim.AdamW(self.model.parameters())
        x = torch.randn(48, 4, generator=torch.Generator().manual_seed(1))  # two epochs of three
        transformers.Trainer(
            self.model,
            arguments,
            train_dataset=[{"x": row, "labels": row.sum()} for row in x],
            optimizers=(optimizer, lehr.torch.Scheduler(optimizer, POLICY)),
            callbacks=[read],
        ).train(resume_from_checkpoint=checkpoint and str(checkpoint))
        return read.used

    def weights(self):
        return [tensor.numpy() for tensor in self.model.state_dict().values()]
