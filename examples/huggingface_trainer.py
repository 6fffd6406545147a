"""Hugging Face Trainer: warm-up, cosine and a plateau for a small vision transformer.

`Trainer` steps the scheduler after each update, also with gradient accumulation and several
processes. It logs the rate, and its checkpoints include the scheduler; resume with
`train(resume_from_checkpoint=True)`.
"""

import tempfile

import torch
from sklearn.datasets import load_digits
from transformers import (
    Trainer,
    TrainerCallback,
    TrainingArguments,
    ViTConfig,
    ViTForImageClassification,
    set_seed,
)

import lehr

UPDATES = 40


class Observe(TrainerCallback):
    """Pass the loss of each evaluation to the controller of the policy."""

    def on_evaluate(self, args, state, control, metrics, lr_scheduler, **kwargs):
        lr_scheduler.observe(metrics["eval_loss"])


if __name__ == "__main__":
    set_seed(0)
    x, y = load_digits(return_X_y=True)
    images = torch.tensor(x / 16, dtype=torch.float32).reshape(-1, 1, 8, 8)
    rows = [{"pixel_values": image, "labels": int(n)} for image, n in zip(images, y, strict=True)]
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1}
    shape = {"image_size": 8, "patch_size": 2, "num_channels": 1, "num_labels": 10}
    model = ViTForImageClassification(ViTConfig(**sizes, **shape, num_attention_heads=2))

    optimizer = torch.optim.AdamW(model.parameters())
    policy = lehr.Policy(
        lr=lehr.warmup(0.01, "10%").then(lehr.cosine(0.01)),
        control=lehr.Plateau("eval_loss", factor=0.5, patience=1, threshold=0.2),
    )
    scheduler = lehr.torch.Scheduler(optimizer, policy, steps=UPDATES)
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder,
            max_steps=UPDATES,
            per_device_train_batch_size=32,
            gradient_accumulation_steps=4,
            logging_steps=1,
            eval_strategy="steps",
            eval_steps=10,
            report_to="none",
            save_strategy="no",
            use_cpu=True,
        )
        trainer = Trainer(
            model,
            arguments,
            train_dataset=rows[:1500],
            eval_dataset=rows[1500:],
            optimizers=(optimizer, scheduler),
            callbacks=[Observe()],
        )
        trainer.train()
    for log in trainer.state.log_history:
        if "eval_loss" in log:
            print(f"validation: loss {log['eval_loss']:.9g}")
        if "learning_rate" in log:  # rate of this update; Trainer counts updates from 1
            print(f"update {log['step'] - 1}: lr {log['learning_rate']:.9g}")
