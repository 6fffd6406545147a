"""Generate the pages of differences of ``lehr.compat``: compat/*.md in this folder.

``python docs/make_compat.py`` writes the pages. With ``--check`` it writes no file; it compares the
pages with the generated ones, prints the differences and exits with status 1 if there are any.
"""

import sys
from pathlib import Path

from lehr.compat.differences import DIFFERENCES, Difference, differences

PAGES = Path(__file__).parent / "compat"
HEADS = {
    "book": """\
# lehr.compat.book: the chapter on training deep networks, in Keras 3

`lehr.compat.book` has the definitions of the chapter *Training Deep Neural Networks* of Géron's
*Hands-On Machine Learning*, second edition, on Keras 3 with JAX, TensorFlow or PyTorch. A cell that
only defines one of these names becomes an import. The activation functions of the chapter are plain
formulas: [examples/compat/book_activations.py](../../examples/compat/book_activations.py).

## Edits of the chapter's cells that Keras 3 requires

| in the notebook | in Keras 3 |
|---|---|
| `from tensorflow import keras` | `import keras` |
| `tf.random.set_seed(42)` and `np.random.seed(42)` | `keras.utils.set_random_seed(42)` |
| `SGD(lr=0.01)` (older printings) | `SGD(learning_rate=0.01)` |
| `SGD(learning_rate=0.01, decay=1e-4)` | `SGD(InverseTimeDecay(0.01, 10_000, 1.0))` |
| `K.get_value(optimizer.learning_rate)` | `float(optimizer.learning_rate)` |
| `K.set_value(optimizer.learning_rate, rate)` | `optimizer.learning_rate = rate` |
| `Flatten(input_shape=[28, 28])`, which warns | `Input([28, 28])`, then `Flatten()` |
| `history.history["lr"]` of Keras's own callbacks | `history.history["learning_rate"]` |
| `model.fit_generator(...)` (older printings) | `model.fit(...)` |
| `model.save("name.h5")` | `model.save("name.keras")` |
| `model.predict_classes(X)` (older printings) | `model.predict(X).argmax(axis=1)` |
| `keras.layers.BatchNormalization().updates` | removed |

`InverseTimeDecay` is in `keras.optimizers.schedules`. `ExponentialDecay` records the rate as
`history.history["lr"]`, as in the chapter.
[examples/compat/book_scheduling.py](../../examples/compat/book_scheduling.py) has the scheduling
cells with these edits, [examples/compat/book_dropout.py](../../examples/compat/book_dropout.py)
those on Monte Carlo dropout.

## Differences

`find_learning_rate` also restores the state of the optimizer and the random generators, and Monte
Carlo predictions are computed by `lehr.keras.MonteCarlo`, with a seed from NumPy's generator.
`rates(callback, n)` returns the rates of n batches, rounded to four significant digits;
`losses(callback, [...])` returns the recorded losses of batches with these losses.
`PiecewiseConstantDecay` is Keras's own class, and there is no difference.
""",
    "torch_lr_finder": """\
# Differences between lehr.compat.torch_lr_finder and torch_lr_finder

`finder(lr, losses)` is an LRFinder of a small network with SGD, whose losses can be given. `tested`
runs its range test with 5 iterations up to a rate of 1.0; `rate` and `losses` are the rate of the
optimizer and the recorded losses. `plotted` assigns a history and returns the suggestion.

Differences without an example: there is no progress bar; `reset` restores all of the training state
(`lehr.torch.state`), so the finder has no attribute `state_cacher`; `device=0` is the first GPU,
not the device of the model.
""",
    "torch": """\
# Differences between lehr.compat.torch and PyTorch

`optimizer` is SGD with a rate of 0.1 and a momentum of 0.9. `rates(scheduler, n)` returns the rates
of the first n updates, rounded to four significant digits; `steps` are arguments of
`scheduler.step`, and `with_group` adds a parameter group.
""",
    "optax": """\
# Differences between lehr.compat.optax and Optax

`values(schedule, n)` returns the values at the first n steps, rounded to four significant digits.
""",
    "transformers": """\
# Differences between lehr.compat.transformers and Transformers

`optimizer` is SGD with a rate of 0.1 and a momentum of 0.9. `rates(scheduler, n)` returns the rates
of the first n updates, rounded to four significant digits; `steps` are arguments of
`scheduler.step`.
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
