"""The page of what was measured: `python -m tests.bench.magpie_report RUN.json [MORE.json ...]`.

Writes `docs/reference/magpie-measurements.md`, `.json` and `.svg`. Of several runs each gives the parts that it
measured without an error; the last one wins. The picture needs matplotlib, which is in none of our locks: without it
there is none, and this says so.
"""

import json
import sys
from pathlib import Path
from typing import Any, Final

from tests.bench.magpie_tables import sections

DOCS: Final = Path(__file__).parent.parent.parent / "docs" / "reference"
NAME: Final = "magpie-measurements"

_HEAD: Final = """# Magpie, measured

What one GPU does with Magpie, made by `python -m tests.bench.magpie` and written by `python -m
tests.bench.magpie_report` from [the numbers]({name}.json). What bounds each figure is said in
[Magpie, many voices at once](../explanation/magpie.md).

- Card: {card}{driver}, {cores} processor cores
- torch {torch}, CUDA {cuda}, Triton {triton}, Python {python}
- Precision: {precision}, unless a row says otherwise
- Measured: {measured}

Weights are random, in the shapes of the released checkpoints; a segment ends by its length alone, and the guards that
end babble are off, because random weights attend at random. Nothing here says how it sounds.
"""


def merged(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """One report of several."""
    report: dict[str, Any] = {"about": runs[-1]["about"], "parts": {}}
    for run in runs:
        for name, part in run["parts"].items():
            if "error" not in part or name not in report["parts"]:
                when = {key: run["about"].get(key, "") for key in ("date", "commit")}
                report["parts"][name] = when | part
    return report


def page(report: dict[str, Any], *, has_picture: bool) -> str:
    """Markdown."""
    about = report["about"]
    driver = f", driver {about['driver']}" if about.get("driver") else ""
    text = [_HEAD.format(**{**about, "name": NAME, "driver": driver, "measured": _measured(report["parts"])})]
    if has_picture:
        text.append(f"![Time of a step by slots, and first audio by streams]({NAME}.svg)\n")
    text += sections(report["parts"])
    return "\n".join(text)


def _measured(parts: dict[str, Any]) -> str:
    """When, at which commit, which parts."""
    runs: dict[str, list[str]] = {}
    for name, part in parts.items():
        runs.setdefault(f"{part['date']} at {part['commit'] or 'a commit not noted'}", []).append(name)
    return "; ".join(f"{run}: {', '.join(names)}" for run, names in runs.items())


def draw(report: dict[str, Any], path: Path) -> bool:
    """A picture of steps and of first audio. False: there is no matplotlib."""
    try:
        import matplotlib
    except ImportError:
        print("no picture: matplotlib is not installed (it is in none of our locks)")
        return False
    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = NAME
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    _draw_steps(left, report["parts"])
    _draw_first(right, report["parts"])
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
    return True


def _draw_steps(axes: Any, parts: dict[str, Any]) -> None:
    rows = parts.get("step", {}).get("rows", [])
    for size, color in zip(dict.fromkeys(row["size"] for row in rows), ("C0", "C1"), strict=False):
        some = [row for row in rows if row["size"] == size]
        slots = [row["slots"] for row in some]
        axes.plot(slots, [row["step_ms"] for row in some], "o-", color=color, label=size)
        axes.plot(slots, [row["floor_ms"] for row in some], ":", color=color, label=f"{size}, the card's limit")
    axes.set(xscale="log", yscale="log", xlabel="slots", ylabel="decoder step, ms")
    axes.grid(alpha=0.3)
    axes.legend()


def _draw_first(axes: Any, parts: dict[str, Any]) -> None:
    rows = [row for row in parts.get("streams", {}).get("rows", []) if row["first_ms"]]
    for size, color in zip(dict.fromkeys(row["size"] for row in rows), ("C0", "C1"), strict=False):
        some = sorted((row for row in rows if row["size"] == size), key=lambda row: row["streams"])
        for share, style in (("p50", "o-"), ("p99", "s--")):
            values = [row["first_ms"][share] for row in some]
            axes.plot([row["streams"] for row in some], values, style, color=color, label=f"{size}, {share}")
    axes.axhline(150, color="grey", linewidth=0.8)
    axes.set(xlabel="streams in real time", ylabel="first audio, ms", ylim=(0, None))
    axes.grid(alpha=0.3)
    axes.legend()


def main(arguments: list[str]) -> int:
    if not arguments or arguments[0].startswith("-"):
        print(__doc__)
        return 2
    report = merged([json.loads(Path(name).read_text()) for name in arguments])
    has_picture = draw(report, DOCS / f"{NAME}.svg")
    (DOCS / f"{NAME}.json").write_text(json.dumps(report, indent=1) + "\n")
    (DOCS / f"{NAME}.md").write_text(page(report, has_picture=has_picture))
    print(f"written: {DOCS / NAME}.md")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
