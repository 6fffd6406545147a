"""Measure the coverage of the intervals and the error rate of the verdicts on A/A studies.

    nice python benchmarks/calibration/measure.py [part ...]

Writes results.json in the same folder; takes about half an hour of one core. In an A/A study all
arms are the same policy: every verdict is false, and 95 % of the intervals should contain zero.
The runs of a study are drawn from the pool without replacement: no run belongs to two arms.
"""

import json
import math
import sys
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from scipy import stats

from lehr.study.stats.paired import _sign_flip, paired_test
from lehr.study.stats.sequential import cannot_win, increments, judge, looks

HERE = Path(__file__).parent
INTERVALS, STUDIES = 10_000, 3_000
SEEDS = (5, 8, 10, 16)
ARMS, PEAKS = 8, 5  # the reference and seven others
POOLS = ("fashion", "digits")
TUNED = {
    "fashion": (1, 3),
    "digits": (2, 6),
}  # tuning and judging runs, limited by the pool
PAIRS = (
    ("fashion", "fashion-x1.5"),
    ("fashion", "fashion-x3"),
    ("digits", "digits-half"),
    ("digits", "digits-short"),
)


def pool(name: str) -> dict[str, np.ndarray]:
    lines = (HERE / "pools" / f"{name}.jsonl").read_text().splitlines()
    runs = [json.loads(line) for line in lines]
    assert [run["seed"] for run in runs] == list(range(len(runs)))
    return {data: np.array([run[data] for run in runs]) for data in ("validation", "test")}


def share(count: float, of: int) -> dict[str, float]:
    """Return a share and its Monte-Carlo standard error."""
    value = count / of
    return {"share": value, "error": math.sqrt(value * (1 - value) / of), "of": of}


# Intervals: an array (rows, 2) of ends, for rows of differences.


def t_intervals(rows: np.ndarray) -> np.ndarray:
    n = rows.shape[1]
    half = stats.t.isf(0.025, n - 1) * rows.std(axis=1, ddof=1) / math.sqrt(n)
    return np.stack([rows.mean(axis=1) - half, rows.mean(axis=1) + half], axis=1)


def bca_intervals(rows: np.ndarray) -> np.ndarray:
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # equal differences: a NaN interval, which is a miss
        for part in np.split(rows, 50):
            interval = stats.bootstrap(
                (part,), np.mean, axis=1, n_resamples=1999, method="BCa", rng=0
            ).confidence_interval
            found.append(np.stack([interval.low, interval.high], axis=1))
    return np.concatenate(found)


def sign_flip_intervals(rows: np.ndarray) -> np.ndarray:
    if 2 ** (1 - rows.shape[1]) > 0.05:  # no decision at 0.05 with five signs
        return np.tile([-np.inf, np.inf], (len(rows), 1))
    return np.array([_sign_flip(list(row)).interval(0.05) for row in rows])


METHODS = {"paired t": t_intervals, "BCa": bca_intervals, "sign flip": sign_flip_intervals}


def coverage(rows: np.ndarray, truth: float) -> dict[str, dict[str, float]]:
    """Return coverage and median width of the 95 % intervals of each method."""
    found = {}
    for name, method in METHODS.items():
        low, high = method(rows).T
        covered = (low <= truth) & (truth <= high)
        found[name] = share(covered.sum(), len(rows)) | {"width": float(np.nanmedian(high - low))}
        if not math.isfinite(found[name]["width"]):
            found[name]["width"] = None
    return found | {"shipped": found[paired_test(list(range(rows.shape[1]))).name]}


def equal_pairs(scores: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    rows = [rng.choice(scores, 2 * n, replace=False) for _ in range(INTERVALS)]
    return np.array([row[:n] - row[n:] for row in rows])


# Studies of eight arms.


def run_study(scores: dict[str, np.ndarray], early: bool) -> tuple[dict, dict[str, int]]:
    """Compute the comparisons with arm 0 and the stopped arms, as the study driver does."""
    seeds = len(scores["0"])
    if not early:
        return judge(scores, "0"), {}
    stopped: dict[str, int] = {}
    for look, level in increments(seeds).items():
        if look < seeds:
            so_far = {name: s[: stopped.get(name, look)] for name, s in scores.items()}
            lost = cannot_win(so_far, alpha=level)
            stopped |= {name: look for name in lost if name != "0"}
    ended = {name: s[: stopped.get(name, seeds)] for name, s in scores.items()}
    return judge(ended, "0", stopped=stopped), stopped


def equal_arms(runs: dict, seeds: int, rng: np.random.Generator) -> Iterator[dict]:
    for _ in range(STUDIES):
        drawn = rng.choice(runs["test"], (ARMS, seeds), replace=False)
        yield {str(arm): drawn[arm] for arm in range(ARMS)}


def three_bad_arms(runs: dict, seeds: int, rng: np.random.Generator) -> Iterator[dict]:
    """Yield studies with three arms that score seven standard deviations lower."""
    for study in equal_arms(runs, seeds, rng):
        for arm in "567":
            study[arm] = study[arm] - 7 * runs["test"].std()
        yield study


def tuned_arms(runs: dict, tuning: int, seeds: int, rng: np.random.Generator) -> Iterator[dict]:
    """Yield studies whose arms use the best of five equal peaks, judged on other runs."""
    shape = (ARMS, PEAKS, tuning + seeds)
    for _ in range(STUDIES):
        drawn = rng.choice(len(runs["test"]), shape, replace=False)
        validation = runs["validation"][drawn[:, :, :tuning]].mean(axis=2)
        judging = runs["test"][drawn[:, :, tuning:]]
        yield {str(arm): judging[arm, validation[arm].argmax()] for arm in range(ARMS)}


def wrongly_tuned_arms(runs: dict, by: str, rng: np.random.Generator) -> Iterator[dict]:
    """Yield studies whose peaks are chosen on the judging runs, in all arms but the reference."""
    for _ in range(STUDIES):
        drawn = rng.choice(len(runs["test"]), (1 + (ARMS - 1) * PEAKS, 4), replace=False)
        tried = drawn[1:].reshape(ARMS - 1, PEAKS, 4)
        best = runs[by][tried].mean(axis=2).argmax(axis=1)
        study = {"0": runs["test"][drawn[0]]}
        yield study | {str(i + 1): runs["test"][tried[i, k]] for i, k in enumerate(best)}


def verdicts(studies: Iterator[dict], early: bool, bad: str = "") -> dict:
    """Return the shares of studies with a false verdict, a false winner or a wrong stop."""
    wrong = winners = stops = caught = used = planned = found_bad = 0
    for scores in studies:
        comparisons, stopped = run_study(scores, early)
        equal = {name: c.verdict for name, c in comparisons.items() if name not in bad}
        wrong += any(verdict != "undecided" for verdict in equal.values())
        winners += any(verdict == "better" for verdict in equal.values())
        stops += any(name in stopped for name in equal)
        caught += sum(name in stopped for name in bad)
        found_bad += sum(comparisons[name].verdict == "worse" for name in bad)
        seeds = len(scores["0"])
        used += sum(stopped.get(name, seeds) for name in scores)
        planned += seeds * len(scores)
    found = {"verdict": share(wrong, STUDIES), "winner": share(winners, STUDIES)}
    if early:
        found |= {"stopped": share(stops, STUDIES), "trials saved": 1 - used / planned}
    if bad:
        found["bad found worse"] = share(found_bad, STUDIES * len(bad))
        found["bad stopped"] = share(caught, STUDIES * len(bad))
    return found


def families(name: str, runs: dict) -> list[dict]:
    tuning, judging = TUNED[name]
    tuned = partial(tuned_arms, tuning=tuning)
    cases = [
        ("equal arms", equal_arms, (5, 8, 16), ""),
        ("tuned peaks", tuned, (judging,), ""),
    ]
    if name == "fashion":
        cases.append(("three bad arms", three_bad_arms, (8, 16), "567"))
    rows = []
    for case, studies, all_seeds, bad in cases:
        for seeds in all_seeds:
            for early in (False, True) if len(looks(seeds)) > 1 else (False,):
                rng = np.random.default_rng(seeds)
                found = verdicts(studies(runs=runs, seeds=seeds, rng=rng), early, bad)
                rows.append({"case": case, "seeds": seeds, "early": early} | found)
                print(rows[-1], flush=True)
    for by in ("validation", "test"):
        found = verdicts(wrongly_tuned_arms(runs, by, np.random.default_rng(4)), False)
        rows.append({"case": f"tuned on judging {by}", "seeds": 4, "early": False} | found)
    return rows


# Power: real pairs of runs with the same seeds.


def power(reference: np.ndarray, arm: np.ndarray) -> dict:
    """Return the power of the paired t test and of Welch's t test, by number of seeds.

    Pairs are drawn with replacement. Two effects are measured: the real difference, and an
    injected difference of one standard deviation (the root of the mean variance of both arms).
    """
    arm, rng = arm[: len(reference)], np.random.default_rng(0)
    reference = reference[: len(arm)]
    gap = float(np.mean(arm - reference))
    variances = float(reference.var(ddof=1) + arm.var(ddof=1))
    found = {
        "runs": len(arm),
        "difference": gap,
        "sd": [float(reference.std(ddof=1)), float(arm.std(ddof=1))],
        "correlation": float(np.corrcoef(reference, arm)[0, 1]),
        "variance ratio": float((arm - reference).var(ddof=1)) / variances,
    }
    for name, moved in (("real", arm), ("injected", arm - gap + math.sqrt(variances / 2))):
        rows = {}
        for n in range(3, 33):
            drawn = rng.integers(0, len(arm), (INTERVALS, n))
            a, b = moved[drawn], reference[drawn]
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # equal draws: a NaN p value, which is no finding
                paired = stats.ttest_rel(a, b, axis=1).pvalue
                welch = stats.ttest_ind(a, b, axis=1, equal_var=False).pvalue
            rows[n] = [float(np.mean(paired <= 0.05)), float(np.mean(welch <= 0.05))]
        needed = [next((n for n, row in rows.items() if row[i] >= 0.8), None) for i in (0, 1)]
        found[name] = {"seeds for 80 %": needed, "power": rows}
    return found


def coverage_of_zero(pools: dict) -> dict:
    found = {}
    for name in POOLS:
        rng, scores = np.random.default_rng(0), pools[name]["test"]
        found[name] = {n: coverage(equal_pairs(scores, n, rng), 0.0) for n in SEEDS}
    return found


def coverage_of_a_difference(pools: dict) -> dict:
    found = {}
    for reference, arm in PAIRS:
        rng, scores = np.random.default_rng(0), pools[arm]["test"]
        gaps = scores - pools[reference]["test"][: len(scores)]
        drawn = {n: gaps[rng.integers(0, len(gaps), (INTERVALS, n))] for n in SEEDS}
        found[arm] = {n: coverage(rows, gaps.mean()) for n, rows in drawn.items()}
    return found


PARTS = {
    "power": lambda pools: {
        f"{arm} against {reference}": power(pools[reference]["test"], pools[arm]["test"])
        for reference, arm in PAIRS
    },
    "coverage of zero": coverage_of_zero,
    "coverage of a difference": coverage_of_a_difference,
    "families": lambda pools: {name: families(name, pools[name]) for name in POOLS},
}


def main(parts: list[str]) -> None:
    pools = {name: pool(name) for name in {*POOLS, *sum(PAIRS, ())}}
    path = HERE / "results.json"
    results = json.loads(path.read_text()) if path.exists() else {}
    for part in parts:
        results[part] = PARTS[part](pools)
        path.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:] or list(PARTS))
