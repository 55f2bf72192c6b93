"""One soak: calm, then a storm, and what is left afterwards."""

import asyncio
import math
import random
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from statistics import quantiles
from typing import Final

import msgspec
import psutil

from tests.launching import Launched, launching, processes_of
from tests.soak.unruly import SEND_TIMEOUT_S, misbehave
from tests.soak.watching import ALWAYS, Sample, Servers, Watch, growth_mb_per_min, not_given_back, until_ready
from tests.soak.well_behaved import WAYS, Client, ask

INSIDE: Final = Path(__file__).parent / "inside"
CALM_SHARE: Final = 0.25
NUM_UNRULY: Final = 4

MIN_ANSWERS: Final = 3
"""Of each way of asking, calm and in the storm: of fewer nothing can be said."""

MAX_FACTOR: Final = 5.0
"""Times as long as in the calm the well-behaved may wait for the first of what they get, at p95, in the storm: the
unruly take part of the same two cores, and places that are as much theirs.
"""

MAX_GROWTH_MB: Final = 25.0
"""Of memory from the second quarter of the storm to the last: what is kept for good is there by then."""

LONGEST_ANSWER_S: Final = 90.0


class Waits(msgspec.Struct, frozen=True):
    """Of one way of asking: p95 of the time to the first of the answer in milliseconds, calm and in the storm."""

    way: str
    num_calm: int
    num_storm: int
    num_busy: int
    calm_ms: float
    storm_ms: float

    @property
    def factor(self) -> float:
        return self.storm_ms / self.calm_ms


class Soak(msgspec.Struct, frozen=True):
    """What a soak has found."""

    model: str
    seed: int
    minutes: float
    num_unruly: int
    waits: list[Waits]
    outcomes: dict[str, int]
    before: dict[str, float]
    after: dict[str, float]
    samples: list[Sample]
    faults: list[str]

    def growth(self, of: str) -> float:
        """MB a minute."""
        return growth_mb_per_min(self.samples, of)


def soak(folder: Path, *, model: str, minutes: float, seed: int, num_unruly: int) -> Soak:
    """Both servers in processes of their own, on `model` and the LLM in the package."""
    with launching(folder) as launch:
        launched = launch(
            ("all",),
            PYTHONPATH=str(INSIDE),
            TIDING_MODEL=model,
            TIDING_MAX_LINE="64",
            TIDING_LLM_MAX_LINE="64",
            TIDING_LLM_MAX_WAIT_S="60",
            TIDING_LLM_REMEMBERED="0",
            TIDING_SEND_TIMEOUT_S=f"{SEND_TIMEOUT_S:g}",
            **({"SOAK_UNSTEADY": str(seed)} if model == "fake" else {}),
        )
        return asyncio.run(_soak(launched, model, minutes, seed, num_unruly))


async def _soak(launched: Launched, model: str, minutes: float, seed: int, num_unruly: int) -> Soak:
    chance = random.Random(seed)
    for url in (launched.url, launched.llm_url):
        await until_ready(url)
    servers = Servers(launched.url, launched.llm_url, *_workers(launched))
    wanted = {way: (await ask(way, servers)).digest for way in WAYS}
    watch = Watch(servers)
    before, files = await watch.until_given_back(dict.fromkeys(ALWAYS, math.inf)), watch.files()
    calm = await _phase(servers, wanted, minutes * 60 * CALM_SHARE, chance, 0, Counter())
    outcomes: Counter[str] = Counter()
    watching = asyncio.create_task(watch.run())
    storm = await _phase(servers, wanted, minutes * 60 * (1 - CALM_SHARE), chance, num_unruly, outcomes)
    watching.cancel()
    with suppress(asyncio.CancelledError):
        await watching
    after = await watch.until_given_back(before)
    waits = [_waits(quiet, loud) for quiet, loud in zip(calm, storm, strict=True)]
    faults = [f"{client.way}: {fault}" for client in (*calm, *storm) for fault in client.faults]
    if missing := not_given_back(before, after):
        faults += [f"not given back: {what}" for what in missing]
        faults += [f"open: {what}" for what in sorted(watch.files() - files)]
    faults += [
        f"{one.way}: {one.num_calm} answers in the calm, {one.num_storm} in the storm"
        for one in waits
        if min(one.num_calm, one.num_storm) < MIN_ANSWERS
    ]
    faults += [f"{one.way}: {one.factor:.1f} times as long as in the calm" for one in waits if one.factor > MAX_FACTOR]
    faults += _growing(watch.samples)
    if _workers(launched) != (servers.speech_worker, servers.text_worker):
        faults.append("a worker was replaced")
    if "Traceback" in launched.text:
        faults.append(f"a traceback in the log: {launched.text.partition('Traceback')[2][:2000]}")
    return Soak(model, seed, minutes, num_unruly, waits, dict(outcomes), before, after, watch.samples, faults)


async def _phase(
    servers: Servers, wanted: dict[str, str], seconds: float, chance: random.Random, num_unruly: int,
    outcomes: Counter[str],
) -> list[Client]:  # fmt: skip
    until_s = time.monotonic() + seconds
    clients = [Client(way, wanted[way]) for way in WAYS]
    seeds = iter(lambda: random.Random(chance.random()), None)
    async with asyncio.timeout(seconds + LONGEST_ANSWER_S):
        await asyncio.gather(
            *(client.run(servers, until_s, next(seeds)) for client in clients),
            *(misbehave(servers, until_s, next(seeds), outcomes) for _ in range(num_unruly)),
        )
    return clients


def _waits(calm: Client, storm: Client) -> Waits:
    return Waits(
        calm.way, len(calm.first_s), len(storm.first_s), storm.num_busy, _p95_ms(calm.first_s), _p95_ms(storm.first_s)
    )


def _p95_ms(times_s: list[float]) -> float:
    return 1000 * quantiles(times_s, n=20)[-1] if len(times_s) > 1 else float("nan")


def _growing(samples: list[Sample]) -> list[str]:
    quarter = len(samples) // 4
    found = []
    for of in ("speech_mb", "text_mb"):
        second, last = (
            max(getattr(one, of) for one in part) for part in (samples[quarter : 2 * quarter], samples[-quarter:])
        )
        if last - second > MAX_GROWTH_MB:
            found.append(f"{of} grows: {second:.0f} in the second quarter, {last:.0f} in the last")
    return found


def _workers(launched: Launched) -> tuple[int, int]:
    """Of the speech server and of the LLM server: what a process of the same command line has started. 0: none."""
    parents: dict[str, dict[int, int]] = {"tts": {}, "llm": {}}
    for pid in processes_of(launched):
        process = psutil.Process(pid)
        if (server := process.cmdline()[-1]) in parents:
            parents[server][pid] = process.ppid()
    speech, text = (next((pid for pid in found if found[pid] in found), 0) for found in parents.values())
    return speech, text
