"""Rows of `lehr.compat.differences` for torch_lr_finder: the fields of `Difference`."""

# `finder(lr, losses)` is an LRFinder of a small network with SGD, whose losses can be given;
# `tested` runs its range test with 5 iterations up to a rate of 1.0.
ROWS = (
    (
        "LRFinder",
        "the rate of the optimizer after the test",
        "rate(tested(finder(lr=0.01)))",
        "3.162278",
        "1.0",
        "the scheduler of torch_lr_finder continues beyond `end_lr` after the last iteration",
    ),
    (
        "LRFinder",
        "a second `reset` of an optimizer with momentum",
        "momentum_after_resets()",
        "[True, False]",
        "[True, True]",
        "after the first `reset`, updates change the stored state of the optimizer",
    ),
    (
        "LRFinder",
        "`reset`: gradients, training mode, buffers that are not saved, state of `grad_scaler`",
        "gradients_after_reset()",
        "True",
        "False",
        "torch_lr_finder restores state dicts only; lehr restores all of the training state",
    ),
    (
        "LRFinder",
        "a loss that is NaN",
        "len(losses(tested(finder(losses=[1.0, nan, 1.0, 1.0, 1.0]))))",
        "5",
        "2",
        "torch_lr_finder compares with NaN, so the test goes on with weights that are NaN",
    ),
    (
        "LRFinder",
        "`plot(suggest_lr=True)` with losses that are NaN",
        "plotted([4.0, 3.0, 1.0, 0.5, nan])",
        "0.8",
        "0.2",
        "the suggestion is a rate next to the divergence: `argmin` returns the first NaN",
    ),
    (
        "LRFinder",
        "losses below 0",
        "losses(tested(finder(losses=[-1.0, -1.1, -1.2, -1.3, -1.4]), smooth_f=0))",
        "[-1.0]",
        "[-1.0, -1.1, -1.2, -1.3, -1.4]",
        "`diverge_th * best_loss` is below every loss, so the test stops at once",
    ),
    (
        "LRFinder",
        "a validation loader that omits samples: `drop_last`, or a sampler",
        "losses(tested(finder(losses=[1.0, 2.0] * 5), smooth_f=0, diverge_th=9, "
        "val_loader=loader(rows=12, drop_last=True)))",
        "[1.333333, 1.333333, 1.333333, 1.333333, 1.333333]",
        "[2.0, 2.0, 2.0, 2.0, 2.0]",
        "torch_lr_finder divides by the length of the data set, not by the number of samples",
    ),
    (
        "ExponentialLR",
        "a rate of 0 at the start",
        "tested(finder(lr=0.0)) and None",
        "ZeroDivisionError",
        "ValueError",
        "an error with the cause, raised before the optimizer is changed",
    ),
    (
        "LRFinder",
        '`amp_backend="torch"` without `amp_config`',
        "finder(amp_backend='torch', grad_scaler=torch.amp.GradScaler('cpu')) and None",
        "None",
        "ValueError",
        "torch_lr_finder raises TypeError in the first iteration",
    ),
)
