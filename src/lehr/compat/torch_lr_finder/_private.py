"""Access to the private names of apex that the range test uses."""

from __future__ import annotations

from typing import Any


def is_scaled_by_apex(optimizer: Any) -> bool:
    """Return whether ``apex.amp.initialize`` has prepared an optimizer."""
    return hasattr(optimizer, "_amp_stash")
