"""What sockets that say nothing cost those that speak, and what is left of sockets that come and go: `python -m
tests.bench.idle [--idle 200] [--speakers 16] [--rounds 5] [--cycles 10000]`.

A real server on real sockets. The speakers begin at one instant, in turns with and without the idle ones beside
them, so that both meet the same machine. Memory is resident, of all its processes, after every tenth of the
cycles.
"""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import numpy as np
import psutil
from websockets.asyncio.client import connect

from tests.listening import calling, first_audible_s
from tests.serving import Served, serve_process

SENTENCE: Final = "The ferry leaves the harbour at a quarter past seven."
SETTLED_S: Final = 0.5
AT_ONCE: Final = 20
MB: Final = 1e6


async def first_audio(served: Served, num_speakers: int, num_idle: int) -> list[float]:
    """Milliseconds to the first sound of each speaker, beside so many who say nothing."""
    async with AsyncExitStack() as stack:
        for _ in range(num_idle):
            await stack.enter_async_context(connect(served.socket_url, compression=None))
        callers = [await stack.enter_async_context(calling(served)) for _ in range(num_speakers)]
        await asyncio.sleep(SETTLED_S)
        heard = await asyncio.gather(*(caller.say_sentences([SENTENCE], "stream") for caller in callers))
    return [1000 * first_audible_s(one) for one in heard]


async def come_and_go(served: Served, num: int) -> None:
    """So many sockets, some at once, each closed as soon as it is open."""

    async def visit() -> None:
        async with connect(served.socket_url, compression=None):
            pass

    for _ in range(num // AT_ONCE):
        await asyncio.gather(*(visit() for _ in range(AT_ONCE)))


def memory_mb(served: Served) -> float:
    server = psutil.Process(served.pid)
    return sum(process.memory_info().rss for process in (server, *server.children(recursive=True))) / MB


async def measure(served: Served, options: argparse.Namespace) -> None:
    await first_audio(served, 1, 0)
    alone: list[float] = []
    beside: list[float] = []
    for _ in range(options.rounds):
        alone += await first_audio(served, options.speakers, 0)
        beside += await first_audio(served, options.speakers, options.idle)
    for name, times in (("alone", alone), (f"beside {options.idle} idle", beside)):
        p50, p95 = np.percentile(times, [50, 95])
        print(f"{options.speakers} speakers {name}: first audio {p50:.0f} ms p50, {p95:.0f} ms p95, of {len(times)}")
    print(f"p95, beside to alone: {np.percentile(beside, 95) / np.percentile(alone, 95):.2f}")
    sizes = [memory_mb(served)]
    for _ in range(10):
        await come_and_go(served, options.cycles // 10)
        sizes.append(memory_mb(served))
    print(f"{options.cycles} sockets came and went; memory, MB: {' '.join(f'{size:.0f}' for size in sizes)}")


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.idle")
    parser.add_argument("--idle", type=int, default=200)
    parser.add_argument("--speakers", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cycles", type=int, default=10_000)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder, serve_process(log=Path(folder) / "log", model="hibari") as served:
        asyncio.run(measure(served, options))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
