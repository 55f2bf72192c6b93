"""Listeners of an engine in the same process: each takes audio as it plays it, and notes when it had to wait."""

import asyncio
import random
import time
from typing import Any, Final

import msgspec

from engines.engine import Engine
from engines.session import Session
from engines.types import ChunkSizes
from tests.bench.magpie_rig import shares, text_of

CUSHION_S: Final = 0.5
"""A listener takes the next chunk when so much is left of what it has."""

CHUNKS: Final = ChunkSizes(4, 8)
LATE_S: Final = 0.001
"""A wait that counts: a shorter one is the clock's."""


class Heard(msgspec.Struct):
    """One listener: times in seconds, `first_s` from the text to the first sample."""

    first_s: float | None = None
    first_pcm_s: float = 0.0
    audio_s: float = 0.0
    underrun_s: float = 0.0
    error: str = ""


def open_listener(engine: Engine, number: int, **options: Any) -> Session:
    voices = engine.voices
    return engine.open_session(
        voice=voices[number % len(voices)].name, seed=number, chunk_sizes=options.pop("chunk_sizes", CHUNKS), **options
    )


async def listen(session: Session, heard: Heard, pushed_s: float, rate_hz: int) -> None:
    """Play to the end."""
    ends_s = 0.0
    async for frame in session:
        if not len(frame.pcm):
            continue
        now_s, length_s = time.perf_counter(), len(frame.pcm) / rate_hz
        if heard.first_s is None:
            heard.first_s, heard.first_pcm_s, ends_s = now_s - pushed_s, length_s, now_s
        elif now_s - ends_s > LATE_S:
            heard.underrun_s += now_s - ends_s
            ends_s = now_s
        ends_s += length_s
        heard.audio_s += length_s
        if (rest_s := ends_s - CUSHION_S - now_s) > 0:
            await asyncio.sleep(rest_s)


async def _serve(session: Session, heard: Heard, texts: list[str], rate_hz: int) -> None:
    pushed_s = time.perf_counter()
    try:
        for text in texts:
            session.push_segment(text)
        session.finish()
        await listen(session, heard, pushed_s, rate_hz)
    except Exception as error:
        heard.error = f"{type(error).__name__}: {error}"[:120]
    finally:
        session.cancel()


async def hold(
    engine: Engine, num_streams: int, *, spread_s: float, segments: int, num_chars: int, timeout_s: float
) -> tuple[list[Heard], float]:
    """Streams that arrive at random over `spread_s`, each of so many segments. Returns what they heard, and how late
    the driver was at worst (seconds)."""
    draw = random.Random(num_streams)
    rate_hz = engine.format.sample_rate_hz
    arrivals_s = sorted(draw.uniform(0, spread_s) for _ in range(num_streams))
    everyone = [Heard() for _ in range(num_streams)]
    texts = [[text_of(num_chars, seed=(n * 7 + k) % 97) for k in range(segments)] for n in range(num_streams)]
    tasks: list[asyncio.Task[None]] = []
    late_s, began_s = 0.0, time.perf_counter()
    for number, arrival_s in enumerate(arrivals_s):
        rest_s = began_s + arrival_s - time.perf_counter()
        if rest_s > 0:
            await asyncio.sleep(rest_s)
        late_s = max(late_s, time.perf_counter() - began_s - arrival_s)
        session = open_listener(engine, number)
        tasks.append(asyncio.create_task(_serve(session, everyone[number], texts[number], rate_hz)))
    _, unfinished = await asyncio.wait(tasks, timeout=timeout_s)
    for task in unfinished:
        task.cancel()
    if unfinished:
        await asyncio.wait(unfinished, timeout=5)
    for heard, task in zip(everyone, tasks, strict=True):
        if task in unfinished:
            heard.error = heard.error or "not over in time"
    return everyone, late_s


def judge(everyone: list[Heard]) -> dict[str, Any]:
    """First audio in ms, under-runs, and whether all were in real time."""
    first_ms = [1000 * heard.first_s for heard in everyone if heard.first_s is not None]
    short_of = [heard for heard in everyone if heard.underrun_s > 0]
    errors = [heard.error for heard in everyone if heard.error]
    return {
        "first_ms": shares(first_ms, digits=2),
        "heard": len(first_ms),
        "with_underrun": len(short_of),
        "underrun_s_mean": round(sum(heard.underrun_s for heard in everyone) / max(1, len(everyone)), 4),
        "underrun_s_max": round(max((heard.underrun_s for heard in everyone), default=0.0), 4),
        "audio_s": round(sum(heard.audio_s for heard in everyone), 1),
        "errors": len(errors),
        "first_error": errors[0] if errors else "",
        "in_real_time": not short_of and not errors and len(first_ms) == len(everyone),
    }


def said(row: dict[str, Any]) -> str:
    """What `judge` found, in short."""
    errors = f", {row['errors']} errors: {row['first_error']}" if row["errors"] else ""
    return (
        f"first ms {row['first_ms']}, {row['with_underrun']} with under-run (worst {row['underrun_s_max']} s){errors}"
    )


async def first_of(engine: Engine, number: int, text: str) -> Heard:
    """Text in, first sample out; then the listener leaves."""
    heard = Heard()
    pushed_s = time.perf_counter()
    session = open_listener(engine, number)
    try:
        session.push_segment(text)
        async for frame in session:
            if len(frame.pcm):
                heard.first_s = time.perf_counter() - pushed_s
                heard.first_pcm_s = len(frame.pcm) / engine.format.sample_rate_hz
                break
    finally:
        session.cancel()
    return heard
