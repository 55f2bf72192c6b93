"""The full service: Granian in one process, WebSocket clients in others. What it adds to the engine's own figures."""

import asyncio
import json
import os
import random
import signal
import socket
import sys
import time
import urllib.error
import urllib.request
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from tests.bench.magpie_listeners import Heard, judge, said
from tests.bench.magpie_meter import said_of
from tests.bench.magpie_rig import ROOT, Rig, text_of

HELD_RATE: Final = 1.5
"""Of sockets that are to be there all at once: how fast they are sent, in times real time (the default is 4)."""


async def service(rig: Rig) -> dict[str, Any]:
    rows: list[dict[str, Any]] = []
    plan = rig.plan
    started_s = time.monotonic()
    async with serving(rig, plan.sizes[0]) as (port, log):
        ready_s = time.monotonic() - started_s
        print(f"    the server is ready after {ready_s:.1f} s", flush=True)
        try:
            await _meter(port)
            await _round(rig, port, 1, rounds=max(2, plan.socket_rounds // 10), is_brief=True)  # warm
            cases: list[dict[str, Any]] = [{"num": 1, "rounds": plan.socket_rounds, "is_brief": True}]
            cases += [{"num": num, "send_rate": HELD_RATE} for num in plan.sockets]
            cases += [{"num": min(plan.crowd, plan.sockets[-1]), "is_brief": True, "spread_s": 0.0, "repeat": 3}]
            cases += [{"num": plan.sockets[-1]}]
            for case in cases:
                if rows and rig.left_s < 16:
                    print("    out of time", flush=True)
                    break
                rows.append(await _case(rig, port, **case))
        except Exception:
            print(f"    the server's log ends: {_tail(log)}", flush=True)
            raise
    return {"rows": rows, "ready_s": round(ready_s, 1)}


async def _case(rig: Rig, port: int, *, num: int, repeat: int = 1, **manner: Any) -> dict[str, Any]:
    await _meter(port)
    heard: list[Heard] = []
    for _ in range(repeat):
        heard += await _round(rig, port, num, **manner)
    row: dict[str, Any] = {"sockets": num, **manner, **judge(heard)}
    if num == 1:
        row["in_real_time"] = None  # it left at its first audio each time
    row["server"] = await _meter(port)
    server = row["server"]
    how = "one after the other" if num == 1 else "at one instant" if manner.get("is_brief") else "spread at random"
    print(f"    {num:4d} sockets {how}, sent at {manner.get('send_rate', 'default')}: {said(row)}", flush=True)
    print(f"        loop late ms {server['loop_late_ms']}, {said_of(server)}", flush=True)
    return row


async def _round(
    rig: Rig,
    port: int,
    num: int,
    *,
    rounds: int = 1,
    is_brief: bool = False,
    send_rate: float = 0.0,
    spread_s: float | None = None,
) -> list[Heard]:
    """So many sockets, dealt out to client processes. `spread_s` None: the plan's."""
    plan, draw = rig.plan, random.Random(num)
    spread_s = (plan.spread_s if num > 1 else 0.0) if spread_s is None else spread_s
    segments = 1 if is_brief else plan.segments
    clients = [
        {
            "at_s": draw.uniform(0, spread_s),
            "texts": [text_of(plan.segment_chars, (n * 7 + k) % 97) for k in range(segments)],
            "seed": n,
            "rounds": rounds,
        }
        for n in range(num)
    ]
    url = f"ws://127.0.0.1:{port}/ws/tts/stream"
    processes = min(plan.client_processes, num)
    orders = [
        {"url": url, "clients": clients[first::processes], "send_rate": send_rate, "is_brief": is_brief}
        for first in range(processes)
    ]
    return await _run_clients(orders, timeout_s=max(10.0, min(60.0, rig.left_s + 10)))


async def _run_clients(orders: list[dict[str, Any]], *, timeout_s: float) -> list[Heard]:
    running = [
        await start([sys.executable, "-m", "tests.bench.magpie_clients"], stdin=PIPE, stdout=PIPE) for _ in orders
    ]
    try:
        async with asyncio.timeout(timeout_s):
            for process, order in zip(running, orders, strict=True):
                await _write(process, json.dumps(order))
            for process in running:
                assert process.stdout is not None
                line = await process.stdout.readline()
                assert line.strip() == b"ready", f"a client process said {line!r}"
            begin = time.monotonic() + 0.1
            for process in running:
                await _write(process, str(begin))
            said = await asyncio.gather(*(process.stdout.read() for process in running if process.stdout))
    finally:
        for process in running:
            if process.returncode is None:
                process.kill()
            await process.wait()
    heard: list[Heard] = []
    for one in (one for part in said for one in json.loads(part)):
        first_s = one["first_s"] if one["first_s"] >= 0 else None
        heard.append(Heard(first_s, 0.0, one["audio_s"], one["underrun_s"], one["error"]))
        heard += [Heard(more_s) for more_s in one.get("more_s", ())]
    return heard


async def _write(process: Process, line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(line.encode() + b"\n")
    await process.stdin.drain()


async def start(command: list[str], *, log: Path | None = None, **options: Any) -> Process:
    """A process that finds this repository's packages, in a group of its own."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    environment = os.environ | {"PYTHONPATH": path, "PYTHONUNBUFFERED": "1"} | options.pop("environment", {})
    if log is None:
        return await asyncio.create_subprocess_exec(
            *command, cwd=ROOT, env=environment, start_new_session=True, limit=2**26, **options
        )
    with log.open("ab") as out:
        return await asyncio.create_subprocess_exec(
            *command,
            cwd=ROOT,
            env=environment,
            start_new_session=True,
            limit=2**26,
            stdout=out,
            stderr=out,
            stdin=DEVNULL,
            **options,
        )


async def stop(process: Process) -> None:
    """End a process of ours, and what it has started."""
    for sign, patience_s in ((signal.SIGTERM, 8.0), (signal.SIGKILL, 5.0)):
        if process.returncode is not None:
            break
        try:
            os.killpg(process.pid, sign)
        except ProcessLookupError:
            break
        try:
            await asyncio.wait_for(process.wait(), patience_s)
        except TimeoutError:
            continue


@asynccontextmanager
async def serving(rig: Rig, size: str) -> AsyncIterator[tuple[int, Path]]:
    """A server that is ready: its port, and its log."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = rig.out / "server.log"
    arguments = [str(port), size, str(rig.plan.server_slots), str(rig.plan.num_frames), str(rig.plan.segment_frames)]
    process = await start([sys.executable, "-m", "tests.bench.magpie_app", *arguments], log=log)
    try:
        await _until_ready(process, port, log, min(90.0, max(20.0, rig.left_s)))
        yield port, log
    finally:
        await stop(process)


async def _until_ready(process: Process, port: int, log: Path, timeout_s: float) -> None:
    ends_s = time.monotonic() + timeout_s
    while time.monotonic() < ends_s:
        if process.returncode is not None:
            raise RuntimeError(f"the server ended with status {process.returncode}: {_tail(log)}")
        try:
            await asyncio.to_thread(_get, f"http://127.0.0.1:{port}/ready")
        except (urllib.error.URLError, OSError):
            await asyncio.sleep(0.1)
        else:
            return
    raise TimeoutError(f"the server is not ready after {timeout_s:.0f} s: {_tail(log)}")


async def _meter(port: int) -> dict[str, Any]:
    """Where the server's time went since this was asked last."""
    return json.loads(await asyncio.to_thread(_get, f"http://127.0.0.1:{port}/bench/meter"))


def _tail(log: Path) -> str:
    return log.read_text()[-1500:]


def _get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=10) as response:
        return response.read()
