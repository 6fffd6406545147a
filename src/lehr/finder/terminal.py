"""Draw a range test in block characters."""

from __future__ import annotations

import math

from lehr.finder.suggest import smoothed
from lehr.finder.sweep import Sweep
from lehr.schedule.inspect import block_rows


def draw_text(sweep: Sweep, marks: dict[str, float], width: int = 64, height: int = 8) -> str:
    """Draw the smoothed loss over log rate; ``marks``: rates by one-letter names, shown below."""
    rates, line = smoothed(sweep)
    if len(rates) < 2:
        return "too few losses to draw"
    first, last = math.log10(rates[0]), math.log10(rates[-1])
    columns = []
    for column in range(width):
        at = first + (last - first) * column / (width - 1)
        i = min(range(len(rates)), key=lambda i: abs(math.log10(rates[i]) - at))
        columns.append(line[i])
    begin, low = line[0], min(line)
    high = begin + 0.6 * (begin - low)  # larger losses have diverged and are clipped
    rows = block_rows([min(value, high) for value in columns], low, max(high, begin), height)
    row = [" "] * width
    for name, rate in marks.items():
        place = round((math.log10(rate) - first) / (last - first) * (width - 1))
        if 0 <= place < width:
            row[place] = name
    side = len(rows[0]) - width - 1
    ends = f"{rates[0]:.2g}{rates[-1]:>{width - len(f'{rates[0]:.2g}')}.2g}"
    return "\n".join([*rows, " " * side + "└" + "".join(row), " " * (side + 1) + ends])
