"""Write docs/calibration.md from page.md and results.json.

python benchmarks/calibration/report.py
"""

import json
from pathlib import Path

HERE = Path(__file__).parent
DOCS = HERE.parents[1] / "docs"
NAMES = {
    "fashion-x1.5": "fashion, rate x 1.5",
    "fashion-x3": "fashion, rate x 3",
    "digits-half": "digits, rate / 2",
    "digits-short": "digits, 1 epoch for 5",
}


def percent(found: dict | None, digits: int = 1) -> str:
    if found is None:
        return ""
    return f"{100 * found['share']:.{digits}f}"


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def coverage(results: dict, part: str) -> str:
    methods = ("paired t", "BCa", "sign flip", "shipped")
    rows = [
        [NAMES.get(pool, pool), n, *(percent(found[m]) for m in methods)]
        for pool, by_n in results[part].items()
        for n, found in by_n.items()
    ]
    return table(["runs", "seeds", *methods], rows)


def families(results: dict) -> str:
    rows = [
        [
            f"{pool}: {row['case']}",
            str(row["seeds"]),
            "yes" if row["early"] else "no",
            percent(row["verdict"]),
            percent(row["winner"]),
            percent(row.get("stopped")),
            percent(row.get("bad found worse")),
            percent(row.get("bad stopped")),
            f"{100 * row['trials saved']:.0f}" if row.get("trials saved") else "",
        ]
        for pool, found in results["families"].items()
        for row in found
    ]
    head = ["study", "seeds", "looks", "false verdict", "false winner", "good arm stopped"]
    return table([*head, "bad arm found worse", "bad arm stopped", "trials saved"], rows)


def power(results: dict) -> str:
    def seeds(found: dict) -> list[str]:
        return [str(n) if n else "over 32" for n in found["seeds for 80 %"]]

    rows = [
        [
            " against ".join(NAMES.get(word, word) for word in pair.split(" against ")),
            f"{100 * found['difference']:+.2f}",
            f"{100 * found['sd'][1]:.2f} and {100 * found['sd'][0]:.2f}",
            f"{found['correlation']:+.2f}",
            f"{found['variance ratio']:.2f}",
            *seeds(found["real"]),
            *seeds(found["injected"]),
        ]
        for pair, found in results["power"].items()
    ]
    head = ["pair", "difference", "sd", "correlation", "variance ratio", "real: paired"]
    return table([*head, "unpaired", "injected: paired", "unpaired"], rows)


def sentences(results: dict) -> dict[str, str]:
    """Return the numbers in the sentences of the page, by placeholder."""

    def shipped(part: str) -> list[float]:
        return [
            100 * f["shipped"]["share"] for by_n in results[part].values() for f in by_n.values()
        ]

    zero, difference = shipped("coverage of zero"), shipped("coverage of a difference")
    honest = [
        row["verdict"]
        for rows in results["families"].values()
        for row in rows
        if "judging" not in row["case"]
    ]
    return {
        "{zero-range}": f"{min(zero):.1f} to {max(zero):.1f}",
        "{difference-miss}": f"{95 - min(difference):.1f}",
        "{worst-verdict}": percent(max(honest, key=lambda found: found["share"])),
        "{studies}": f"{honest[0]['of']:,}",
    }


def main() -> None:
    results = json.loads((HERE / "results.json").read_text())
    page = (HERE / "page.md").read_text()
    parts = {
        "{zero}": coverage(results, "coverage of zero"),
        "{difference}": coverage(results, "coverage of a difference"),
        "{families}": families(results),
        "{power}": power(results),
    }
    for placeholder, text in (parts | sentences(results)).items():
        assert placeholder in page, placeholder
        page = page.replace(placeholder, text)
    (DOCS / "calibration.md").write_text(page)


if __name__ == "__main__":
    main()
