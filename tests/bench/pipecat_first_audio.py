"""How much later the first sound is at the end of a pipecat pipeline than at the server: `python -m
tests.bench.pipecat_first_audio`, in `.venv-clients`.

Each way is taken in turns, from the text to the first audio, all in this process and over loopback: a bare socket, the
Python client, and each speech service in a pipeline. What the server says of each request is read from its log: from
the first text to the first audio that was taken for sending.
"""

import argparse
import asyncio
import json
import logging
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from loguru import logger
from pipecat.frames.frames import LLMFullResponseEndFrame, LLMFullResponseStartFrame, LLMTextFrame, TTSAudioRawFrame
from pipecat.services.tts_service import TTSService
from websockets.asyncio.client import connect

from app.clients import Audio, SpeechClient
from app.clients.pipecat import TidingAdaptiveTTSService, TidingHttpTTSService, TidingTTSService
from tests.clients.pipecat_running import RATE_HZ, Running, running
from tests.serving import Served, serve_process

TEXTS = [
    "Good morning, and welcome to the show. ",
    "Your train leaves at half past seven. ",
    "There is nothing to worry about. ",
    "I found two tables for tonight. ",
    "The weather will be fine tomorrow. ",
]
BAR_MS = 30.0

Way = Callable[[str], Awaitable[float]]
"""Says a text. How long it took to the first audio, in seconds."""


async def _bare(served: Served, text: str) -> float:
    async with connect(served.socket_url, compression=None) as socket:
        await socket.send(json.dumps({"type": "init", "default_mode": "stream", "sample_rate": RATE_HZ}))
        start_s = time.perf_counter()
        await socket.send(json.dumps({"type": "text", "text": text}))
        while not isinstance(await socket.recv(), bytes):
            pass
        return time.perf_counter() - start_s


async def _client(client: SpeechClient, text: str) -> float:
    start_s = time.perf_counter()
    async with client.stream(sample_rate=RATE_HZ) as stream:
        await stream.say(text)
        async for event in stream:
            if isinstance(event, Audio):
                break
        return time.perf_counter() - start_s


async def _pipeline(pipe: Running, text: str) -> float:
    place = len(pipe.down)
    start_s = time.monotonic()
    await pipe.push(LLMFullResponseStartFrame(), LLMTextFrame(text), LLMFullResponseEndFrame())
    frame = await pipe.until_down(TTSAudioRawFrame, start=place)
    first_s = pipe.times_s[pipe.down.index(frame)] - start_s
    await pipe.until_spoken(start=place)
    return first_s


class Taken(msgspec.Struct, frozen=True):
    """From the text to the first audio, as its listener and as the server saw it."""

    client_ms: float
    server_ms: float


async def measure(served: Served, log: Path, rounds: int) -> dict[str, list[Taken]]:
    """Each way, in turns."""
    services: dict[str, Callable[..., TTSService]] = {
        "pipecat, websocket": TidingTTSService,
        "pipecat, adaptive": TidingAdaptiveTTSService,
        "pipecat, HTTP stream": TidingHttpTTSService,
    }
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(SpeechClient(served.url))
        ways: dict[str, Way] = {
            "a bare socket": lambda text: _bare(served, text),
            "the Python client": lambda text: _client(client, text),
        }
        for name, make in services.items():
            pipe = await stack.enter_async_context(running(make(served.url)))
            ways[name] = lambda text, pipe=pipe: _pipeline(pipe, text)
        taken: dict[str, list[Taken]] = {name: [] for name in ways}
        for text in [TEXTS[0], *TEXTS * rounds]:  # the first warms up
            for name, way in ways.items():
                num_told = len(_told_ms(log))
                client_ms = 1000 * await way(text)
                taken[name].append(Taken(client_ms, await _next_told_ms(log, num_told)))
    return {name: values[1:] for name, values in taken.items()}


async def _next_told_ms(log: Path, num_told: int) -> float:
    """What the server says of the request that has just been made, once it is over."""
    for _ in range(500):
        if len(told := _told_ms(log)) > num_told:
            return told[num_told]
        await asyncio.sleep(0.01)
    raise TimeoutError("the server has not logged the request")


def _told_ms(log: Path) -> list[float]:
    """The times to the first audio by the server's own account, in the order in which requests were over."""
    lines = [json.loads(line) for line in log.read_text().splitlines() if "first_audio_ms" in line]
    return [line["first_audio_ms"] for line in lines]


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=4, help="how often each text is said")
    asked: Any = parser.parse_args(arguments)
    logger.remove()
    logging.disable()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        with serve_process(log=log, log_format="json") as served:
            taken = asyncio.run(measure(served, log, asked.rounds))
    print(
        f"first audio, {len(TEXTS) * asked.rounds} times each; bar: at most {BAR_MS:.0f} ms above the server's figure"
    )
    is_met = True
    for name, values in taken.items():
        above_ms = [one.client_ms - one.server_ms for one in values]
        client_ms = np.median([one.client_ms for one in values])
        server_ms = np.median([one.server_ms for one in values])
        p50, p95 = np.percentile(above_ms, (50, 95))
        is_met &= float(p50) <= BAR_MS
        print(f"{name:22} server {server_ms:6.1f}  client {client_ms:6.1f}  above: p50 {p50:5.1f}  p95 {p95:5.1f}")
    return 0 if is_met else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
