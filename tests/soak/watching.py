"""What two servers hold on to: as they say of themselves, and as the system sees their processes."""

import asyncio
import re
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec
import psutil

from tests.scraping import scrape

EVERY_S: Final = 1.0
SETTLE_S: Final = 75.0
"""An adaptive stream that nobody uses is closed after 30 s, and given up after 30 more. Source: `modes.adaptive`."""

OF_SPEECH: Final = ("tiding_sessions_open", "tiding_slots_in_use", "tiding_queue_length", "soak_tasks")
OF_TEXT: Final = ("tiding_llm_sessions", "tiding_llm_slots_in_use", "tiding_llm_kv_cells_in_use", "soak_tasks")

ALWAYS: Final = ("speech files", "LLM files", "speech tasks", "LLM tasks")
"""What there is of when nobody asks for anything as well: no more than before, and all else nothing."""

MB: Final = 1e6


class Servers(msgspec.Struct, frozen=True):
    """Both, and their worker processes."""

    speech: str
    text: str
    speech_worker: int
    text_worker: int


class Sample(msgspec.Struct, frozen=True):
    """Memory, resident, at one moment, seconds from the start."""

    at_s: float
    speech_mb: float
    text_mb: float


class Watch:
    """Looks every second. Event loop only."""

    def __init__(self, servers: Servers) -> None:
        self.samples: list[Sample] = []
        self._servers = servers
        self._speech = psutil.Process(servers.speech_worker)
        self._text = psutil.Process(servers.text_worker)

    async def run(self) -> None:
        began_s = time.monotonic()
        while True:
            speech, text = (process.memory_info().rss / MB for process in (self._speech, self._text))
            self.samples.append(Sample(time.monotonic() - began_s, speech, text))
            await asyncio.sleep(EVERY_S)

    async def held(self) -> dict[str, float]:
        """What there is of everything that has to be given back."""
        found = {"speech files": float(self._speech.num_fds()), "LLM files": float(self._text.num_fds())}
        for name, url, gauges in (("speech", self._servers.speech, OF_SPEECH), ("LLM", self._servers.text, OF_TEXT)):
            scraped = await scrape(url)
            found |= {f"{name} {_plain(gauge)}": scraped.total(gauge) for gauge in gauges}
        return found

    def files(self) -> set[str]:
        """What the servers have open: connections by both ends, all else as Linux calls it."""
        found: set[str] = set()
        for name, process in (("speech", self._speech), ("LLM", self._text)):
            connections = {one.fd: _ends(one) for one in process.net_connections("inet")}
            for file in Path(f"/proc/{process.pid}/fd").iterdir():
                with suppress(FileNotFoundError):  # closed since
                    found.add(f"{name} {connections.get(int(file.name)) or file.readlink()}")
        return found

    async def until_given_back(self, before: Mapping[str, float]) -> dict[str, float]:
        """What there is when all is as `before`, or when that does not come about."""
        deadline_s = time.monotonic() + SETTLE_S
        while True:
            after = await self.held()
            if not not_given_back(before, after) or time.monotonic() > deadline_s:
                return after
            await asyncio.sleep(EVERY_S)


def _ends(connection: Any) -> str:
    """A connection's, and its state."""
    local, remote = (f"{end.ip}:{end.port}" if end else "-" for end in (connection.laddr, connection.raddr))
    return f"{local} to {remote}, {connection.status}"


def _plain(gauge: str) -> str:
    return re.sub("^(tiding_llm|tiding|soak)_", "", gauge).replace("_", " ")


def not_given_back(before: Mapping[str, float], after: Mapping[str, float]) -> list[str]:
    """What there is more of than there should be."""
    most = {name: before[name] if name in ALWAYS else 0.0 for name in after}
    return [f"{name}: {after[name]:g}, {most[name]:g} before" for name in after if after[name] > most[name]]


def growth_mb_per_min(samples: Sequence[Sample], of: str) -> float:
    """The slope of memory over the second half, by least squares: the first half fills what is kept for good."""
    half = samples[len(samples) // 2 :]
    times, sizes = [one.at_s / 60 for one in half], [getattr(one, of) for one in half]
    middle, mean = sum(times) / len(times), sum(sizes) / len(sizes)
    spread = sum((at - middle) ** 2 for at in times)
    return sum((at - middle) * (size - mean) for at, size in zip(times, sizes, strict=True)) / spread if spread else 0.0


async def until_ready(url: str) -> None:
    """Return when a server takes new streams."""
    async with httpx.AsyncClient() as client, asyncio.timeout(60):
        while True:
            try:
                if (await client.get(f"{url}/ready")).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.1)
