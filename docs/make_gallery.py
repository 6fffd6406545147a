"""Generate the gallery of presets: gallery.md and gallery/*.svg in the folder of this file.

``python docs/make_gallery.py`` writes the page and the images. With ``--check`` it writes no file;
it compares the presets and expressions in gallery.md with the generated page, prints the
differences and exits with status 1 if there are any.
"""

import inspect
import re
import sys
import typing
from pathlib import Path

import lehr
from lehr.schedule import presets

PAGE = Path(__file__).parent / "gallery.md"
IMAGES = PAGE.parent / "gallery"
STEPS = 100
HEAD = f"""\
# Gallery

Plots of every preset of lehr over {STEPS} steps, with the expressions that are plotted.
`python docs/make_gallery.py` generates this page and its images.
"""

# The expressions that are plotted for each preset. Every preset needs an entry.
EXAMPLES = {
    "constant": ["constant(0.1)"],
    "cosine": [
        "cosine(0.1)",
        'cosine(0.1, floor="20%", power=2)',
        "cosine(0.1, time_power=2)",
    ],
    "cosine_restarts": [
        "cosine_restarts(0.1, period=14, growth=2)",
        "cosine_restarts(0.1, period=25, factor=0.6, warmup=5)",
    ],
    "cyclical": [
        "cyclical(0.01, 0.1, up=5, down=20)",
        "cyclical(0.01, 0.1, up=10, scale=lambda cycle: 1 / cycle)",
    ],
    "exp_range": ["exp_range(0.01, 0.1, half_cycle=10, factor=0.98)"],
    "exponential": [
        "exponential(0.1, factor=0.5, every=20)",
        "exponential(0.1, factor=0.5, every=20, staircase=True)",
    ],
    "flat_cosine": ['flat_cosine(0.1, hold="70%")'],
    "from_function": ["from_function(lambda t: 0.1 - 0.001 * abs(t - 30))"],
    "inverse_sqrt": ["inverse_sqrt(0.1, warmup=10)", "inverse_sqrt(0.1, warmup=10, timescale=40)"],
    "inverse_time": [
        "inverse_time(0.1, timescale=10)",
        "inverse_time(0.1, timescale=10, power=0.5)",
    ],
    "linear": ["linear(0.1, 0.01)"],
    "multi_step": ["multi_step(0.1, 0.3, milestones=[30, 60, 80])"],
    "noam": ["noam(512, warmup=20)"],
    "one_cycle": ["one_cycle(0.1)"],
    "piecewise": [
        "piecewise([30, 60], [0.1, 0.05, 0.02])",
        'piecewise([0, 30, 60, 100], [0.02, 0.1, 0.03, 0.0], curve="linear")',
        'piecewise([0, 30, 60, 100], [0.02, 0.1, 0.03, 0.0], curve="cosine")',
    ],
    "polynomial": ["polynomial(0.1, power=2)", "polynomial(0.1, power=0.5, floor=0.02)"],
    "rex": ["rex(0.1)"],
    "polynomial_cycles": ["polynomial_cycles(0.1, 30, cycles=4)"],
    "slanted_triangular": ["slanted_triangular(0.1, 100)"],
    "step_decay": ["step_decay(0.1, 0.5, every=25)"],
    "table": ["table([0.02, 0.1, 0.06, 0.08, 0.03]).every(20)"],
    "tanh": ["tanh(0.1)"],
    "triangular": ["triangular(0.01, 0.1, half_cycle=10)"],
    "triangular2": ["triangular2(0.01, 0.1, half_cycle=10)"],
    "warmup": [
        "warmup(0.1, 10).then(cosine(0.1))",
        'warmup(0.1, 30, curve="cosine")',
        'warmup(0.1, 30, curve="log")',
    ],
    "warmup_radam": ["warmup_radam(0.1, beta2=0.9)", "cosine(0.1) * warmup_radam(1.0, beta2=0.95)"],
    "warmup_untuned": [
        "warmup_untuned(0.1, beta2=0.95)",
        'warmup_untuned(0.1, beta2=0.95, curve="exponential")',
    ],
    "wsd": [
        'wsd(0.1, "10%", "20%")',
        'wsd(0.1, "10%", "40%", curve="cosine")',
        "warmup(0.1, 10).then(inverse_time(0.1, 50)).then_to(0.0, 20)",
    ],
}


def find_presets() -> dict[str, typing.Any]:
    """Return the public functions of lehr that return a schedule or a policy, by name."""
    return {name: getattr(lehr, name) for name in sorted([*presets.__all__, "one_cycle"])}


def write_page() -> str:
    """Return the Markdown text of gallery.md."""
    parts = [HEAD]
    found = find_presets()
    if set(found) != set(EXAMPLES):
        wrong = sorted(set(found) ^ set(EXAMPLES))
        raise SystemExit(f"EXAMPLES must have one entry per preset; these differ: {wrong}")
    for name, preset in found.items():
        summary = " ".join((inspect.getdoc(preset) or "").split("\n\n")[0].split())
        code = "\n".join(EXAMPLES[name])
        parts.append(
            f"## {name}\n\n{summary}\n\n```python\n{code}\n```\n\n![{name}](gallery/{name}.svg)\n"
        )
    return "\n".join(parts)


def draw(name: str) -> str:
    """Plot the expressions of a preset and return the SVG."""
    from lehr import figures

    resolved = {code: eval(code, find_presets()).resolve(steps=STEPS) for code in EXAMPLES[name]}
    first, *others = resolved.values()
    if isinstance(first, lehr.Policy):
        return figures.to_svg(figures.draw_policy(first, STEPS))
    figure = figures.draw_schedules(resolved if others else {"": first}, STEPS)
    if others:  # the legend is placed above the axes so that it does not cover the curves
        figure.axes[0].legend(loc="lower left", bbox_to_anchor=(0, 1), fontsize=8, frameon=False)
    return figures.to_svg(figure)


def entries(page: str) -> list[str]:
    """Return the preset names and expressions of a page, as ``name: expression``."""
    blocks = re.findall(r"^## (\w+)\n.*?^```python\n(.*?)^```", page, re.M | re.S)
    return [f"{name}: {line}" for name, code in blocks for line in code.splitlines()]


def check() -> int:
    """Return 0 if the page is up to date; otherwise print the differences and return 1."""
    expected = entries(write_page())
    found = entries(PAGE.read_text(encoding="utf-8")) if PAGE.exists() else []
    different = sorted(set(expected) ^ set(found))
    different += [name for name in find_presets() if not (IMAGES / f"{name}.svg").exists()]
    if expected == found and not different:
        return 0
    print("gallery.md is out of date; run python docs/make_gallery.py:", *different, sep="\n  ")
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
    for old in IMAGES.glob("*.svg"):
        old.unlink()
    for name in find_presets():
        (IMAGES / f"{name}.svg").write_text(draw(name) + "\n", encoding="utf-8")
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
