"""The engine itself, without a server: first audio, one stream's speed, crowds, streams held in real time, profile."""

import asyncio
import time
from typing import Any

from engines.types import ChunkSizes
from tests.bench.magpie_listeners import Heard, first_of, hold, judge, open_listener, said
from tests.bench.magpie_meter import LoopLag, Meter, said_of
from tests.bench.magpie_rig import FRAME_S, Rig, Running, limit_segments, shares, text_of
from tests.bench.magpie_steps import Filled, break_down, kernels_of, on_stream

MAX_FIRST_MS = 150.0

_meters: dict[int, Meter] = {}


def meter_of(running: Running) -> Meter:
    """The meter of that engine, reset."""
    meter = _meters.setdefault(id(running.engine), Meter())
    meter.attach(running.engine)
    meter.reset()
    return meter


async def ready(rig: Rig, name: str, num_frames: int) -> Running:
    """That engine, whose segments are so long from now on."""
    running = await rig.running(name)
    limit_segments(running.model, num_frames, running.checkpoint.shape.stacking)
    return running


async def first(rig: Rig) -> dict[str, Any]:
    """Text in, first PCM out, one listener at a time."""
    rows: list[dict[str, Any]] = []
    plan = rig.plan
    for name in plan.sizes:
        running = await ready(rig, name, plan.num_frames)
        heard: list[Heard] = []
        for number in range(-5, plan.first_rounds):
            one = await first_of(running.engine, number + 100, text_of(plan.num_chars, number % 50))
            if number >= 0:
                heard.append(one)
            await asyncio.sleep(0.004)
            if rig.left_s < 1:
                break
        first_ms = shares([1000 * one.first_s for one in heard if one.first_s is not None])
        held_ms = shares([1000 * one.first_pcm_s for one in heard])
        rows.append({"size": name, "rounds": len(heard), "first_ms": first_ms, "pcm_ms": held_ms})
        print(f"    {name:9} first PCM ({held_ms.get('p50', 0):.0f} ms of audio) after, ms: {first_ms}", flush=True)
    return {"rows": rows}


async def speed(rig: Rig) -> dict[str, Any]:
    """One unpaced session with the longest segment."""
    rows: list[dict[str, Any]] = []
    plan = rig.plan
    for name in plan.sizes:
        running = await ready(rig, name, plan.num_frames)
        for sizes in (ChunkSizes(4, 8), ChunkSizes(8, 16)):
            meter, times_s, audio_s = meter_of(running), [], 0.0
            for number in range(plan.speed_rounds + 1):
                started_s = time.perf_counter()
                audio_s = await _speak_through(running, number, text_of(plan.num_chars, number), sizes)
                times_s.append(time.perf_counter() - started_s)
                if number == 0:
                    meter.reset()
            took_s = min(times_s[1:])
            row = {
                "size": name,
                "chunks": [sizes.first, sizes.later],
                "audio_s": round(audio_s, 3),
                "took_s": round(took_s, 4),
                "times_real_time": round(audio_s / took_s, 2),
                "device_thread": meter.summary(),
            }
            rows.append(row)
            print(f"    {name:9} chunks {sizes.first}/{sizes.later}: {row['times_real_time']} x real time", flush=True)
    return {"rows": rows}


async def _speak_through(running: Running, number: int, text: str, sizes: ChunkSizes) -> float:
    """Seconds of audio of one unpaced session."""
    session = open_listener(running.engine, number, is_paced=False, chunk_sizes=sizes)
    num_samples = 0
    try:
        session.push_segment(text)
        session.finish()
        async for frame in session:
            num_samples += len(frame.pcm)
    finally:
        session.cancel()
    return num_samples / running.engine.format.sample_rate_hz


async def crowd(rig: Rig) -> dict[str, Any]:
    """All at the same instant, nobody else there; each leaves at its first audio."""
    rows: list[dict[str, Any]] = []
    plan = rig.plan
    for name in plan.sizes:
        running = await ready(rig, name, plan.segment_frames)
        meter, heard = meter_of(running), []
        for round_ in range(-1, plan.crowd_rounds):
            texts = [text_of(plan.segment_chars, number) for number in range(plan.crowd)]
            some = await asyncio.gather(*(first_of(running.engine, n, text) for n, text in enumerate(texts)))
            if round_ >= 0:
                heard += some
            await asyncio.sleep(0.05)
        first_ms = shares([1000 * one.first_s for one in heard if one.first_s is not None])
        rows.append(
            {
                "size": name,
                "clients": plan.crowd,
                "heard": len(heard),
                "first_ms": first_ms,
                "device_thread": meter.summary(),
            }
        )
        print(f"    {name:9} {plan.crowd} at one instant, first PCM, ms: {first_ms}", flush=True)
    return {"rows": rows}


async def streams(rig: Rig) -> dict[str, Any]:
    """More and more streams in real time, until that fails, of both shapes; then what lies between, if time is left."""
    rows: list[dict[str, Any]] = []
    plan = rig.plan
    first_size, *others = plan.sizes
    cases = [(first_size, num) for num in plan.streams[:-2]]
    cases += [(name, num) for name in others for num in plan.streams[1:3]]
    cases += [(first_size, num) for num in plan.streams[-2:]]  # to fill gaps
    failed: dict[str, int] = {}
    for name, num_streams in cases:
        if num_streams > min(failed.get(name, 10**6), plan.slots[plan.sizes.index(name)]):
            continue
        if rig.left_s < (18 if rig.is_cuda else 3):
            print("    out of time", flush=True)
            break
        rows.append(await _held(rig, name, num_streams))
        if not rows[-1]["passes"]:
            failed[name] = num_streams
    return {"rows": rows}


async def _held(rig: Rig, name: str, num_streams: int) -> dict[str, Any]:
    plan = rig.plan
    running = await ready(rig, name, plan.segment_frames)
    meter = meter_of(running)
    audio_s = plan.segments * plan.segment_frames * FRAME_S
    async with LoopLag() as lag:
        everyone, driver_late_s = await hold(
            running.engine,
            num_streams,
            spread_s=plan.spread_s,
            segments=plan.segments,
            num_chars=plan.segment_chars,
            timeout_s=min(2 * audio_s + 3, max(2.0, rig.left_s)),
        )
        summary, loop_late_ms = meter.summary(), lag.take()
    row = {
        "size": name,
        "streams": num_streams,
        "spread_s": plan.spread_s,
        "stream_s": round(audio_s, 2),
        **judge(everyone),
    }
    row["passes"] = bool(row["in_real_time"]) and row["first_ms"].get("p99", 1e9) < MAX_FIRST_MS
    row |= {"loop_late_ms": loop_late_ms, "driver_late_ms": round(1000 * driver_late_s, 1), "device_thread": summary}
    verdict = "held" if row["passes"] else "NOT held"
    print(f"    {name:9} {num_streams:4d} streams: {verdict}, {said(row)}", flush=True)
    print(
        f"        loop late ms {loop_late_ms}, driver late {row['driver_late_ms']} ms, {said_of(summary)}", flush=True
    )
    return row


async def profile(rig: Rig) -> dict[str, Any]:
    """What a step is made of on the GPU, and an engine step at full tilt on the host."""
    rows: list[dict[str, Any]] = []
    plan = rig.plan
    for name in plan.sizes:
        running = await ready(rig, name, plan.num_frames)
        for num_slots in plan.busy:
            row: dict[str, Any] = {"size": name, "slots": num_slots}
            try:
                row |= _profile_of(rig, running, num_slots)
            except Exception as error:
                row["error"] = f"{type(error).__name__}: {error}"[:200]
            if name == plan.sizes[0] or rig.left_s > 10:
                row["busy"] = await _busy(rig, running, num_slots)
            rows.append(row)
            print(f"    {name:9} {num_slots:4d} slots: {row.get('parts', row.get('error'))}", flush=True)
            if busy := row.get("busy"):
                print(f"        engine at full tilt: {busy}", flush=True)
    return {"rows": rows}


def _profile_of(rig: Rig, running: Running, num_slots: int) -> dict[str, Any]:
    model, plan = running.model, rig.plan
    half = plan.num_frames // running.checkpoint.shape.stacking // 2
    with Filled(model, num_slots, plan.num_chars, half) as filled, on_stream(model):
        kernels = kernels_of(model, lambda: filled.step(num_slots))
    totals: dict[str, float] = {}
    for kernel, us in kernels:
        totals[kernel[:60]] = round(totals.get(kernel[:60], 0.0) + us, 2)
    return {
        "kernel_ms": round(sum(us for _, us in kernels) / 1000, 4),
        "launches": len(kernels),
        "parts": break_down(kernels),
        "kernels_us": dict(sorted(totals.items(), key=lambda item: -item[1])[:20]),
    }


async def _busy(rig: Rig, running: Running, num_slots: int) -> dict[str, Any]:
    """Unpaced sessions without an end, for a while: audio seconds a second, and the device thread's time."""
    plan, num_samples = rig.plan, 0
    ends_s = time.perf_counter() + plan.busy_s

    async def speak(number: int) -> None:
        nonlocal num_samples
        session = open_listener(running.engine, number, is_paced=False)
        try:
            for part in range(20):
                session.push_segment(text_of(plan.num_chars, number + part))
            async for frame in session:
                num_samples += len(frame.pcm)
                if time.perf_counter() > ends_s:
                    return
        finally:
            session.cancel()

    tasks = [asyncio.create_task(speak(number)) for number in range(num_slots)]
    await asyncio.sleep(plan.busy_s / 4)  # all are admitted
    meter = meter_of(running)
    began_s, num_samples = time.perf_counter(), 0
    await asyncio.sleep(plan.busy_s / 2)
    rate = num_samples / running.engine.format.sample_rate_hz / (time.perf_counter() - began_s)
    summary = meter.summary()
    await asyncio.wait(tasks, timeout=plan.busy_s + 5)
    # the device thread is still telling the model to forget them
    while running.engine.num_busy_slots or running.model._sound.num_kept:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    return {"audio_s_a_second": round(rate, 1), **summary}
