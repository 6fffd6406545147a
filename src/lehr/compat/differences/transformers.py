"""Rows of `lehr.compat.differences` for transformers: the fields of `Difference`."""

# The names `optimizer` and `rates` are those of the rows of torch.
ROWS = (
    (
        "get_polynomial_decay_schedule_with_warmup",
        "a run of the length of the warm-up",
        "rates(get_polynomial_decay_schedule_with_warmup(optimizer, 2, 2, lr_end=0.01), 3)",
        "ZeroDivisionError",
        "[0.0, 0.05, 0.01]",
        "the library divides by the length of the decay",
    ),
    (
        "get_polynomial_decay_schedule_with_warmup",
        "a negative `power`",
        "get_polynomial_decay_schedule_with_warmup(optimizer, 0, 2, power=-1.0) and None",
        "None",
        "ValueError",
        "the library raises ZeroDivisionError at the last step",
    ),
    (
        "get_cosine_with_hard_restarts_schedule_with_warmup",
        "a negative `num_cycles`",
        "rates(get_cosine_with_hard_restarts_schedule_with_warmup(optimizer, 0, 4, -1), 4)",
        "[0.1, 0.01464, 0.05, 0.08536]",
        "ValueError",
        "the decays would rise",
    ),
    (
        "get_cosine_with_hard_restarts_schedule_with_warmup",
        "`step(epoch)` between a restart and the next step",
        "rates(get_cosine_with_hard_restarts_schedule_with_warmup(optimizer, 0, 5, 2), "
        "steps=[2.5, 3])",
        "[0.1, 0.1, 0.09045]",
        "[0.1, 0.0, 0.09045]",
        "a part of a schedule begins at a step; the values at the steps are equal",
    ),
    (
        "get_cosine_with_min_lr_schedule_with_warmup_lr_rate",
        "`step(epoch)` between the last step of the warm-up and the next one",
        "rates(get_scheduler('cosine_warmup_with_min_lr', optimizer, 4, 9, {'min_lr': 0.0}), "
        "steps=[3, 3.5])",
        "[0.025, 0.1, 0.1125]",
        "[0.025, 0.1, 0.1]",
        "the warm-up would exceed the base rate",
    ),
    (
        "get_inverse_sqrt_schedule",
        "a time constant of 0 or less",
        "get_inverse_sqrt_schedule(optimizer, 2, timescale=0) and None",
        "None",
        "ValueError",
        "the library raises ZeroDivisionError after the warm-up",
    ),
    (
        "GreedyLR",
        "a negative metric with a relative threshold",
        "rates(GreedyLR(optimizer, factor=0.5, patience=1, threshold=0.01, threshold_mode='rel'), "
        "steps=[-100.0, -99.9, -99.8])",
        "[0.1, 0.1, 0.2, 0.2]",
        "[0.1, 0.1, 0.1, 0.05]",
        "the threshold has the wrong sign: a slightly worse metric counts as an improvement",
    ),
    (
        "get_reduce_on_plateau_schedule",
        "a negative metric with a relative threshold",
        "rates(get_reduce_on_plateau_schedule(optimizer, patience=1), "
        "steps=[-100.0, -99.995, -99.99])",
        "[0.1, 0.1, 0.1, 0.1]",
        "[0.1, 0.1, 0.1, 0.01]",
        "as GreedyLR; it returns the ReduceLROnPlateau of lehr.compat.torch",
    ),
)
