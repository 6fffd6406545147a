"""Generate the page of published policies: published.md and published/*.svg in this folder.

``python docs/make_published.py`` writes the page and the images. With ``--check`` it writes no
file; it compares published.md with the generated page, prints the differences and exits with
status 1 if there are any.
"""

import re
import sys
from pathlib import Path

import lehr
from lehr.schedule.run import make_run

PAGE = Path(__file__).parent / "published.md"
IMAGES = PAGE.parent / "published"
ERROR = 0.002  # largest error of a simplified curve, as a fraction of its height
# Steps per epoch for the plots of policies whose source does not fix the data set.
EXAMPLE = {"clip-vit-open-clip": 1000, "yolov8-ultralytics-sgd": 1000}
HEAD = f"""\
# Published policies

{len(lehr.published())} learning-rate policies from papers and repositories, transcribed to lehr:

```python
import lehr

entry = lehr.published("llama-2-7b")
policy = entry.resolved()  # for the number of steps of the published run
short = entry.resolved(steps=10_000)  # the same policy for a run of 10,000 steps
assert policy(2000)["lr"] == short(2000)["lr"] == 3e-4
```

`lehr.published()` returns the names; `lehr show --published llama-2-7b` plots one in the terminal.
`entry.sizes` contains the arguments of `resolve`, `summary` and `plot` for the run.
The field "omitted" lists facts that are missing in the source and parts that are not in the policy.
`python docs/make_published.py` generates this page and its images.
"""


def sizes(entry: lehr.PublishedPolicy) -> dict[str, object]:
    """Return the run arguments of an entry, with ``EXAMPLE`` if they depend on the data set."""
    if entry.name in EXAMPLE:
        return entry.sizes | {"steps_per_epoch": EXAMPLE[entry.name]}
    return entry.sizes


def steps(entry: lehr.PublishedPolicy) -> int:
    """Return the length of the run in steps."""
    return int(make_run(**sizes(entry)).steps)


def code(entry: lehr.PublishedPolicy) -> str:
    """Format the policy with one line per hyperparameter, parameter group and value."""
    policy = entry.policy
    lines = []
    for name, target in (policy.targets | (policy.values or {})).items():
        groups = target if isinstance(target, dict) else {"": target}
        named = {f"{name}[{group!r}]" if group else name: s for group, s in groups.items()}
        lines += [f"{label} = {schedule!r}" for label, schedule in named.items()]
    return "\n".join(lines)


def run(entry: lehr.PublishedPolicy) -> str:
    """Format the length of the run, with its number of steps if it is in another unit."""
    if isinstance(entry.run, int):
        return f"{entry.run:,} steps"
    if entry.name in EXAMPLE:
        return f"{entry.run} (drawn with {EXAMPLE[entry.name]:,} steps in each)"
    per_epoch = f" of {entry.steps_per_epoch:,}" if entry.steps_per_epoch else ""
    return f"{entry.run}{per_epoch}, {steps(entry):,} steps"


def write_page() -> str:
    """Return the Markdown text of published.md."""
    parts = [HEAD]
    for entry in map(lehr.published, lehr.published()):
        facts = {
            "run": run(entry),
            "batch": entry.batch,
            "optimizer": entry.optimizer,
            "source": entry.source,
            "omitted": entry.omitted,
        }
        listed = "\n".join(f"- {name}: {fact}" for name, fact in facts.items() if fact)
        parts.append(
            f"## {entry.name}\n\n```text\n{code(entry)}\n```\n\n{listed}\n\n"
            f"![{entry.name}](published/{entry.name}.svg)\n"
        )
    return "\n".join(parts)


def draw(entry: lehr.PublishedPolicy) -> str:
    """Plot the schedules of an entry, without constant ones except ``lr``; return the SVG."""
    from lehr import figures

    policy = entry.resolved(**sizes(entry))
    plotted = {
        name: target
        for name, target in policy.targets.items()
        if name == "lr" or not isinstance(target, lehr.schedule.Constant)
    }
    figure = figures.draw_policy(lehr.Policy(**plotted), steps(entry))
    for axes in figure.axes:
        for line in axes.lines:
            points = [*zip(*line.get_data(), strict=True)]
            height = max(y for _, y in points) - min(y for _, y in points)
            line.set_data(*zip(*simplify(points, ERROR * height), strict=True))
            line.set_drawstyle("default")
    return re.sub("<[^>]*>", lambda tag: shorten(tag[0]), figures.to_svg(figure))


def shorten(tag: str) -> str:
    """Round the coordinates in an SVG tag to two decimals and set one font family."""
    tag = re.sub(r"font-family: [^;\"]*", "font-family: sans-serif", tag)
    return re.sub(r"\d+\.\d{3,}", lambda number: f"{float(number[0]):.2f}", tag)


def simplify(points: list[tuple[float, float]], error: float) -> list[tuple[float, float]]:
    """Simplify a polyline (Douglas-Peucker) with a vertical error of at most ``error``."""
    (x0, y0), *inner, (x1, y1) = points
    off = [abs(y - y0 - (y1 - y0) * (x - x0) / (x1 - x0)) for x, y in inner]
    if max(off, default=0.0) <= error:
        return [points[0], points[-1]]
    i = off.index(max(off)) + 1
    return simplify(points[: i + 1], error)[:-1] + simplify(points[i:], error)


def check() -> int:
    """Return 0 if the page is up to date; otherwise print the differences and return 1."""
    found = PAGE.read_text(encoding="utf-8").splitlines() if PAGE.exists() else []
    expected = write_page().splitlines()
    different = [line for line in expected if line not in found]
    different += [line for line in found if line not in expected]
    drawn = {path.stem for path in IMAGES.glob("*.svg")}
    different += sorted(drawn ^ {*lehr.published()})
    if expected == found and not different:
        return 0
    print("published.md is out of date; run python docs/make_published.py:", *different, sep="\n  ")
    return 1


def main() -> int:
    """Write the page and its images, or check the page."""
    if sys.argv[1:] == ["--check"]:
        return check()
    if sys.argv[1:]:
        print(__doc__)
        return 2
    IMAGES.mkdir(exist_ok=True)
    text = write_page()
    images = {name: draw(lehr.published(name)) for name in lehr.published()}
    for old in IMAGES.glob("*.svg"):
        old.unlink()
    for name, image in images.items():
        (IMAGES / f"{name}.svg").write_text(image + "\n", encoding="utf-8")
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
