"""One card, two servers: the same voices alone and beside a process that generates like an LLM on the same GPU.

Without CUDA's multi-process service two processes take turns on the card, in slices of time that no stream's priority
reaches across; with it their kernels run side by side, and priorities count. Both are measured, the second where
`nvidia-cuda-mps-control` is there and starts.
"""

import asyncio
import json
import os
import shutil
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.bench.magpie_listeners import said
from tests.bench.magpie_meter import said_of
from tests.bench.magpie_rig import Rig
from tests.bench.magpie_service import start, stop

TINY_LOAD = ("--layers", "2", "--width", "64", "--hidden", "128", "--heads", "2", "--context", "32")


async def shared(rig: Rig) -> dict[str, Any]:
    rows: list[dict[str, Any]] = []
    async with load_running(rig, {}, is_on=False):
        await _cases(rig, rows, "time slices", {}, ("-1",), alone=True)
    control = shutil.which("nvidia-cuda-mps-control")
    how = "nvidia-cuda-mps-control is not there"
    if control and rig.left_s > 35:
        try:
            async with mps(control) as environment:
                how = "used"
                await _cases(rig, rows, "MPS", environment, ("-1", "0"), alone=False)
        except Exception as error:
            how = f"{type(error).__name__}: {error}"[:300]
            print(f"    MPS: {how}", flush=True)
    elif control:
        how = "no time was left"
    if how != "used" and rig.left_s > 30:
        await _cases(rig, rows, "time slices", {}, ("0",), alone=False)
    print(f"    MPS: {how}", flush=True)
    return {
        "rows": rows,
        "mps": how,
        "load": "7B-like stack, bf16, one token a step, context 2048, one CUDA graph a token",
    }


async def _cases(
    rig: Rig,
    rows: list[dict[str, Any]],
    sharing: str,
    environment: dict[str, str],
    priorities: tuple[str, ...],
    *,
    alone: bool,
) -> None:
    """Voices of each priority: alone, if asked for, and beside the load. All processes are started at once."""
    size = rig.plan.sizes[0]
    plan = "full" if rig.is_cuda else "tiny"
    voices = [
        await start(
            [sys.executable, "-m", "tests.bench.magpie_voices", size, priority, plan],
            environment=environment,
            stdin=PIPE,
            stdout=PIPE,
        )
        for priority in priorities
    ]
    try:
        for process in voices:
            await _line(process, 70)
        if alone:
            rows.append(_row(sharing, priorities[0], False, await _hold(voices[0]), []))
        async with load_running(rig, environment, is_on=True) as rates:
            for priority, process in zip(priorities, voices, strict=True):
                if rig.left_s < 8:
                    print("    out of time", flush=True)
                    break
                before = len(rates)
                found = await _hold(process)
                rows.append(_row(sharing, priority, True, found, rates[before:]))
            if alone and rig.left_s > 3:
                before = len(rates)
                await asyncio.sleep(2.5 if rig.is_cuda else 1.2)
                rows[-1]["load_alone_tokens_s"] = _mean(rates[before + 1 :])
    finally:
        for process in voices:
            await stop(process)


def _row(sharing: str, priority: str, is_loaded: bool, found: dict[str, Any], rates: list[float]) -> dict[str, Any]:
    row = {
        "sharing": sharing,
        "priority": int(priority),
        "beside_load": is_loaded,
        **found,
        "load_tokens_s": _mean(rates),
    }
    where = f"beside the load ({row['load_tokens_s']} tokens/s)" if is_loaded else "alone"
    print(f"    {sharing}, priority {priority}, {where}: {said(found)}", flush=True)
    print(f"        {said_of(found['device_thread'])}", flush=True)
    return row


def _mean(values: list[float]) -> float:
    return round(sum(values) / len(values), 1) if values else 0.0


async def _hold(process: Process) -> dict[str, Any]:
    assert process.stdin is not None
    process.stdin.write(b"\n")
    await process.stdin.drain()
    return json.loads(await _line(process, 60))


async def _line(process: Process, timeout_s: float) -> str:
    assert process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), timeout_s)
    if not line:
        raise RuntimeError("a process has ended before it answered")
    return line.decode()


@asynccontextmanager
async def load_running(rig: Rig, environment: dict[str, str], *, is_on: bool) -> AsyncIterator[list[float]]:
    """The load's tokens a second, one figure a second, while it runs."""
    rates: list[float] = []
    if not is_on:
        yield rates
        return
    extra = () if rig.is_cuda else TINY_LOAD
    process = await start(
        [sys.executable, "-m", "tests.bench.magpie_load", *extra], environment=environment, stdout=PIPE
    )
    reader: asyncio.Task[None] | None = None
    try:
        await _line(process, 60)
        reader = asyncio.create_task(_read_rates(process, rates))
        yield rates
    finally:
        if reader is not None:
            reader.cancel()
        await stop(process)


async def _read_rates(process: Process, rates: list[float]) -> None:
    assert process.stdout is not None
    while line := await process.stdout.readline():
        rates.append(float(line))


@asynccontextmanager
async def mps(control: str) -> AsyncIterator[dict[str, str]]:
    """CUDA's multi-process service, in folders of its own; changes nothing else about the card."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {"CUDA_MPS_PIPE_DIRECTORY": f"{folder}/pipe", "CUDA_MPS_LOG_DIRECTORY": f"{folder}/log"}
        for path in environment.values():
            os.makedirs(path)
        daemon = await start([control, "-d"], environment=environment)
        status = await asyncio.wait_for(daemon.wait(), 10)
        if status:
            raise RuntimeError(f"{control} -d ended with status {status}")
        try:
            yield environment
        finally:
            quit_ = await start([control], environment=environment, stdin=PIPE)
            try:
                await asyncio.wait_for(quit_.communicate(b"quit\n"), 10)
            except TimeoutError:
                await stop(quit_)
