"""Where the time between the bare model and the socket goes, for one client.

The server runs in this process, so that its calls can be watched; the client and the bare model have processes of their
own, and take turns.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from statistics import median
from typing import Final

import numpy as np

from engines.hibari import load
from tests.bench.speech_bare import times_ms
from tests.bench.speech_modes import Mode, first_text
from tests.bench.speech_process import own_process
from tests.bench.speech_results import Profile, Stage
from tests.bench.speech_stages import ARRIVED, AUDIBLE, SENT, STAGES, Interval, Marks, intervals, watching
from tests.bench.speech_texts import Talk, Texts
from tests.hearing import listen
from tests.listening import AUDIBLE_DB, browsing, first_audible_s, speak_stream
from tests.serving import Served, serve_here

PROFILED: Final[tuple[Mode, ...]] = ("websocket", "stream")
NUM_WARM: Final = 3
REST_S: Final = 0.05


def profile(rounds: int) -> list[Profile]:
    """The stages of the first audio, one client at a time with one sentence."""
    with own_process() as clients, own_process() as bare:
        return asyncio.run(_profile(rounds, clients, bare))


async def _profile(rounds: int, clients: ProcessPoolExecutor, bare: ProcessPoolExecutor) -> list[Profile]:
    marks = Marks()
    with watching(marks):
        async with serve_here(load) as here:  # type: ignore[arg-type]
            profiler = Profiler(here.served, marks, clients, bare)
            return [await profiler.profile(mode, rounds) for mode in PROFILED]


class Profiler:
    """One server that is watched, and the processes that take turns with it. Event loop only."""

    def __init__(self, served: Served, marks: Marks, clients: ProcessPoolExecutor, bare: ProcessPoolExecutor) -> None:
        self._served = served
        self._marks = marks
        self._clients = clients
        self._bare = bare
        self._texts = Texts(seed=2)

    async def profile(self, mode: Mode, rounds: int) -> Profile:
        """The medians of so many streams, after some that warm up."""
        taken = [await self._take(mode) for _ in range(NUM_WARM + rounds)][NUM_WARM:]
        stages = stages_of([way for way, _ in taken])
        return Profile(mode, rounds, stages, round(median(bare_ms for _, bare_ms in taken), 2))

    async def _take(self, mode: Mode) -> tuple[list[Interval], float]:
        """The way of one first audio, and the ms of the bare model for the same text."""
        talk, seed = self._texts.sentence(), self._texts.seed()
        (bare_ms,) = await asyncio.wrap_future(self._bare.submit(times_ms, [first_text(mode, talk)], [seed]))
        await asyncio.sleep(REST_S)
        heard_s = await asyncio.wrap_future(self._clients.submit(hear_first, self._served, mode, talk, seed))
        return intervals({**self._marks.times_s, **heard_s}), bare_ms


def stages_of(ways: Sequence[Sequence[Interval]]) -> list[Stage]:
    """The medians of each point, in the order of the way; a point that not every way has passed is left out."""
    stages: list[Stage] = []
    for name in STAGES:
        passed = [one for way in ways for one in way if one.stage == name]
        if len(passed) == len(ways):
            at_ms, took_ms = median(one.at_ms for one in passed), median(one.took_ms for one in passed)
            stages.append(Stage(name, round(at_ms, 2), round(took_ms, 2)))
    return stages


def hear_first(served: Served, mode: Mode, talk: Talk, seed: int) -> Mapping[str, float]:
    """When the text was sent, and when its first byte and its first audible sample came. In the clients' process."""
    hear = _hear_socket if mode == "websocket" else _hear_response
    return asyncio.run(hear(served, talk, seed))


async def _hear_socket(served: Served, talk: Talk, seed: int) -> Mapping[str, float]:
    async with listen(served) as listener:
        await listener.begin(seed=seed)
        await asyncio.sleep(REST_S)
        sent_s = time.monotonic()
        await listener.say(talk, mode="stream")
        await listener.finish()
    heard = zip(listener.heard, listener.times_s, strict=True)
    audio = [(message, time_s) for message, time_s in heard if isinstance(message, bytes)]
    audible_s = next(time_s for message, time_s in audio if _is_audible(message))
    return {SENT: sent_s, ARRIVED: audio[0][1], AUDIBLE: audible_s}


async def _hear_response(served: Served, talk: Talk, seed: int) -> Mapping[str, float]:
    async with browsing(served) as client:
        await asyncio.sleep(REST_S)
        sent_s = time.monotonic()
        heard = await speak_stream(client, " ".join(talk), seed=seed)
    return {SENT: sent_s, ARRIVED: sent_s + heard.chunks[0].arrived_s, AUDIBLE: sent_s + first_audible_s(heard)}


def _is_audible(message: bytes) -> bool:
    samples = np.abs(np.frombuffer(message, "<i2").astype(np.int32))
    return bool(samples.max(initial=0) > 32767 * 10 ** (AUDIBLE_DB / 20))
