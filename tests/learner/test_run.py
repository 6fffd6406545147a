"""TrainingRun.train: blocks of updates, `until`, and the result of an adapter."""

import pytest
from toys import Toy

import lehr


class Blocks(Toy):
    """Records the size of each block; omits the first ``missing`` losses of it."""

    block, missing = 40, 0

    def __init__(self):
        super().__init__(0)
        self.sizes = []

    def make_updates(self, policy, values):
        self.sizes.append(len(values))
        losses, applied = super().make_updates(policy, values)
        return losses[self.missing :], applied


def test_blocks_have_the_adapters_size_and_16_updates_with_until():
    run, lengths = Blocks(), []
    run.train(0.01, 100)
    run.train(0.01, 40, until=lambda trace: lengths.append(len(trace.losses)))
    trace = run.train(0.01, 40, until=lambda trace: len(trace.losses) >= 20)
    assert (run.sizes, lengths) == ([40, 40, 20, 16, 16, 8, 16, 16], [16, 32, 40])
    assert len(trace.losses) == len(trace.rates["lr"]) == 32


def test_first_and_factor_place_the_updates_in_the_policy():
    policy = lehr.Policy(lr=lehr.linear(1e-3, 0.0, 100), momentum=0.5)
    used = Toy(0).train(policy, 3, first=10, factor=0.5).rates
    assert used["lr"] == [policy.lr(step) * 0.5 for step in (10, 11, 12)]
    assert used["momentum"] == [0.5, 0.5, 0.5]


def test_an_adapter_that_returns_too_few_losses_is_rejected():
    run = Blocks()
    run.missing = 2
    rule = r"a loss and a value of each hyperparameter for 9 updates, got .'losses': 7, 'lr': 9"
    with pytest.raises(ValueError, match=f"result of make_updates must be {rule}"):
        run.train(0.01, 9)
