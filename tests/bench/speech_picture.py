"""The picture of the speech server's measurements: first audio by the number of clients, the bare model beside it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib
from matplotlib.ticker import LogLocator, NullLocator

from tests.bench.speech_modes import TITLES
from tests.bench.speech_page import NAME
from tests.bench.speech_results import ModeResult

PAPER: Final = "#fcfbf7"
INK: Final = "#2b2b2b"
SERVED: Final = "#1f6f8b"
BARE: Final = "#c2571a"
STYLE: Final = {
    "svg.hashsalt": NAME,
    "font.size": 9,
    "figure.facecolor": PAPER,
    "axes.facecolor": PAPER,
    "savefig.facecolor": PAPER,
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK),
}
"""With a background of its own, the picture can be read on a light page and on a dark one."""

NUM_COLUMNS: Final = 3


def draw(modes: Sequence[ModeResult], path: Path) -> None:
    """Write an SVG, one panel a mode: p50 as a line, up to p95 as a band."""
    matplotlib.use("svg")
    from matplotlib import pyplot

    num_rows = -(-len(modes) // NUM_COLUMNS)
    with matplotlib.rc_context(STYLE):
        figure, grid = pyplot.subplots(
            num_rows, NUM_COLUMNS, figsize=(9, 2.9 * num_rows), sharey=True, squeeze=False, layout="constrained"
        )
        panels = list(grid.flat)
        for axes, mode in zip(panels, modes, strict=False):
            _panel(axes, mode)
        for axes in panels[len(modes) :]:
            axes.set_axis_off()
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
        figure.savefig(path, metadata={"Date": None})
        pyplot.close(figure)


def _panel(axes: Any, mode: ModeResult) -> None:
    clients = [crowd.num_clients for crowd in mode.crowds]
    for name, colour, line, found in (
        ("served", SERVED, "-", [crowd.first_ms for crowd in mode.crowds]),
        ("bare model", BARE, "--", [crowd.bare_ms for crowd in mode.crowds]),
    ):
        p50 = [shares.p50 for shares in found]
        axes.plot(clients, p50, line, color=colour, marker="o", markersize=3, label=f"{name}, p50")
        axes.fill_between(clients, p50, [shares.p95 for shares in found], color=colour, alpha=0.18, lw=0,
                          label=f"{name}, to p95")  # fmt: skip
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(clients, [str(num) for num in clients])
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:.0f}")
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_title(TITLES[mode.mode], fontsize=9)
    axes.set(xlabel="clients at once", ylabel="first audio, ms")
    axes.grid(alpha=0.25)
