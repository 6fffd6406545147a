"""lehr.read: the policy of a live scheduler has the values that the scheduler sets."""

import json
import random
import warnings

import pytest

import lehr

torch = pytest.importorskip("torch")

from torch.optim import lr_scheduler, swa_utils  # noqa: E402

import lehr.compat.torch as compat  # noqa: E402

N = 150


def halved(step):
    return 0.5**step


def sgd(*rates):
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": rate} for rate in rates]
    return torch.optim.SGD(groups, lr=0.1, momentum=0.9)


def run(scheduler):
    """Return the rates and the momenta of the groups in N updates."""
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(N):
            found.append(
                [(float(g["lr"]), g["momentum"]) for g in scheduler.optimizer.param_groups]
            )
            scheduler.optimizer.step()
            scheduler.step()
    return found


def draw(name, library, o, r):
    """Return a scheduler with random arguments."""
    n = r.randint(1, 60)
    if name in ("nested", "chained"):
        warm = library.LinearLR(o, r.uniform(0.1, 1), total_iters=n)
        wave = library.CosineAnnealingLR(o, n + r.randint(0, 50))
        if name == "nested":
            chained = library.ChainedScheduler([library.ExponentialLR(o, 0.98), warm])
            return library.SequentialLR(o, [wave, library.StepLR(o, n), chained], [n, n + 20])
        return library.ChainedScheduler([warm, wave])
    cycle = {"cycle_momentum": r.choice([True, False])}
    arguments = {
        "StepLR": (n, r.uniform(0.1, 1)),
        "MultiStepLR": (r.choices(range(60), k=4), r.uniform(0.1, 1.2)),
        "ConstantLR": (r.uniform(0.1, 1), n),
        "LinearLR": (r.uniform(0.1, 1), r.uniform(0, 1), n),
        "ExponentialLR": (r.uniform(0.8, 1),),
        "PolynomialLR": (n, r.uniform(0.3, 3)),
        "CosineAnnealingLR": (r.choice([n, n + 0.5]), r.choice([0, 1e-3, 0.7])),
        "CosineAnnealingWarmRestarts": (n, r.choice([1, 2]), r.choice([0, 1e-3, 0.7])),
        "LambdaLR": (halved,),
        "OneCycleLR": ([r.uniform(0.1, 1), 0.5], 200),
        "CyclicLR": ([r.uniform(0, 0.1), 0.2], [0.3, 0.1], n, r.choice([None, r.randint(1, 30)])),
    }[name]
    if name == "CyclicLR":
        cycle |= {"mode": r.choice(["triangular", "triangular2", "exp_range"]), "gamma": 0.99}
        if r.random() < 0.3:
            cycle |= {"scale_fn": halved, "scale_mode": r.choice(["cycle", "iterations"])}
    elif name == "OneCycleLR":
        cycle |= {"pct_start": r.uniform(0.1, 0.5), "three_phase": r.choice([True, False])}
        cycle |= {"anneal_strategy": r.choice(["cos", "linear"])}
    else:
        cycle = {}
    return getattr(library, name)(o, *arguments, **cycle)


NAMES = [
    *("StepLR", "MultiStepLR", "ConstantLR", "LinearLR", "ExponentialLR", "PolynomialLR"),
    *("CosineAnnealingLR", "CosineAnnealingWarmRestarts", "LambdaLR", "OneCycleLR", "CyclicLR"),
    *("chained", "nested"),
]


def check(scheduler):
    policy = lehr.read(scheduler)
    assert lehr.loads(policy.dumps()) == policy

    def value(target, group, step):
        return (target[str(group)] if isinstance(target, dict) else target)(step)

    found = run(scheduler)
    for group in range(len(found[0])):
        peak = max(abs(values[group][0]) for values in found)
        for step, values in enumerate(found):
            rate, momentum = values[group]
            assert abs(value(policy.lr, group, step) - rate) <= 1e-12 * peak, (step, policy)
            if policy.momentum is not None:
                assert value(policy.momentum, group, step) == pytest.approx(momentum, rel=1e-12)
            else:
                assert momentum == 0.9


@pytest.mark.parametrize("name", NAMES)
def test_the_policy_of_a_scheduler_has_its_values(name):
    r = random.Random(name)
    for _ in range(20):
        library = compat if name == "nested" else r.choice([lr_scheduler, compat])
        check(draw(name, library, sgd(r.uniform(0.01, 1), r.uniform(0.01, 1)), r))


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("constant", {}),
        ("constant_with_warmup", {}),
        ("linear", {}),
        ("cosine", {}),
        ("cosine_with_restarts", {"num_cycles": 3}),
        ("polynomial", {"power": 2.0}),
        ("inverse_sqrt", {}),
        ("cosine_with_min_lr", {"min_lr_rate": 0.1}),
        ("cosine_warmup_with_min_lr", {"min_lr_rate": 0.1}),
        ("warmup_stable_decay", {"num_decay_steps": 40}),
    ],
)
def test_schedules_of_transformers_are_read(name, options, own):
    pytest.importorskip("transformers")
    if own:
        from lehr.compat.transformers import get_scheduler
    else:
        from transformers import get_scheduler
    given = {"scheduler_specific_kwargs": options} if options else {}
    if name == "constant" and not own:
        pytest.skip("its function is a lambda without a name")
    check(get_scheduler(name, sgd(0.1, 0.2), 10, 110, **given))


def test_swalr_is_read():
    for strategy in ("cos", "linear"):
        check(swa_utils.SWALR(sgd(0.5, 0.1), 0.05, anneal_epochs=7, anneal_strategy=strategy))
    check(swa_utils.SWALR(sgd(0.5), 0.05, anneal_epochs=0))


def test_reading_does_not_change_the_scheduler_or_depend_on_its_step():
    scheduler = lr_scheduler.OneCycleLR(sgd(0.1), 0.5, total_steps=20)
    before = lehr.read(scheduler)
    assert before.length == 20
    for _ in range(7):
        scheduler.optimizer.step()
        scheduler.step()
    state, rate = json.dumps(scheduler.state_dict(), default=str), scheduler.get_last_lr()
    assert lehr.read(scheduler) == before
    assert json.dumps(scheduler.state_dict(), default=str) == state
    assert before(scheduler.last_epoch)["lr"] == pytest.approx(rate[0], rel=1e-12)


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("threshold_mode", ["rel", "abs"])
def test_a_plateau_is_read_as_a_controller(mode, threshold_mode):
    r = random.Random(mode + threshold_mode)
    for _ in range(20):
        options = {"patience": r.randint(0, 3), "factor": r.uniform(0.1, 0.9), "min_lr": 1e-4}
        options |= {"threshold": r.choice([0.0, 0.01]), "cooldown": r.randint(0, 3)}
        scheduler = lr_scheduler.ReduceLROnPlateau(
            sgd(0.1), mode, threshold_mode=threshold_mode, **options
        )
        policy = lehr.read(scheduler)
        state = policy.control.init()
        for _ in range(60):
            metric = r.choice([0.25, 0.5, 1.0, 2.0]) * r.choice([1, 1.5])
            scheduler.step(metric)
            state = policy.control.update(state, metric)
            rate = policy.control.rate(0.1, state.factor)
            assert rate == pytest.approx(scheduler.get_last_lr()[0], rel=1e-9)


def test_equal_groups_have_one_schedule_and_names_are_used():
    optimizer = sgd(0.1, 0.2)
    for group, name in zip(optimizer.param_groups, ["body", "head"], strict=True):
        group["name"] = name
    policy = lehr.read(lr_scheduler.StepLR(optimizer, 30))
    half = lehr.step_decay(0.2, 0.1, 30)
    assert policy == lehr.Policy({"body": lehr.step_decay(0.1, 0.1, 30), "head": half})
    assert lehr.read(lr_scheduler.StepLR(sgd(0.1, 0.1), 30)).lr == policy.lr["body"]


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (
            lambda o: lr_scheduler.LambdaLR(o, lambda step: 0.9**step),
            ValueError,
            "lr_lambda must be a function with a name, .*<lambda>.*; define it with def",
        ),
        (
            lambda o: lr_scheduler.MultiplicativeLR(o, halved),
            ValueError,
            "scheduler must be one of ChainedScheduler, .*, got 'MultiplicativeLR'",
        ),
        (
            lambda o: lr_scheduler.ExponentialLR(o, 1.1),
            ValueError,
            "gamma must be a number above 0 and at most 1, got 1.1",
        ),
        (
            lambda o: lr_scheduler.CosineAnnealingLR(o, 10.3),
            ValueError,
            "T_max must be an integer, or half of one, got 10.3",
        ),
        (
            lambda o: lr_scheduler.ChainedScheduler(
                [lr_scheduler.OneCycleLR(o, 0.1, 9), lr_scheduler.StepLR(o, 3)]
            ),
            ValueError,
            "ChainedScheduler must be one in which no scheduler sets the rate before another one",
        ),
        (
            lambda o: lr_scheduler.ChainedScheduler(
                [lr_scheduler.CosineAnnealingLR(o, 9), lr_scheduler.StepLR(o, 3)]
            ),
            ValueError,
            "CosineAnnealingLR must be one without eta_min, chained only with warm-ups",
        ),
        (
            lambda o: lr_scheduler.ReduceLROnPlateau(o, min_lr=[0.1, 0.2]),
            ValueError,
            r"min_lr must be the same for all groups, got \[0.1, 0.2\]",
        ),
        (lambda o: o, TypeError, "scheduler must be a scheduler of torch.*, got 'SGD'"),
        (lambda o: "cosine", TypeError, "scheduler must be one of torch.*, got 'str'"),
    ],
)
def test_what_cannot_be_read_is_rejected(make, error, match):
    with pytest.raises(error, match=match):
        lehr.read(make(sgd(0.1, 0.2)))
