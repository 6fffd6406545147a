"""Generate the pages of differences of ``lehr.compat``: compat/*.md in this folder.

``python docs/make_compat.py`` writes the pages. With ``--check`` it writes no file; it compares the
pages with the generated ones, prints the differences and exits with status 1 if there are any.
"""

import sys
from pathlib import Path

from lehr.compat.differences import DIFFERENCES, Difference, differences

PAGES = Path(__file__).parent / "compat"
HEADS = {
    "torch": """\
# Differences between lehr.compat.torch and PyTorch

`optimizer` is SGD with a rate of 0.1 and a momentum of 0.9. `rates(scheduler, n)` returns the rates
of the first n updates, rounded to four significant digits; `steps` are arguments of
`scheduler.step`, and `with_group` adds a parameter group.
""",
    "clr_callback": """\
# Differences between lehr.compat.clr_callback and clr_callback

`sums(callback, n, block)` returns the sum of the rates of each execution of `block` batches, with
n batches in all. The original does not run on Keras 3; its results are those of a callback that
sets the rate at the same times.
""",
    "tensorflow_addons": """\
# Differences between lehr.compat.tensorflow_addons and TensorFlow Addons

`rates(schedule, *steps)` returns the rates at the steps, rounded to four significant digits.
TensorFlow Addons cannot be installed any more; its results are those of its formula in float32.
""",
}
TAIL = """\
`python docs/make_compat.py` generates this page from `lehr.compat.differences`; the tests run every
example with both libraries.
"""


def section(row: Difference) -> str:
    """Return the Markdown text of one row."""
    example = f"{row.example}\ntheirs: {row.theirs}\nours:   {row.ours}"
    reason = row.reason[0].upper() + row.reason[1:]
    return f"## {row.name}: {row.condition}\n\n```text\n{example}\n```\n\n{reason}.\n"


def write_page(module: str) -> str:
    """Return the Markdown text of the page of a module."""
    return "\n".join([HEADS[module], *map(section, differences(module)), TAIL])


def main() -> int:
    """Write the pages, or check them."""
    pages = {module: write_page(module) for module in sorted({row.module for row in DIFFERENCES})}
    if sys.argv[1:] == ["--check"]:
        found = {page.stem: page.read_text(encoding="utf-8") for page in PAGES.glob("*.md")}
        wrong = [name for name in pages.keys() | found.keys() if pages.get(name) != found.get(name)]
        for name in sorted(wrong):
            print(f"compat/{name}.md is out of date; run python docs/make_compat.py:")
            old = found.get(name, "").splitlines()
            print(*(line for line in pages.get(name, "").splitlines() if line not in old), sep="\n")
        return bool(wrong)
    if sys.argv[1:]:
        print(__doc__)
        return 2
    PAGES.mkdir(exist_ok=True)
    for name, text in pages.items():
        (PAGES / f"{name}.md").write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
