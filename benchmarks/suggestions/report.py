"""Write docs/suggestions.md and its figures from the stored results.

python benchmarks/suggestions/report.py
"""

from __future__ import annotations

import itertools
import json
import math
import statistics
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
from evaluate import measured, regret, score_at, sweeps, truth
from matplotlib.figure import Figure
from measure import MODES, RESULTS
from peers import SCORED
from tasks import TASKS

from lehr.finder import Sweep, agree

DOCS = Path(__file__).parents[2] / "docs"
WIDTHS = (0.2, 0.3, 0.4)  # decades
CAPS = (None, 1.0, 3.0)  # limit of a loss above the start, in units of the fall
SHARES = tuple(10 ** (i / 6) for i in range(-8, 3))  # of the rate of the minimum
# not used to choose the constants of lehr's rule
HELD_OUT = (
    "noisy-batch-of-4",
    "text-transformer-adamw",
    "friedman-regression-adam",
    "fine-tuning-momentum",
)
Regrets = dict[str, list[float]]  # per task, one for each seed


def of_rule(suggest: Callable[[Sweep], float | None], mode: str, steps: int = 100) -> Regrets:
    return {t: [regret(t, mode, suggest(s)) for s in sweeps(t, steps)] for t in measured()}


def variant(sweep: Sweep, width: float, cap: float | None) -> float:
    """Return the rate of the lowest loss for another smoothing width and cap."""
    points = [(r, x) for r, x in zip(sweep.rates, sweep.losses, strict=True) if math.isfinite(x)]
    losses = [x for _, x in points]
    if cap is not None:
        start = statistics.median(losses[:10])
        losses = [min(x, start + cap * (start - min(losses))) for x in losses]
    logs = [math.log10(r) for r, _ in points]

    def height(centre: float) -> float:
        weights = [math.exp(-0.5 * ((x - centre) / width) ** 2) for x in logs]
        return math.fsum(w * x for w, x in zip(weights, losses, strict=True)) / math.fsum(weights)

    return 10 ** min(logs, key=height)


def cross_validated(mode: str, steps: int = 100) -> Regrets:
    """Return the regrets of each task under the variant that is best on all other tasks."""
    table = {}
    for width, cap in itertools.product(WIDTHS, CAPS):
        rates = {t: [variant(s, width, cap) for s in sweeps(t, steps)] for t in measured()}
        for share in SHARES:
            table[width, cap, share] = {
                t: [regret(t, mode, share * r) for r in rates[t]] for t in rates
            }
    found = {}
    for task in measured():
        best = min(
            table,
            key=lambda v: statistics.mean(
                statistics.mean(regrets) for t, regrets in table[v].items() if t != task
            ),
        )
        found[task] = table[best][task]
    return found


def peers(mode: str) -> dict[str, tuple[Regrets, int]]:
    """Return the regrets and the number of failures of the other finders and optimizers."""
    records = [json.loads(line) for line in (RESULTS / "peers.jsonl").read_text().splitlines()]
    rules: dict[str, set[str]] = defaultdict(set)
    for record in records:
        rules[record["peer"]] |= set(record.get("found", {}))
    costs: dict[str, Regrets] = defaultdict(lambda: defaultdict(list))
    failures: dict[str, int] = defaultdict(int)
    for record in records:
        if record["task"] not in measured():
            continue
        for rule in rules[record["peer"]]:
            value = record.get("found", {}).get(rule)
            failures[rule] += value is None
            if record["peer"] in SCORED:
                best = max(max(truth(record["task"], m)[1]) for m in MODES)
                cost = best - (value or 0.0)
            else:
                cost = regret(record["task"], mode, value)
            costs[rule][record["task"]].append(cost)
    return {rule: (costs[rule], failures[rule]) for rule in costs}


def row(name: str, regrets: Regrets, failures: int = 0) -> tuple[float, str]:
    tasks = [statistics.mean(regrets[t]) for t in measured()]
    cells = [f"{x:.1f}" for x in tasks]
    mean, worst = statistics.mean(tasks), max(max(r) for r in regrets.values())
    unseen = statistics.mean(statistics.mean(regrets[t]) for t in HELD_OUT)
    within = sum(x <= 1.0 for x in tasks)
    metadata = [f"{mean:.2f}", f"{unseen:.2f}", f"{max(tasks):.1f}", f"{worst:.1f}"]
    metadata.append(f"{within}/{len(tasks)}")
    return mean, "| " + " | ".join([name, *metadata, str(failures or ""), *cells]) + " |"


def table(mode: str) -> list[str]:
    use = mode
    regrets = of_rule(lambda s: s.suggest(use).lr, mode)
    missing = sum(s.suggest(use).lr is None for t in measured() for s in sweeps(t))
    three = {
        t: [regret(t, mode, agree(some, use).lr) for some in itertools.combinations(sweeps(t), 3)]
        for t in measured()
    }
    rows = [
        row("**lehr**", regrets, missing),
        row("**lehr**, median of 3 tests", three),
        row("**lehr**, 500 updates", of_rule(lambda s: s.suggest(use).lr, mode, 500)),
        row("**lehr**, chosen on the other tasks", cross_validated(mode)),
        row(
            "the optimizer's default",
            {t: [regret(t, mode, TASKS[t].default)] for t in measured()},
        ),
    ]
    rows += [row(name, *found) for name, found in peers(mode).items()]
    head = ["rule", "mean", "mean of the held-out 4", "worst task", "worst run", "<= 1 point"]
    head += ["failed", *measured()]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return lines + [line for _, line in sorted(rows)]


def figure(mode: str) -> Figure:
    """Draw the scores of every task over the rate, with lehr's suggestions as dots."""
    names = measured()
    rows = math.ceil(len(names) / 3)
    made = Figure((9, 2.1 * rows), layout="constrained")
    for axes, name in zip(made.subplots(rows, 3, squeeze=False).flat, names, strict=False):
        logs, scores = truth(name, mode)
        axes.plot([10**x for x in logs], scores, color="#0072B2", lw=1.5)
        for sweep in sweeps(name):
            lr = sweep.suggest(mode).lr
            if lr is not None:
                axes.plot(lr, score_at(name, mode, lr), "o", color="#D55E00", ms=4)
        axes.set_xscale("log")
        axes.set_title(name, fontsize=9)
        axes.set_xlabel("learning rate (log scale)", fontsize=7)
        axes.set_ylabel("points", fontsize=7)
        axes.tick_params(labelsize=7)
        axes.minorticks_off()
    for axes in made.axes[len(names) :]:
        axes.remove()
    return made


def tasks() -> list[str]:
    """Return a table of the tasks with the best rates of each."""
    lines = [
        "| task | default rate | best constant rate | best peak of one cycle |",
        "|---|---|---|---|",
    ]
    for name in measured():
        cells = [f"{TASKS[name].default:g}"]
        for mode in MODES:
            logs, scores = truth(name, mode)
            best = max(range(len(scores)), key=scores.__getitem__)
            cells.append(f"{scores[best]:.1f} at {10 ** logs[best]:.2g}")
        lines.append("| " + " | ".join([name, *cells]) + " |")
    return lines


def main() -> None:
    folder = DOCS / "suggestions"
    folder.mkdir(exist_ok=True)
    parts = {"tasks": "\n".join(tasks())}
    for mode in MODES:
        with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "lehr"}):
            figure(mode).savefig(folder / f"{mode}.svg", metadata={"Date": None})
        parts[mode] = "\n".join(table(mode))
    page = (Path(__file__).parent / "page.md").read_text()
    for name, text in parts.items():
        page = page.replace("{" + name + "}", text)
    (DOCS / "suggestions.md").write_text(page)


if __name__ == "__main__":
    main()
