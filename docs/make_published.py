"""Draw every published policy: writes published.md and published/*.svg beside this file.

``python docs/make_published.py`` writes; with ``--check`` it only says whether published.md is
what it would write, and exits with 1 if not.
"""

import re
import sys
from pathlib import Path

import lehr
from lehr.schedule.run import make_run

PAGE = Path(__file__).parent / "published.md"
PICTURES = PAGE.parent / "published"
ERROR = 0.002  # of a drawn curve, as a fraction of its height: keeps the pictures small
# Updates in an epoch for the pictures of recipes for any data set.
EXAMPLE = {"clip-vit-open-clip": 1000, "yolov8-ultralytics-sgd": 1000}
HEAD = f"""\
# Published policies

{len(lehr.published())} learning-rate policies as their papers and repositories give them, in lehr:

```python
import lehr

entry = lehr.published("llama-2-7b")
policy = entry.resolved()  # in the steps of its own run
short = entry.resolved(steps=10_000)  # the same policy in another one
assert policy.lr(2000) == short.lr(2000) == 3e-4
```

`lehr.published()` lists the names; `lehr show --published llama-2-7b` draws one at the shell.
`entry.sizes` holds the run as arguments of `resolve`, `summary` and `plot`.
What the source does not give, and what the policy does not contain, is listed as omitted.
`python docs/make_published.py` writes this page and its pictures.
"""


def sizes(entry: lehr.PublishedPolicy) -> dict[str, object]:
    """Return the run of an entry, with an example where it depends on the data set."""
    if entry.name in EXAMPLE:
        return entry.sizes | {"steps_per_epoch": EXAMPLE[entry.name]}
    return entry.sizes


def steps(entry: lehr.PublishedPolicy) -> int:
    """Return the steps of the run."""
    return int(make_run(**sizes(entry)).steps)


def code(entry: lehr.PublishedPolicy) -> str:
    """Return the policy as text, one line for each hyperparameter, group and value."""
    policy = entry.policy
    lines = []
    for name, target in (policy.targets | (policy.values or {})).items():
        groups = target if isinstance(target, dict) else {"": target}
        named = {f"{name}[{group!r}]" if group else name: s for group, s in groups.items()}
        lines += [f"{label} = {schedule!r}" for label, schedule in named.items()]
    return "\n".join(lines)


def run(entry: lehr.PublishedPolicy) -> str:
    """Return the length of the run and, where it is counted in something else, its steps."""
    if isinstance(entry.run, int):
        return f"{entry.run:,} steps"
    if entry.name in EXAMPLE:
        return f"{entry.run} (drawn with {EXAMPLE[entry.name]:,} steps in each)"
    per_epoch = f" of {entry.steps_per_epoch:,}" if entry.steps_per_epoch else ""
    return f"{entry.run}{per_epoch}, {steps(entry):,} steps"


def write_page() -> str:
    """Return the text of published.md."""
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
    """Return the picture of an entry, without what is constant."""
    from lehr import figures

    policy = entry.resolved(**sizes(entry))
    moving = {
        name: target
        for name, target in policy.targets.items()
        if name == "lr" or not isinstance(target, lehr.schedule.Constant)
    }
    figure = figures.draw_policy(lehr.Policy(**moving), steps(entry))
    for axes in figure.axes:
        for line in axes.lines:
            points = [*zip(*line.get_data(), strict=True)]
            height = max(y for _, y in points) - min(y for _, y in points)
            line.set_data(*zip(*simplified(points, ERROR * height), strict=True))
            line.set_drawstyle("default")
    return re.sub("<[^>]*>", lambda tag: shortened(tag[0]), figures.to_svg(figure))


def shortened(tag: str) -> str:
    """Return a tag of an SVG with coordinates of two decimals and one font family."""
    tag = re.sub(r"font-family: [^;\"]*", "font-family: sans-serif", tag)
    return re.sub(r"\d+\.\d{3,}", lambda number: f"{float(number[0]):.2f}", tag)


def simplified(points: list[tuple[float, float]], error: float) -> list[tuple[float, float]]:
    """Return the points that are needed to draw a line with an error of at most that."""
    (x0, y0), *inner, (x1, y1) = points
    off = [abs(y - y0 - (y1 - y0) * (x - x0) / (x1 - x0)) for x, y in inner]
    if max(off, default=0.0) <= error:
        return [points[0], points[-1]]
    i = off.index(max(off)) + 1
    return simplified(points[: i + 1], error)[:-1] + simplified(points[i:], error)


def check() -> int:
    """Return 0 if the page is what would be written, else say what differs and return 1."""
    shown = PAGE.read_text(encoding="utf-8").splitlines() if PAGE.exists() else []
    wanted = write_page().splitlines()
    different = [line for line in wanted if line not in shown]
    different += [line for line in shown if line not in wanted]
    drawn = {path.stem for path in PICTURES.glob("*.svg")}
    different += sorted(drawn ^ {*lehr.published()})
    if wanted == shown and not different:
        return 0
    print("published.md is old; run python docs/make_published.py:", *different, sep="\n  ")
    return 1


def main() -> int:
    """Write the page and its pictures, or check the page."""
    if sys.argv[1:] == ["--check"]:
        return check()
    if sys.argv[1:]:
        print(__doc__)
        return 2
    PICTURES.mkdir(exist_ok=True)
    text = write_page()
    pictures = {name: draw(lehr.published(name)) for name in lehr.published()}
    for old in PICTURES.glob("*.svg"):
        old.unlink()
    for name, picture in pictures.items():
        (PICTURES / f"{name}.svg").write_text(picture + "\n", encoding="utf-8")
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
