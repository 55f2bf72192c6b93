"""The page of the speech server's measurements: Markdown that can be read in a terminal as well."""

from collections.abc import Iterable, Sequence
from typing import Final

from tests.bench.speech_figures import Shares
from tests.bench.speech_modes import TITLES
from tests.bench.speech_results import Crowd, Interrupted, Machine, ModeResult, Profile, Results

NAME: Final = "speech-measurements"

HEAD: Final = """\
# The speech server, measured

With the voice in the package (hibari), by `just bench --write`. Server, clients and the bare model, which is hibari
called directly, are three processes on one machine. Bare model and clients take turns, so that both meet the same
machine. Times are from the sending of the text to the arrival of the first audible sample (-50 dB of full scale). No
text begins like another, and seeds differ."""

ALONE: Final = """\
## One client, beside the bare model

One sentence a request, warm, on an open connection. The bare model is given what the mode has to synthesise before
anything can be heard: the whole text, the sentence, or its first clause; its time is until it returns. Cold is the very
first request of a server that has just become ready."""

CROWDS: Final = """\
## Clients at once

Each client speaks a talk of three sentences, about ten seconds, and all begin at the same instant. Bare: as many
threads of one process call the bare model at once. RTF: seconds until the last sample, for each second of audio.
Sockets are paced at four times real time (with `--quick` at twenty times): their RTF is 0.25 at best, and each gets at
most 4 s of audio in a second. Underrun: silence that a listener meets who plays from the first audio on. Processor time
is that of the server's and the clients' processes, in percent of one core."""

CANCEL: Final = """\
## From cancel to silence

All clients speak at once, and each sends `cancel` after its third message of audio. Last byte: the last audio that came
after that, 0 where none came; answer: `cancelled`."""

MEMORY: Final = """\
## Start and memory

Each mode has a server of its own. Ready: from its start. Memory is resident, over all its processes: at the end of the
measurement, and at its peak."""

STAGES: Final = """\
## Where the time goes

The way of the first audio, one client with one sentence, the server in the process that watches it: medians, since the
text was sent and since the point before. A socket's session is open before its text comes. Where a first chunk holds
more audio than a step makes, further steps lie between the first encoding and the first byte."""


def page(results: Results) -> str:
    """Markdown. What was not measured is left out."""
    parts = [HEAD, _machine(results.machine)]
    if any(mode.alone for mode in results.modes):
        parts += [ALONE, _alone(results.modes)]
    if results.modes:
        parts += [f"![First audio by the number of clients]({NAME}.svg)", CROWDS, _crowds(results.modes)]
    if interrupted := list(_interruptions(results.modes)):
        head = ("mode", "clients", "last byte p50", "p95", "max, ms", "answer p50", "p95", "max, ms", "late bytes, max")
        parts += [CANCEL, table(head, interrupted)]
    if results.modes:
        parts += [MEMORY, _memory(results.modes)]
    if results.profiles:
        parts += [STAGES, *(_stages(profile) for profile in results.profiles)]
    return "\n\n".join(parts) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Cells are padded: the first column to its left, numbers to their right."""
    lines = [head, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join(_row(line, widths) for line in (lines[0], rule, *lines[1:]))


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [
        cells[0].ljust(widths[0]),
        *(cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)),
    ]
    return "| " + " | ".join(padded) + " |"


def _machine(machine: Machine) -> str:
    return (
        f"- Machine: {machine.num_cores} cores, {machine.processor}, Python {machine.python}\n"
        f"- Date: {machine.date}, commit {machine.commit}\n"
        f"- Load average of the last minute: {machine.load[0]} before, {machine.load[1]} after"
    )


def _times(shares: Shares) -> list[str]:
    return [f"{value:.1f}" for value in (shares.p50, shares.p95, shares.p99)]


def _alone(modes: Iterable[ModeResult]) -> str:
    head = ("mode", "served to bare, p50", "p50", "p95", "p99, ms", "bare p50", "p95", "p99, ms", "cold, ms", "of")
    rows = [
        (TITLES[mode.mode], f"{mode.alone.ratio:.2f}", *_times(mode.alone.served_ms), *_times(mode.alone.bare_ms),
         f"{mode.cold_ms:.1f}", str(mode.alone.num_streams))
        for mode in modes if mode.alone is not None
    ]  # fmt: skip
    return table(head, rows)


def _crowds(modes: Iterable[ModeResult]) -> str:
    head = ("mode", "clients", "p50", "p95", "p99, ms", "bare p50", "p95, ms", "RTF p50", "max", "underrun p95",
            "max, s", "audio s per s", "server %", "clients %", "of")  # fmt: skip
    return table(head, [_crowd(TITLES[mode.mode], crowd) for mode in modes for crowd in mode.crowds])


def _crowd(title: str, crowd: Crowd) -> Sequence[str]:
    return (
        title, str(crowd.num_clients), *_times(crowd.first_ms), *_times(crowd.bare_ms)[:2], f"{crowd.rtf.p50:.3f}",
        f"{crowd.rtf.max:.3f}", f"{crowd.underrun_s.p95:.2f}", f"{crowd.underrun_s.max:.2f}",
        f"{crowd.audio_s_per_s:.1f}", f"{crowd.server_percent:.0f}", f"{crowd.clients_percent:.0f}",
        str(crowd.num_streams),
    )  # fmt: skip


def _interruptions(modes: Iterable[ModeResult]) -> Iterable[Sequence[str]]:
    for mode in modes:
        for crowd in mode.crowds:
            if crowd.interrupted is not None:
                yield TITLES[mode.mode], str(crowd.num_clients), *_interrupted(crowd.interrupted)


def _interrupted(found: Interrupted) -> Sequence[str]:
    times = [f"{value:.1f}" for one in (found.last_byte_ms, found.answer_ms) for value in (one.p50, one.p95, one.max)]
    return *times, f"{found.num_late_bytes.max:.0f}"


def _memory(modes: Iterable[ModeResult]) -> str:
    head = ("mode", "ready, s", "memory, MB", "peak, MB")
    return table(
        head,
        [(TITLES[mode.mode], f"{mode.ready_s:.1f}", f"{mode.memory_mb:.0f}", f"{mode.peak_mb:.0f}") for mode in modes],
    )


def _stages(profile: Profile) -> str:
    head = (f"{TITLES[profile.mode]}, {profile.num_streams} times", "since sent, ms", "since before, ms")
    rows = [(stage.name, f"{stage.at_ms:.2f}", f"{stage.took_ms:.2f}") for stage in profile.stages]
    return table(head, [*rows, ("the bare model, for the same text, until it returns", f"{profile.bare_ms:.2f}", "")])
