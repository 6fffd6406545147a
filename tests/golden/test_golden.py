"""Compare computed values with the recorded values; see record.py."""

import importlib.util
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import record
from golden_values import differences

NEEDS = {
    "arrays": ("torch", "jax", "tensorflow"),
    "torch": ("torch",),
    "jax": ("jax", "optax"),
    "keras-jax": ("keras", "jax"),
    "keras-tensorflow": ("keras", "tensorflow"),
    "keras-torch": ("keras", "torch"),
    "study": ("torch", "scipy", "sqlalchemy"),
    "pages": ("matplotlib",),
}


@pytest.mark.parametrize("part", record.PARTS)
def test_replay(part):
    """Compare bit for bit, rates within 1e-12 of the largest; see golden_values.py for the rest."""
    for module in NEEDS.get(part, ()):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    recorded, now = record.recorded(part), record.environment(part)
    other = [
        f"{name} is {now[name]!r}, was {was!r}"
        for name, was in recorded["environment"].items()
        if now[name] != was
    ]
    bits = part == "schedules" or not other
    found = list(differences(recorded["values"], record.replay(part), bits))
    if found:
        more = [f"... and {len(found) - 20} more"] if len(found) > 20 else []
        pytest.fail("\n".join([f"{len(found)} differ", *found[:20], *more]), pytrace=False)
    if not bits:
        pytest.skip(f"passed, but digests were not compared: {'; '.join(other)}")


@pytest.mark.parametrize(
    ("old", "new", "bits", "elsewhere"),
    [
        ({"a": {"exact": "0x1p+0"}}, {"a": {"exact": "0x1.0000000000001p+0"}}, 1, 1),
        ({"a": {"rates": "0x1p+0 0x0p+0"}}, {"a": {"rates": "0x1p+0 0x1p-40"}}, 0, 0),
        ({"a": {"rates": "0x1p+0 0x0p+0"}}, {"a": {"rates": "0x1p+0 0x1p-39"}}, 1, 1),
        ({"a": {"rates": "0x1p+0"}}, {"a": {"rates": "0x1p+0 0x1p+0"}}, 1, 1),
        ({"a": {"measured": "0x1p+0"}}, {"a": {"measured": "0x1.0000000000001p+0"}}, 1, 0),
        ({"a": {"measured": "0x1p+0"}}, {"a": {"measured": "0x1.01p+0"}}, 1, 1),
        ({"a": {"measured": "nan 0x1p+0"}}, {"a": {"measured": "nan 0x1p+0"}}, 0, 0),
        ({"a": {"measured": "nan"}}, {"a": {"measured": "inf"}}, 1, 1),
        ({"a": {"traced": "0x1p+0 0x0p+0"}}, {"a": {"traced": "0x1p+0 0x1p-22"}}, 1, 0),
        ({"a": {"traced": "0x1p+0 0x0p+0"}}, {"a": {"traced": "0x1p+0 0x1p-21"}}, 1, 1),
        ({"a": {"digest": "x"}}, {"a": {"digest": "y"}}, 1, 0),
        ({"a": {"b": 1}}, {"a": {"b": 2}}, 1, 1),
        ({"a": {"b": 1}}, {"a": {"c": 1}}, 1, 1),
    ],
)
def test_the_comparison_finds_each_kind_of_difference(old, new, bits, elsewhere):
    assert len(list(differences(old, new, bits=True))) == bits
    assert len(list(differences(old, new, bits=False))) == elsewhere
