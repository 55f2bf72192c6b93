"""More streams at once than there is room for: `python -m tests.bench.overload [--times 4] [--ways http socket]`.

A real server on real sockets. As many times its places as asked for, all at one instant: those that are let in keep
real time, all others are refused at once, with the right code, and nobody waits for an answer that does not come.
Connections are open before the clock starts, so that what clients need for them does not count as the server's.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.serving import Served, serve_process

TEXT: Final = (
    "The harbour was quiet when the first boats came back, and nobody on the pier said a word. Gulls followed them in, "
    "as they do every morning. A boy counted the boxes aloud, lost his place, and began again from one. By noon the "
    "fish was sold, the nets hung in the sun, and the whole town smelled of salt and tar."
)
BYTES_PER_S: Final = 2 * 22_050
SLACK_S: Final = 0.02
"""Less is no gap that anybody hears: it is how exactly an arrival is known."""

SETTLED_S: Final = 0.3
PLACES: Final = 16
"""Of hibari with its default settings: 12 slots, and a line of 4."""

WAIT_S: Final = 90.0


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one client. Times are seconds from its request; `code` is empty where it was let in.

    `gap_s` is the silence in which it waited for audio that should have been there.
    """

    code: str
    answered_s: float
    first_audio_s: float = 0.0
    gap_s: float = 0.0
    audio_s: float = 0.0


class Playback:
    """A listener that plays from the first audio on."""

    def __init__(self) -> None:
        self._began_s = time.perf_counter()
        self._first_s = self._ends_s = self._gap_s = 0.0
        self._num_bytes = 0

    def add(self, num_bytes: int) -> None:
        now_s = time.perf_counter()
        if not self._num_bytes:
            self._first_s = self._ends_s = now_s
        self._gap_s += max(0.0, now_s - self._ends_s - SLACK_S)
        self._ends_s = max(self._ends_s, now_s) + num_bytes / BYTES_PER_S
        self._num_bytes += num_bytes

    def outcome(self, code: str = "", answered_s: float | None = None) -> Outcome:
        first_s = self._first_s - self._began_s if self._num_bytes else 0.0
        return Outcome(
            code=code,
            answered_s=self.elapsed_s if answered_s is None else answered_s,
            first_audio_s=first_s,
            gap_s=self._gap_s,
            audio_s=self._num_bytes / BYTES_PER_S,
        )

    @property
    def elapsed_s(self) -> float:
        return time.perf_counter() - self._began_s


async def crowd_of_requests(served: Served, num: int) -> list[Outcome]:
    """So many `POST /v1/audio/speech/stream` at one instant."""
    ends = [await asyncio.open_connection("127.0.0.1", served.port) for _ in range(num)]
    await asyncio.sleep(SETTLED_S)
    return await asyncio.gather(*(_request(*end) for end in ends))


async def _request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Outcome:
    body = json.dumps({"input": TEXT}).encode()
    head = f"POST /v1/audio/speech/stream HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n"
    playback = Playback()
    try:
        async with asyncio.timeout(WAIT_S):
            writer.write(head.encode() + body)
            answer = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            answered_s, status = playback.elapsed_s, int(answer.split()[1])
            if status != 200:
                return playback.outcome(str(status) + " retry-after" * ("retry-after:" in answer), answered_s)
            while num_bytes := int(await reader.readline(), 16):
                await reader.readexactly(num_bytes + 2)
                playback.add(num_bytes)
            return playback.outcome("", answered_s)
    except (TimeoutError, OSError, ValueError, asyncio.IncompleteReadError) as error:  # broken off
        return playback.outcome(type(error).__name__)
    finally:
        writer.close()


async def crowd_of_sockets(served: Served, num: int) -> list[Outcome]:
    """So many sockets that were open before, each with its first text at one instant."""
    sockets = [await connect(served.socket_url, compression=None) for _ in range(num)]
    await asyncio.sleep(SETTLED_S)
    try:
        return await asyncio.gather(*map(_talk, sockets))
    finally:
        await asyncio.gather(*(socket.close() for socket in sockets))


async def _talk(socket: ClientConnection) -> Outcome:
    playback, answered_s = Playback(), None
    try:
        async with asyncio.timeout(WAIT_S):
            await socket.send(json.dumps({"type": "text", "text": TEXT}))
            await socket.send(json.dumps({"type": "close"}))
            async for message in socket:
                answered_s = answered_s or playback.elapsed_s
                if isinstance(message, bytes):
                    playback.add(len(message))
                    continue
                said: dict[str, Any] = json.loads(message)
                if said["type"] == "error":
                    close_code = await _close_code(socket)
                    return playback.outcome(f"{said['code']} {close_code}", answered_s)
                if said["type"] == "done":
                    return playback.outcome("", answered_s)
            return playback.outcome(f"closed {socket.close_code}")
    except (TimeoutError, OSError) as error:
        return playback.outcome(type(error).__name__)


async def _close_code(socket: ClientConnection) -> int | None:
    try:
        async with asyncio.timeout(1):
            while True:
                await socket.recv()
    except (ConnectionClosed, TimeoutError):
        return socket.close_code


CROWDS: Final = {"http": crowd_of_requests, "socket": crowd_of_sockets}


def told(outcomes: Sequence[Outcome]) -> str:
    """What became of them, for people."""
    heard = [one for one in outcomes if not one.code]
    refused = [one for one in outcomes if one.code]
    lines = [f"  {len(heard)} let in, {len(refused)} refused: {dict(Counter(one.code for one in refused))}"]
    if heard:
        firsts = sorted(one.first_audio_s for one in heard)
        late = [one for one in heard if one.gap_s]
        lines.append(
            f"  first audio {1000 * firsts[len(firsts) // 2]:.0f} ms in the middle, {1000 * firsts[-1]:.0f} at worst; "
            f"{len(late)} with gaps, {1000 * max(one.gap_s for one in heard):.0f} ms at worst, "
            f"of {heard[0].audio_s:.1f} s each"
        )
    if refused:
        answers = sorted(one.answered_s for one in refused)
        middle_ms, worst_ms = 1000 * answers[len(answers) // 2], 1000 * answers[-1]
        lines.append(f"  refused after {middle_ms:.1f} ms in the middle, {worst_ms:.1f} at worst")
    return "\n".join(lines)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.overload")
    parser.add_argument("--times", type=float, default=4, help="the places of the server (4)")
    parser.add_argument("--ways", nargs="+", choices=CROWDS, default=list(CROWDS))
    parser.add_argument("--model", default="hibari")
    parser.add_argument("--line", help="TIDING_MAX_LINE")
    options = parser.parse_args(arguments)
    settings = {"model": options.model} | ({"max_line": options.line} if options.line else {})
    with tempfile.TemporaryDirectory() as folder, serve_process(log=Path(folder) / "log", **settings) as served:
        num = round(options.times * PLACES)
        for way in options.ways:
            print(f"{way}: {num} at one instant", flush=True)
            print(told(asyncio.run(CROWDS[way](served, num))), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
