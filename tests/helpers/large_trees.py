"""Call every public method of trees with huge counts; run by tests under limits of CPU and memory.

Prints the seconds of CPU of the slowest call of each tree, as JSON.
"""

import copy
import json
import pickle
import resource
import sys
import time

import lehr
from lehr import Policy, constant, cosine, exponential, linear, step_decay, table
from lehr.schedule import Piecewise

HUGE = 2**31 - 1
LEAVES = {
    "linear": linear(1.0, 0.0, 2),
    "table": table([1.0, 0.5, 0.25]),
    "stairs": step_decay(1.0, 0.5, 1).take(1000),
    "pieces": Piecewise((1, 2, 3), (1.0, 0.5, 0.25, 0.125)).take(5),
    "epochs": linear(1.0, 0.0, "2.5 epochs"),
}
WRAPS = {
    "repeat": lambda s: s.repeat(1000),
    "endless": lambda s: s.repeat().take(10**6),
    "once": lambda s: s.repeat(1),
    "every": lambda s: s.every(1001),
    "real every": lambda s: s.every(1000.37),
    "take": lambda s: s.take(HUGE),
    "later": lambda s: s.shift(10**6),
    "earlier": lambda s: s.repeat(10**6).shift(-(10**6)),
    "reverse": lambda s: s.reverse(),
    "chain": lambda s: s.then(linear(0.5, 0.0, 3)).then(constant(0.1, 10**6)),
    "sum": lambda s: s + cosine(0.5, 10**9),
    "min": lambda s: s.minimum(exponential(1.0, 0.5, 10**5).take(10**8)),
    "product": lambda s: s * step_decay(1.0, 0.999, 1),
    "quotient": lambda s: s / (1 + s),
    "power": lambda s: s**2,
    "clip": lambda s: s.clip(0.01, 0.9),
}
CASES = {
    "A3: three levels": lambda: linear(1.0, 0.0, 2).repeat(1000).repeat(1000).repeat(1000),
    "A3: ticks": lambda: linear(1.0, 0.0, 3).repeat(10**6).every(10**7 + 1),
    "A3: table": lambda: table([1.0, 0.5]).every(10**9),
    "A3: once, 22 times": lambda: _nest(linear(1.0, 0.0, 2), "once", 22),
    "once, 22 times, epochs": lambda: _nest(linear(1.0, 0.0, "1 epoch"), "once", 22),
    "twice, 22 times": lambda: _fold(linear(1.0, 0.0, 2), lambda s: s.repeat(2), 22),
    "shared": lambda: _fold(linear(1.0, 0.0, 2), lambda s: s * 0.5 + s, 9),
    "cycles of a fraction": lambda: (
        linear(1.0, 0.0, 3).every("1.001 epochs").then(linear(1.0, 0.0, "2.33 steps")).repeat()
    ),
    "nested cycles of a fraction": lambda: _fold(
        linear(1.0, 0.0, "2.5 epochs"), lambda s: s.then(linear(1.0, 0.0, "1.7 steps")).repeat(3), 9
    ),
    "many cycles before the rest": lambda: (
        linear(1.0, 0.0, "1 epoch").repeat(10**9).take("50%").then(cosine(1.0))
    ),
}


def _fold(s, change, times):
    for _ in range(times):
        s = change(s)
    return s


def _nest(s, name, times):
    return _fold(s, WRAPS[name], times)


def trees(group):
    """Yield named functions that construct a tree."""
    if group == "cases":
        yield from CASES.items()
        return
    names = list(WRAPS)
    place = names.index(group)
    for offset, (leaf, s) in enumerate(LEAVES.items()):
        inner = names[(place + 3 * offset + 1) % len(names)]
        yield (
            f"{leaf} {group} {inner} every",
            lambda s=s, inner=inner: WRAPS["every"](WRAPS[inner](WRAPS[group](s))),
        )
    for depth in (5, 22):
        yield (
            f"{group} x {depth}",
            lambda depth=depth: _nest(LEAVES["linear"], group, depth),
        )


def calls(make):
    """Yield every public operation on a tree."""
    s = make()
    run = {"steps": HUGE, "steps_per_epoch": 10.37}
    yield lambda: make()
    yield lambda: repr(s)
    yield lambda: s == make()
    yield lambda: hash(s)
    yield lambda: s.to_dict()
    yield lambda: lehr.loads(s.dumps()) == s
    yield lambda: lehr.parse(repr(s)) == s
    yield lambda: pickle.loads(pickle.dumps(s))
    yield lambda: copy.deepcopy(s)
    yield lambda: s.resolve(**run)
    yield lambda: s.resolve(**run)(10**9)
    yield lambda: s.at_fraction(0.5)
    yield lambda: s.summary(**run)
    yield lambda: s.lint(**run)
    yield lambda: s.draw(**run)
    yield lambda: Policy(s)
    yield lambda: Policy(s).length
    yield lambda: Policy(s).summary(**run)
    yield lambda: Policy(s).lint(**run)
    yield lambda: Policy(s).resolve(**run)(10**9)


def check(error):
    """Exit with an error unless it is one of lehr's."""
    if " must be " not in str(error):
        raise SystemExit(f"not an error of lehr: {error!r}")


def main(group):
    resource.setrlimit(resource.RLIMIT_CPU, (400, 400))
    resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))
    slowest = {}
    for name, make in trees(group):
        try:
            operations = list(calls(make))
        except ValueError as error:  # a stated limit
            check(error)
            continue
        for i, operation in enumerate(operations):
            start = time.process_time()
            try:
                operation()
            except ValueError as error:
                check(error)
            seconds = time.process_time() - start
            slowest[name] = max(slowest.get(name, (0, 0)), (round(seconds, 2), i))
    print(json.dumps(slowest))


if __name__ == "__main__":
    main(*sys.argv[1:])
