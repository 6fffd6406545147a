"""The immutable dict of policies and studies."""

import copy
import pickle

import pytest

from lehr.schedule.frozen import FrozenDict


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.__setitem__("a", 2),
        lambda d: d.__delitem__("a"),
        lambda d: d.__ior__({"a": 2}),
        lambda d: d.update(a=2),
        lambda d: d.setdefault("b", 2),
        lambda d: d.pop("a"),
        lambda d: d.popitem(),
        lambda d: d.clear(),
    ],
)
def test_a_frozen_dict_cannot_be_changed(change):
    d = FrozenDict(a=1)
    with pytest.raises(TypeError, match="this dict must not be changed"):
        change(d)
    assert d == {"a": 1}


def test_a12_equal_frozen_dicts_have_equal_hashes():
    one, other = FrozenDict(a=1, b=2), FrozenDict(b=2, a=1)
    assert one == other == {"a": 1, "b": 2}
    assert hash(one) == hash(other)
    assert len({one, other, FrozenDict(a=1)}) == 2


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_copies_are_equal_and_immutable(copied):
    d = FrozenDict(a=(1, 2), b=FrozenDict(c=3))
    assert copied(d) == d
    assert type(copied(d)) is FrozenDict


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_frozen_dict_can_be_pickled(protocol):
    d = FrozenDict(a=(1, 2), b=FrozenDict(c=3))
    back = pickle.loads(pickle.dumps(d, protocol))
    assert back == d
    assert type(back["b"]) is FrozenDict


def test_a_union_and_a_copy_are_mutable_dicts():
    d = FrozenDict(a=1, b=2)
    changed = d | {"b": 3}
    changed["c"] = 4
    copied = d.copy()
    copied["a"] = 0
    assert changed == {"a": 1, "b": 3, "c": 4}
    assert d == {"a": 1, "b": 2}
