"""Models with one weight and gradient one for the trainers: an update subtracts the rate."""

import lightning
import torch
import transformers

import lehr

UPDATES = 6
POLICY = lehr.Policy(lr=lehr.warmup(0.5, 2).then(lehr.linear(0.5, 0.1, 4)))
RATES = [POLICY(t)["lr"] for t in range(UPDATES)]


class Weight(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros((), dtype=torch.float64))

    def forward(self, labels):
        return {"loss": self.weight + 0 * labels.sum()}


class Module(lightning.LightningModule):
    """A Lightning module; with ``accumulate`` it uses manual optimization."""

    def __init__(self, policy=POLICY, on_change="refuse", accumulate=None):
        super().__init__()
        self.probe = Weight()
        self.policy, self.on_change, self.accumulate = policy, on_change, accumulate
        self.automatic_optimization = accumulate is None
        self.read, self.taken = [], []

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters())
        scheduler = lehr.torch.Scheduler(optimizer, self.policy, on_change=self.on_change)
        config = {"scheduler": scheduler}
        if self.automatic_optimization:
            config["interval"] = "step"
        return {"optimizer": optimizer, "lr_scheduler": config}

    def training_step(self, batch, batch_idx):
        self.before = self.probe.weight.item()
        loss = self.probe(batch)["loss"]
        if self.automatic_optimization:
            return loss
        self.manual_backward(loss / self.accumulate)
        if (batch_idx + 1) % self.accumulate == 0:
            optimizer = self.optimizers()
            optimizer.step()
            optimizer.zero_grad()
            self.lr_schedulers().step()
        return loss

    def on_before_optimizer_step(self, optimizer):
        self.read.append(optimizer.param_groups[0]["lr"])

    def on_train_batch_end(self, *_):
        if self.probe.weight.item() != self.before:
            self.taken.append(self.before - self.probe.weight.item())


def fit(module, accumulate=1, ckpt_path=None, **options):
    """Train a module and return the Lightning Trainer."""
    usual = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = lightning.Trainer(
        accelerator="cpu",
        max_steps=UPDATES,
        accumulate_grad_batches=accumulate,
        enable_model_summary=False,
        **usual | options,
    )
    batches = torch.zeros(2 * UPDATES * accumulate * (module.accumulate or 1), 1)
    loader = torch.utils.data.DataLoader(batches)
    trainer.fit(module, loader, loader, ckpt_path=ckpt_path)
    return trainer


class Read(transformers.TrainerCallback):
    def __init__(self):
        self.read, self.taken = [], []

    def on_pre_optimizer_step(self, args, state, control, model, optimizer, **_):
        self.read.append(optimizer.param_groups[0]["lr"])
        self.before = model.weight.item()

    def on_optimizer_step(self, args, state, control, model, **_):
        if model.weight.item() != self.before:
            self.taken.append(self.before - model.weight.item())


def hugging_face(folder, policy=POLICY, accumulate=1, kind=transformers.Trainer, **options):
    """Return a Hugging Face Trainer and the callback that records its rates."""
    arguments = transformers.TrainingArguments(
        folder,
        max_steps=UPDATES,
        per_device_train_batch_size=1,
        gradient_accumulation_steps=accumulate,
        logging_steps=1,
        max_grad_norm=0.0,  # clipping would scale the gradient
        save_steps=1,
        report_to="none",
        use_cpu=True,
        disable_tqdm=True,
    )
    model, read = Weight(), Read()
    optimizer = torch.optim.SGD(model.parameters())
    scheduler = policy and lehr.torch.Scheduler(optimizer, policy, **options)
    rows = [{"labels": torch.zeros(1)}] * (4 * UPDATES * accumulate)
    trainer = kind(
        model,
        arguments,
        train_dataset=rows,
        optimizers=(optimizer, scheduler),
        callbacks=[read],
    )
    return trainer, read
