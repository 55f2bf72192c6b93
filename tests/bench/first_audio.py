"""How soon speech is heard: `python -m tests.bench.first_audio [--clients 1 2 4 8 16] [--rounds N] [--json FILE]`.

A real server runs in a process of its own; the clients and a bare model live in this one. Bare calls and served
requests take turns, so that both meet the same machine. Times are in ms from the sending of the text to the arrival of
the first audible sample.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from statistics import median
from typing import TypeAlias

import msgspec
import numpy as np
from hibari import Hibari

from engines.segmenter import Segmenter
from tests.listening import (
    Heard,
    browsing,
    calling,
    first_audible_s,
    speak_stream,
    tokens_of,
    underrun_s,
)
from tests.serving import Served, serve_process

SENTENCES = (
    "Good morning, this is the reading room of the city library.",
    "The next train to the coast leaves in twenty minutes from platform four.",
    "Your table for two is ready, please follow me to the window.",
)
TALK = (
    "Thank you for waiting, I have found your order. It left our warehouse yesterday, and it should arrive on Friday "
    "before noon. If nobody is at home, the driver will leave it with a neighbour."
)

MAX_RATIO, MAX_MORE_MS, MAX_ALONE_MS = 1.3, 15.0, 80.0
MAX_CROWD_MS, MAX_READY_S, MAX_MEMORY_MB = 250.0, 5.0, 500.0
CROWD = 8


class Alone(msgspec.Struct, frozen=True):
    """One client, warm. `bare_ms` are calls of the bare model for the same first segment, taken in turn."""

    way: str
    served_ms: list[float]
    bare_ms: list[float]

    @property
    def allowed_ms(self) -> float:
        bare_ms = median(self.bare_ms)
        return min(MAX_ALONE_MS, max(MAX_RATIO * bare_ms, bare_ms + MAX_MORE_MS))


class Crowd(msgspec.Struct, frozen=True):
    """Clients that start at once, each with a talk of several sentences: the worst of each."""

    num_clients: int
    way: str
    first_ms: list[float]
    underruns_s: list[float]


class Report(msgspec.Struct, frozen=True):
    """All of one run."""

    ready_s: float
    memory_mb: float
    alone: list[Alone]
    crowds: list[Crowd]

    def failures(self) -> list[str]:
        """The bars that were missed. A way that is not a WebSocket with mode "stream" has no bar of its own."""
        bars = [
            ("ready", self.ready_s, MAX_READY_S, "s"),
            ("memory", self.memory_mb, MAX_MEMORY_MB, "MB"),
            *(("one client, p50", median(a.served_ms), a.allowed_ms, "ms") for a in self.alone if a.way == "socket"),
            *(
                (f"8 clients, {c.way}, worst", max(c.first_ms), MAX_CROWD_MS, "ms")
                for c in self.crowds
                if c.num_clients == CROWD
            ),
            *(
                (f"8 clients, {c.way}, underrun", max(c.underruns_s), 0, "s")
                for c in self.crowds
                if c.num_clients == CROWD
            ),
        ]
        return [f"{name}: {value:.1f} {unit}, at most {most:.1f}" for name, value, most, unit in bars if value > most]


def measure(*, rounds: int, clients: Sequence[int]) -> Report:
    """A fresh server, measured alone and with crowds."""
    with tempfile.TemporaryDirectory() as folder:
        started_s = time.perf_counter()
        with serve_process(log=Path(folder) / "server.log", log_level="warning") as served:
            ready_s = time.perf_counter() - started_s
            alone = asyncio.run(_alone(served, rounds)) if 1 in clients else []
            crowds = [
                asyncio.run(_crowd(served, n, talk, way, max(2, rounds // 5)))
                for n in clients
                if n > 1
                for way, talk in TALKS.items()
            ]
            return Report(ready_s, memory_mb(served.pid), alone, crowds)


async def _alone(served: Served, rounds: int) -> list[Alone]:
    bare = Hibari()
    async with calling(served) as caller, browsing(served) as client:
        ways: dict[str, tuple[Callable[[str], Awaitable[Heard]], bool]] = {
            "socket": (lambda text: caller.say_sentences([text], "stream", send_rate=0), True),
            "socket, tokens": (lambda text: caller.say_tokens(tokens_of(text), send_rate=0), False),
            "HTTP stream": (lambda text: speak_stream(client, text), False),
        }
        taken = {way: Alone(way, [], []) for way in ways}
        for round_ in range(-2, rounds):  # the first two warm up
            text = SENTENCES[round_ % len(SENTENCES)]
            for way, (speak, is_whole) in ways.items():
                bare_ms = _bare_ms(bare, text if is_whole else first_segment(text))
                await asyncio.sleep(0.02)
                served_ms = first_audible_s(await speak(text)) * 1000
                if round_ >= 0:
                    taken[way].bare_ms.append(bare_ms)
                    taken[way].served_ms.append(served_ms)
    return list(taken.values())


def _bare_ms(bare: Hibari, text: str) -> float:
    started_s = time.perf_counter()
    bare(text, seed=0)
    return (time.perf_counter() - started_s) * 1000


def first_segment(text: str) -> str:
    """What an aggregated stream speaks first."""
    segmenter = Segmenter()
    segmenter.push(text)
    segment = segmenter.next("clause", is_final=True)
    assert segment is not None, "the text can be spoken"
    return segment.text


async def _talk_on_socket(served: Served, start: asyncio.Event) -> Heard:
    async with calling(served) as caller:
        await start.wait()
        return await caller.say_sentences([f"{sentence}." for sentence in TALK.removesuffix(".").split(". ")], "stream")


async def _talk_over_http(served: Served, start: asyncio.Event) -> Heard:
    """A reader that takes all there is, as fast as it is made: nothing but the scheduler holds it back."""
    async with browsing(served) as client:
        await start.wait()
        return await speak_stream(client, TALK)


Talk: TypeAlias = Callable[[Served, asyncio.Event], Awaitable[Heard]]
TALKS: dict[str, Talk] = {"socket": _talk_on_socket, "HTTP stream": _talk_over_http}


async def _crowd(served: Served, num_clients: int, talk: Talk, way: str, rounds: int) -> Crowd:
    crowd = Crowd(num_clients, way, [], [])
    for _ in range(rounds):
        start = asyncio.Event()
        talks = [asyncio.ensure_future(talk(served, start)) for _ in range(num_clients)]
        await asyncio.sleep(0.3)
        start.set()
        heard = await asyncio.gather(*talks)
        crowd.first_ms.extend(first_audible_s(one) * 1000 for one in heard)
        crowd.underruns_s.extend(underrun_s(one) for one in heard)
    return crowd


def memory_mb(pid: int) -> float:
    """Resident memory of a process and all below it. Source: proc(5), VmRSS."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (status := _status(int(entry.name))):
            parents.setdefault(int(status["PPid"]), []).append(int(entry.name))
    family, waiting = [], [pid]
    while waiting:
        family.append(waiting.pop())
        waiting += parents.get(family[-1], [])
    return sum(int(_status(one).get("VmRSS", "0 kB").split()[0]) for one in family) / 1024


def _status(pid: int) -> dict[str, str]:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:  # it has ended
        return {}
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def print_report(report: Report) -> None:
    """A table for people, with what was missed at its end."""
    print(f"ready after {report.ready_s:.1f} s, {report.memory_mb:.0f} MB, {os.cpu_count()} cores\n")
    print(f"{'first audible sample, ms':26} {'p50':>6} {'p95':>6} {'max':>6} {'bare':>6} {'ratio':>6} {'more':>6}")
    for way in report.alone:
        p50, p95, worst = np.percentile(way.served_ms, (50, 95, 100))
        bare_ms = median(way.bare_ms)
        row = f"{p50:6.1f} {p95:6.1f} {worst:6.1f} {bare_ms:6.1f} {p50 / bare_ms:6.2f} {p50 - bare_ms:+6.1f}"
        print(f"{'1 client, ' + way.way:26} {row}")
    for crowd in report.crowds:
        p50, p95, worst = np.percentile(crowd.first_ms, (50, 95, 100))
        late = max(crowd.underruns_s)
        said = "in real time" if late == 0 else f"underrun {late:.2f} s"
        print(f"{f'{crowd.num_clients} clients, {crowd.way}':26} {p50:6.1f} {p95:6.1f} {worst:6.1f}   {said}")
    failures = report.failures()
    print("\npass: all bars" if not failures else "\n" + "\n".join(f"FAIL: {failure}" for failure in failures))


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.first_audio", description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    parser.add_argument("--rounds", type=int, default=30, help="of one client; crowds take a fifth")
    parser.add_argument("--json", type=Path, help="write what was measured to this file")
    chosen = parser.parse_args(arguments)
    report = measure(rounds=chosen.rounds, clients=chosen.clients)
    print_report(report)
    if chosen.json:
        chosen.json.write_bytes(msgspec.json.encode(report))
    return 1 if report.failures() else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
