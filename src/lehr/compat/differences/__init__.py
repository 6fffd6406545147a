"""The deliberate differences between ``lehr.compat`` and the libraries that it replaces.

The tests run the example of every row with both, and the pages of differences are generated from
the rows (``docs/make_compat.py``).
"""

from __future__ import annotations

from dataclasses import dataclass

from lehr.compat.differences import (
    book,
    clr_callback,
    optax,
    tensorflow_addons,
    torch,
    torch_lr_finder,
    transformers,
)


@dataclass(frozen=True)
class Difference:
    """One row of the table.

    Args:
        module: name of the module in ``lehr.compat``.
        name: name of the class or function.
        condition: where the results differ.
        example: an expression, evaluated with the names of the library, or of the module.
        theirs: its result with the library, as code, or the type of an error.
        ours: its result with ``lehr.compat``, as code, or the type of an error.
        reason: why the library's result is not reproduced.
    """

    module: str
    name: str
    condition: str
    example: str
    theirs: str
    ours: str
    reason: str


_MODULES = {
    "torch": torch.ROWS,
    "optax": optax.ROWS,
    "transformers": transformers.ROWS,
    "book": book.ROWS,
    "torch_lr_finder": torch_lr_finder.ROWS,
    "clr_callback": clr_callback.ROWS,
    "tensorflow_addons": tensorflow_addons.ROWS,
}
DIFFERENCES = tuple(Difference(module, *row) for module, rows in _MODULES.items() for row in rows)


def differences(module: str) -> list[Difference]:
    """Return the rows of a module.

    >>> [row.ours for row in differences("torch") if row.condition == "`factor=0`"]
    ['[0.0, 0.0, 0.1, 0.1]']
    """
    return [row for row in DIFFERENCES if row.module == module]
