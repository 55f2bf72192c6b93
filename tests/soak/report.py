"""What a soak has found, for people: a page and a picture."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import matplotlib

from tests.bench.speech_machine import load_now, machine
from tests.bench.speech_picture import BARE, SERVED, STYLE
from tests.soak.run import MAX_FACTOR, MAX_GROWTH_MB, Soak

NAME: Final = "soak"
VOICES: Final = {"hibari": "The voice in the package", "fake": "A voice that fails and stalls, and a clock that jumps"}


INTRODUCTION: Final = (
    "Both servers in processes of their own, by `just soak --write`. Well-behaved clients ask in every way there is,",
    "one of each at a time. In the storm unruly ones leave before and after the first sound, read slowly or not at",
    "all, cancel, drop their sockets, send garbage and what is too large, and connect by the dozen. The",
    "well-behaved must get all they ask for, audio bit for bit, and wait for the first of it at most",
    f"{MAX_FACTOR:g} times as long as in the calm, at p95. Afterwards everything is given back, and memory has grown",
    f"by no more than {MAX_GROWTH_MB:g} MB since the second quarter of the storm.",
)


def write(soaks: Sequence[Soak], folder: Path) -> Path:
    """Write `soak.md` and its picture. Returns the page's path."""
    folder.mkdir(parents=True, exist_ok=True)
    draw(soaks, folder / f"{NAME}.svg")
    path = folder / f"{NAME}.md"
    path.write_text(page(soaks), "utf-8")
    return path


def page(soaks: Sequence[Soak]) -> str:
    """The page, as Markdown."""
    here = machine(load_now())
    lines = [
        "# A soak",
        "",
        *INTRODUCTION,
        "",
        f"- Machine: {here.num_cores} cores, {here.processor}, Python {here.python}",
        f"- Date: {here.date}, commit {here.commit}",
        "",
        f"![Memory of both servers during the storms]({NAME}.svg)",
    ]
    for one in soaks:
        lines += ["", *_section(one)]
    return "\n".join(lines) + "\n"


def _section(soak: Soak) -> list[str]:
    verdict = "Nothing was found." if not soak.faults else f"**{len(soak.faults)} faults were found.**"
    lines = [
        f"## {VOICES.get(soak.model, soak.model)}",
        "",
        f"{soak.minutes:g} minutes, {soak.num_unruly} unruly, seed {soak.seed}. {verdict}",
        "",
        *(f"- {fault}" for fault in soak.faults),
        *([""] if soak.faults else []),
        "| asked by | answers | told to come later | calm, p95, ms | storm, p95, ms | factor |",
        "| -- | -: | -: | -: | -: | -: |",
    ]
    lines += [
        f"| {one.way} | {one.num_storm} | {one.num_busy} | {one.calm_ms:.0f} | {one.storm_ms:.0f} | {one.factor:.1f} |"
        for one in soak.waits
    ]
    growth = ", ".join(
        f"{name} {soak.growth(of):+.2f} MB a minute"
        for name, of in (("speech server", "speech_mb"), ("LLM server", "text_mb"))
    )
    lines += ["", f"Memory over the second half of the storm, by least squares: {growth}.", ""]
    lines += ["| held | before | after |", "| -- | -: | -: |"]
    lines += [f"| {name} | {soak.before[name]:g} | {soak.after[name]:g} |" for name in soak.after]
    lines += ["", "| what the unruly did, and what became of it | times |", "| -- | -: |"]
    lines += [f"| {what.replace('_', ' ')} | {count} |" for what, count in sorted(soak.outcomes.items())]
    return lines


def draw(soaks: Sequence[Soak], path: Path) -> None:
    """Memory over time, a panel a soak."""
    matplotlib.use("svg")
    from matplotlib import pyplot

    with matplotlib.rc_context(STYLE | {"svg.hashsalt": NAME}):
        figure, panels = pyplot.subplots(1, len(soaks), figsize=(9, 3), squeeze=False, layout="constrained")
        for axes, one in zip(panels.flat, soaks, strict=True):
            times = [sample.at_s / 60 for sample in one.samples]
            axes.plot(times, [sample.speech_mb for sample in one.samples], color=SERVED, label="speech server")
            axes.plot(times, [sample.text_mb for sample in one.samples], color=BARE, label="LLM server")
            axes.set_ylim(bottom=0)
            axes.set_title(VOICES.get(one.model, one.model), fontsize=9)
            axes.set(xlabel="minutes of the storm", ylabel="resident memory, MB")
            axes.grid(alpha=0.25)
        figure.legend(*panels.flat[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
        figure.savefig(path, metadata={"Date": None})
        pyplot.close(figure)
