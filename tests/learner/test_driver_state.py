"""Loading the state of a driver under another policy."""

from dataclasses import asdict

import pytest

import lehr
from lehr.controllers import State
from lehr.learner.driver_state import read_state, saved_state

LOSS = lehr.Plateau("val_loss", patience=1)
ACCURACY = lehr.Plateau("val_acc", mode="max", patience=1)


def policy(control=None, lr=0.1):
    return lehr.Policy(lr=lr, control=control)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (ACCURACY, ACCURACY, State(0.5, best=0.91, seen=7, waited=1)),
        (ACCURACY, LOSS, State(0.5)),  # the other fields belong to another metric
        (ACCURACY, None, State()),  # the factor was set by the controller
        (None, None, State(0.5, best=0.91, seen=7, waited=1)),  # the factor was set by hand
        (None, LOSS, State(0.5)),
    ],
)
def test_the_controller_state_is_restored_for_the_same_metric(before, after, expected):
    state = State(0.5, best=0.91, seen=7, waited=1)
    saved = saved_state(12, state, policy(before))
    assert read_state(saved, policy(after, lr=0.2), on_change="continue") == (12, expected)


def test_the_policy_is_one_json_string():
    saved = saved_state(3, State(), policy(LOSS))
    assert saved.keys() == {"step", "control", "policy"}
    assert lehr.loads(saved["policy"]) == policy(LOSS)
    with pytest.raises(ValueError, match=r"policy must be the JSON of a policy, got '\{"):
        read_state(saved | {"policy": lehr.cosine(0.1, 5).dumps()}, policy(LOSS))


def test_the_jump_includes_the_applied_factor():
    saved = saved_state(3, State(0.5), policy())
    with pytest.raises(ValueError, match=r"lr at step 3 would jump from 0\.05 to 0\.1"):
        read_state(saved, policy(lr=0.2))


def test_a_wrong_controller_state_is_rejected():
    saved = saved_state(3, State(), policy(LOSS)) | {"control": {"factr": 1.0}}
    with pytest.raises(
        ValueError, match="control must be the state of a controller, with factor, best"
    ):
        read_state(saved, policy(LOSS))


@pytest.mark.parametrize(
    ("name", "value", "error", "match"),
    [
        ("factor", -1.0, ValueError, "factor of control must be a number at least 0, got -1.0"),
        ("factor", float("nan"), ValueError, "factor of control must be a number at least 0"),
        ("factor", "x", TypeError, "factor of control must be a finite number, got 'x'"),
        ("seen", -1, ValueError, "seen of control must be an integer >= 0, got -1"),
        ("waited", 0.5, TypeError, "waited of control must be an integer >= 0, got 0.5"),
        ("best", None, TypeError, "best of control must be a number, got None"),
    ],
)
def test_the_saved_state_of_a_controller_is_checked(name, value, error, match):
    saved = saved_state(3, State(), policy(LOSS))
    saved["control"][name] = value
    with pytest.raises(error, match=match):
        read_state(saved, policy(LOSS))


def test_a_saved_best_metric_may_be_infinite():
    saved = saved_state(3, State(best=float("inf"), total=float("nan")), policy(LOSS))
    assert read_state(saved, policy(LOSS))[1].best == float("inf")


WRONG = (float("nan"), -1, "x", None, 10**400, 2**40, [], True)
MAY_BE = {"step": {-1}, "factor": {2**40}, "total": {-1, 2**40}}


@pytest.mark.parametrize("name", ["step", "policy", "control", *asdict(State())])
def test_an_invalid_state_changes_nothing(name):
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=1.0, momentum=0.5)
    warm = lehr.warmup(0.1, 5).then(lehr.constant(0.1))
    scheduler = lehr.torch.Scheduler(optimizer, lehr.Policy(warm, momentum=0.9, control=LOSS))
    optimizer.step()
    scheduler.step()
    saved = scheduler.state_dict() | {"step": 4}
    fields = asdict(State())

    def current():
        group = optimizer.param_groups[0]
        return scheduler.state_dict(), group["lr"], group["momentum"]

    before = current()
    for value in (*WRONG, b"x", {"a": 1}):
        if (name == "best" and value is None) or (isinstance(value, float) and name == "total"):
            continue  # no weights; NaN is a metric too
        if not isinstance(value, list | dict) and value in MAY_BE.get(name, ()):
            continue
        if name in fields and name != "best":
            wrong = saved | {"control": saved["control"] | {name: value}}
        else:
            wrong = saved | {name: value}
        with pytest.raises((TypeError, ValueError), match=" must be ") as caught:
            scheduler.load_state_dict(wrong)
        assert type(caught.value) in (TypeError, ValueError)
        assert current() == before
    scheduler.load_state_dict(saved)
    assert current() != before


def test_a_best_metric_of_nan_is_rejected():
    """No later metric would be better than NaN."""
    policy = lehr.Policy(0.1, control=lehr.Plateau())
    state = saved_state(3, State(best=float("nan"), seen=1), policy)
    with pytest.raises(ValueError, match="best of control must be a number other than NaN"):
        read_state(state, policy, "refuse")
