"""A crowd of clients that start at once, on real sockets. Runs in a process of its own."""

import asyncio
import os
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Final

import msgspec

from tests.bench.speech_figures import Told, told_of
from tests.bench.speech_meter import Usage, usage
from tests.bench.speech_modes import CONNECT, Mode
from tests.bench.speech_texts import Talk
from tests.serving import Served

REST_S: Final = 0.1
"""Between the last connection and the first text: what connecting costs is over by then."""


class Meeting(msgspec.Struct, frozen=True):
    """One round of a crowd: what each listener tells, and what it took from the first text to the last sample.

    `server_s` and `clients_s` are processor seconds.
    """

    told: list[Told]
    took_s: float
    server_s: float
    clients_s: float


def meet(
    served: Served, mode: Mode, talks: Sequence[Talk], seeds: Sequence[int], send_rate: float | None = None
) -> Meeting:
    """One client a talk. Connections are open before the clock starts."""
    return asyncio.run(_meet(served, mode, talks, seeds, send_rate))


async def _meet(
    served: Served, mode: Mode, talks: Sequence[Talk], seeds: Sequence[int], send_rate: float | None
) -> Meeting:
    async with AsyncExitStack() as stack:
        connecting = (stack.enter_async_context(CONNECT[mode](served, send_rate)) for _ in talks)
        clients = [await one for one in connecting]
        await asyncio.sleep(REST_S)
        before, began_s = _both(served.pid), time.perf_counter()
        heard = await asyncio.gather(
            *(speak(talk, seed) for speak, talk, seed in zip(clients, talks, seeds, strict=True))
        )
        took_s, after = time.perf_counter() - began_s, _both(served.pid)
    server_s, clients_s = (end.cpu_s - start.cpu_s for start, end in zip(before, after, strict=True))
    return Meeting([told_of(one) for one in heard], took_s, server_s, clients_s)


def _both(server_pid: int) -> tuple[Usage, Usage]:
    return usage(server_pid), usage(os.getpid())
