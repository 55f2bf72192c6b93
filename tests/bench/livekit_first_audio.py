"""How much later the first sound is in LiveKit's hands than at the server, and how soon an interruption is silence:
`python -m tests.bench.livekit_first_audio [--rounds N]`, in `.venv-clients`.

Each way is taken in turns, from the text to the first frame, all in this process and over loopback: a bare socket, the
plug-in's stream and its whole text, and LiveKit's own class for OpenAI. What the server says of each request is read
from its log: from the first text to the first audio that was taken for sending. Interruptions are of an `AgentSession`,
from the call to the last that its loudspeaker was given or told.
"""

import argparse
import asyncio
import json
import logging
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from livekit.agents import tts
from livekit.plugins import openai
from websockets.asyncio.client import connect

from app.clients.livekit import TTS
from tests.clients.livekit_listening import agent_session
from tests.running import until
from tests.serving import Served, serve_process

TEXTS = [
    "Good morning, and welcome to the show. ",
    "Your train leaves at half past seven. ",
    "There is nothing to worry about. ",
    "I found two tables for tonight. ",
    "The weather will be fine tomorrow. ",
]
BAR_MS = 30.0
SILENCE_BAR_MS = 150.0

Way = Callable[[str], Awaitable[float]]
"""Says a text. How long it took to the first audio, in seconds."""


class Taken(msgspec.Struct, frozen=True):
    """From the text to the first audio, as its listener and as the server saw it."""

    client_ms: float
    server_ms: float


async def _bare(served: Served, text: str) -> float:
    async with connect(served.socket_url, compression=None) as socket:
        await socket.send(json.dumps({"type": "init", "default_mode": "stream", "sample_rate": 24_000}))
        start_s = time.perf_counter()
        await socket.send(json.dumps({"type": "text", "text": text}))
        await socket.send(json.dumps({"type": "close"}))
        first_s = 0.0
        while isinstance(message := await socket.recv(), bytes) or '"done"' not in message:
            if isinstance(message, bytes):
                first_s = first_s or time.perf_counter() - start_s
        return first_s


async def _streamed(voice: TTS, text: str) -> float:
    async with voice.stream() as stream:
        start_s = time.perf_counter()
        stream.push_text(text)
        stream.end_input()
        return await _first_s(stream, start_s)


async def _whole(voice: tts.TTS, text: str) -> float:
    start_s = time.perf_counter()
    async with voice.synthesize(text) as stream:
        return await _first_s(stream, start_s)


async def _first_s(stream: AsyncIterator[tts.SynthesizedAudio], start_s: float) -> float:
    """When its first frame came. Returns when all has come."""
    first_s = 0.0
    async for _ in stream:
        first_s = first_s or time.perf_counter() - start_s
    return first_s


@asynccontextmanager
async def ways_to(served: Served) -> AsyncIterator[dict[str, Way]]:
    async with AsyncExitStack() as stack:
        ours = await stack.enter_async_context(TTS(served.url))
        yield {"a bare socket": lambda text: _bare(served, text)} | {
            "plug-in, stream()": lambda text: _streamed(ours, text),
            "plug-in, synthesize()": lambda text: _whole(ours, text),
            **{f"stock OpenAI, {name}": await _stock(stack, served, name) for name in ("pcm", "mp3")},
        }


async def _stock(stack: AsyncExitStack, served: Served, name: str) -> Way:
    voice = openai.TTS(base_url=f"{served.url}/v1", api_key="unused", response_format=name)
    await stack.enter_async_context(voice)
    return lambda text: _whole(voice, text)


async def measure(served: Served, log: Path, rounds: int) -> dict[str, list[Taken]]:
    """Each way, in turns."""
    async with ways_to(served) as ways:
        taken: dict[str, list[Taken]] = {name: [] for name in ways}
        for text in [TEXTS[0], *TEXTS * rounds]:  # the first warms up
            for name, way in ways.items():
                num_told = len(_told_ms(log))
                client_ms = 1000 * await way(text)
                await until(lambda num_told=num_told: len(_told_ms(log)) > num_told, "the server logs the request")
                taken[name].append(Taken(client_ms, _told_ms(log)[num_told]))
    return {name: values[1:] for name, values in taken.items()}


def _told_ms(log: Path) -> list[float]:
    """The times to the first audio by the server's own account, in the order in which requests were over."""
    lines = [json.loads(line) for line in log.read_text().splitlines() if "first_audio_ms" in line]
    return [line["first_audio_ms"] for line in lines]


async def silences_ms(served: Served, rounds: int) -> list[float]:
    """From an interruption in the middle of a speech to the last that the loudspeaker was given or told."""
    taken: list[float] = []
    async with TTS(served.url) as voice, agent_session(tts=voice) as (session, speaker):
        for _ in range(rounds):
            num_frames = len(speaker.frames)
            session.say(" ".join(TEXTS * 4))
            await until(lambda n=num_frames: len(speaker.frames) > n + 3, "it speaks")
            start_s = time.monotonic()
            await session.interrupt(force=True)
            await asyncio.sleep(0.3)  # whatever would still come
            assert speaker.cleared_s is not None
            taken.append(1000 * (max(speaker.cleared_s, speaker.times_s[-1]) - start_s))
    return taken


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=4, help="how often each text is said, and a speech interrupted")
    asked: Any = parser.parse_args(arguments)
    logging.disable()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        with serve_process(log=log, model="hibari", log_format="json") as served:
            taken = asyncio.run(measure(served, log, asked.rounds))
            silences = asyncio.run(silences_ms(served, asked.rounds))
    print(
        f"first audio, {len(TEXTS) * asked.rounds} times each; bar: at most {BAR_MS:.0f} ms above the server's figure"
    )
    is_met = max(silences) <= SILENCE_BAR_MS
    for name, values in taken.items():
        p50, p95 = np.percentile([one.client_ms - one.server_ms for one in values], (50, 95))
        client_ms, server_ms = (
            np.median([getattr(one, side) for one in values]) for side in ("client_ms", "server_ms")
        )
        is_met &= float(p50) <= BAR_MS or name.startswith("stock OpenAI, mp3")  # it decodes
        print(f"{name:22} server {server_ms:6.1f}  client {client_ms:6.1f}  above: p50 {p50:5.1f}  p95 {p95:5.1f}")
    print(f"interruption to silence, ms: p50 {np.median(silences):.1f}, worst {max(silences):.1f} of {len(silences)}")
    return 0 if is_met else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
