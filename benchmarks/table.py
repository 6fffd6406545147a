"""A table of medians and ratios, for the scripts in this folder."""

import statistics
import time
from collections.abc import Callable

from rich.table import Table

Row = tuple[str, Callable[[], float]]


def timed(work: Callable[[], object], times: int = 1) -> float:
    begin = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - begin) / times


TABLE = Table("", "median", "ratio to the section's first")


def measure(title: str, unit: str, scale: float, rows: list[Row], rounds: int) -> None:
    """Time rows and add them to the table as a section; ratios are relative to the first row."""
    taken: dict[str, list[float]] = {name: [] for name, _ in rows}
    for _ in range(rounds):
        for name, once in rows:
            taken[name].append(once())
    first = statistics.median(taken[rows[0][0]])
    TABLE.add_section()
    TABLE.add_row(title, "", "", style="bold")
    for name, values in taken.items():
        middle = statistics.median(values)
        TABLE.add_row(f"  {name}", f"{middle * scale:.3g} {unit}", f"{middle / first:.2f}")
