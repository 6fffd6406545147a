"""Two Accelerate processes with lehr's Scheduler, resumed with `load_state`."""

import accelerate
import torch
from accelerate.utils import DataLoaderConfiguration
from ddp_loop import DDPLoop, loss, net, report, rows
from fit_run import POLICY, read

import lehr

ACCUMULATE = 2


def work(folder, checkpoint):
    accelerator = accelerate.Accelerator(
        cpu=True,
        gradient_accumulation_steps=ACCUMULATE,
        dataloader_config=DataLoaderConfiguration(use_seedable_sampler=True, data_seed=0),
    )
    model = net()
    optimizer = torch.optim.AdamW(model.parameters())
    loader = torch.utils.data.DataLoader(rows(), batch_size=3, shuffle=True)
    model, optimizer, loader = accelerator.prepare(model, optimizer, loader)
    scheduler = lehr.torch.Scheduler(optimizer, POLICY)
    accelerator.register_for_checkpointing(scheduler)
    if checkpoint:
        accelerator.load_state(checkpoint)
        loader = accelerator.skip_first_batches(loader, scheduler.last_epoch * ACCUMULATE)
    used = []
    for x in loader:
        with accelerator.accumulate(model):
            optimizer.zero_grad()
            accelerator.backward(loss(model, x))
            if accelerator.sync_gradients:
                used.append(read(optimizer))
            optimizer.step()
            if accelerator.sync_gradients and not accelerator.optimizer_step_was_skipped:
                scheduler.step()
                accelerator.save_state(folder / str(scheduler.last_epoch))
    report(accelerator.process_index, folder, used, accelerator.unwrap_model(model))


class AccelerateLoop(DDPLoop):
    def launch(self, *arguments):
        accelerate.debug_launcher(work, arguments, num_processes=2)
