"""Clients that nobody would wish for. Whatever they do, they get at most what they ask for, and others lose nothing."""

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeAlias, cast
from urllib.parse import urlsplit

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from tests.soak.watching import Servers

TEXTS: Final = (
    "It was a dark and stormy night, and the rain fell in torrents, except at occasional intervals.",
    "No.",
    "This one is the bane of the voice. The next sentence is spoken all the same.",
    "One hundred and twelve people, at 7:30 pm, paid $84.50 each. Then they left, all of them, and nobody knows why.",
)
LONG_TEXT: Final = 8 * TEXTS[0]
"""More than two systems and a server hold between them, spoken."""

OVERSIZE: Final = 5_000_000
LONGEST_S: Final = 15.0

SEND_TIMEOUT_S: Final = 4.0
"""What the servers are told: for so long they keep who takes nothing."""

Chance: TypeAlias = random.Random
Act: TypeAlias = Callable[[Servers, Chance], Awaitable[str]]
"""Returns what became of it."""


# -- over HTTP ---------------------------------------------------------------------------------------------------------


async def _begin(url: str, path: str, body: dict[str, Any]) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    where = urlsplit(url)
    data = json.dumps(body).encode()
    reader, writer = await asyncio.open_connection(where.hostname, where.port, limit=4096)
    writer.write(f"POST {path} HTTP/1.1\r\nHost: soak\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data)
    return reader, writer


async def _speech(servers: Servers, chance: Chance) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    path = chance.choice(("/v1/audio/speech", "/v1/audio/speech/stream"))
    rate_hz = chance.choice((8000, 48_000))
    body = {"input": chance.choice(TEXTS), "response_format": "pcm", "sample_rate": rate_hz}
    return await _begin(servers.speech, path, body)


async def leaves_before_the_sound(servers: Servers, chance: Chance) -> str:
    _, writer = await _speech(servers, chance)
    await asyncio.sleep(chance.uniform(0, 0.03))
    writer.transport.abort()
    return "left"


async def leaves_in_the_middle(servers: Servers, chance: Chance) -> str:
    reader, writer = await _speech(servers, chance)
    status = (await reader.readuntil(b"\r\n")).split()[1].decode()
    await reader.read(chance.randrange(1, 4096))
    writer.transport.abort()
    return status


async def reads_slowly(servers: Servers, chance: Chance) -> str:
    reader, writer = await _speech(servers, chance)
    for _ in range(chance.randrange(4, 12)):
        await reader.read(2048)
        await asyncio.sleep(0.2)
    writer.close()
    return "left"


async def stops_reading(servers: Servers, chance: Chance) -> str:
    _, writer = await _speech(servers, chance)
    await asyncio.sleep(chance.uniform(1, 4))
    writer.transport.abort()
    return "left"


async def takes_nothing(servers: Servers, _: Chance) -> str:
    """What comes of it is an error of its connection: that was ended while it held on to it."""
    body = {"input": LONG_TEXT, "response_format": "pcm", "sample_rate": 48_000}
    reader, writer = await _begin(servers.speech, "/v1/audio/speech/stream", body)
    transport = cast("asyncio.Transport", writer.transport)
    transport.pause_reading()
    await asyncio.sleep(2.5 * SEND_TIMEOUT_S)
    transport.resume_reading()
    while await reader.read(2**20):
        pass
    return "got it all"


async def sends_a_body_too_large(servers: Servers, chance: Chance) -> str:
    url = chance.choice((f"{servers.speech}/v1/audio/speech", f"{servers.text}/v1/chat/completions"))
    async with httpx.AsyncClient(timeout=LONGEST_S) as client:
        return str((await client.post(url, content=b"[" * OVERSIZE)).status_code)


async def sends_half_a_request(servers: Servers, chance: Chance) -> str:
    where = urlsplit(chance.choice((servers.speech, servers.text)))
    _, writer = await asyncio.open_connection(where.hostname, where.port)
    writer.write(b"POST /v1/audio/speech HTTP/1.1\r\nHost: soak\r\nContent-Length: 100\r\n\r\n{" + chance.randbytes(20))
    await asyncio.sleep(chance.uniform(0, 1))
    writer.transport.abort()
    return "left"


async def sends_garbage(servers: Servers, chance: Chance) -> str:
    where = urlsplit(chance.choice((servers.speech, servers.text)))
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    writer.write(chance.randbytes(chance.randrange(1, 3000)) + b"\r\n\r\n")
    answer = await reader.read(100)
    writer.close()
    return answer[9:12].decode("latin-1") or "dropped"


async def forgets_its_stream(servers: Servers, chance: Chance) -> str:
    async with httpx.AsyncClient(base_url=servers.speech, timeout=LONGEST_S) as client:
        opened = await client.post("/v1/tts/stream")
        if opened.status_code != 200:
            return str(opened.status_code)
        path = f"/v1/tts/stream/{opened.json()['stream_id']}"
        await client.post(f"{path}/append", json={"text": chance.choice(TEXTS)})
        if chance.random() < 0.7:  # else it is left to the server
            await client.delete(path)
    return "left"


async def chats_and_leaves(servers: Servers, chance: Chance) -> str:
    body = {"messages": [{"role": "user", "content": chance.choice(TEXTS)}], "stream": True, "max_tokens": 60}
    _, writer = await _begin(servers.text, "/v1/chat/completions", body)
    await asyncio.sleep(chance.uniform(0, 0.5))
    writer.transport.abort()
    return "left"


# -- on sockets --------------------------------------------------------------------------------------------------------


def _socket(servers: Servers, **options: Any) -> Any:
    return connect(servers.speech.replace("http", "ws") + "/ws/tts/stream", compression=None, **options)


async def _say(socket: ClientConnection, chance: Chance) -> None:
    await socket.send(json.dumps({"type": "init", "send_rate": chance.choice((0, 1, 4))}))
    for word in chance.choice(TEXTS).split(" "):
        await socket.send(json.dumps({"type": "text", "text": f"{word} "}))


async def cancels(servers: Servers, chance: Chance) -> str:
    async with _socket(servers) as socket:
        for _ in range(chance.randrange(1, 4)):
            await _say(socket, chance)
            await asyncio.sleep(chance.uniform(0, 0.6))
            await socket.send('{"type": "cancel"}')
            async for message in socket:
                if isinstance(message, str) and json.loads(message)["type"] == "cancelled":
                    break
    return "cancelled"


async def drops_its_socket(servers: Servers, chance: Chance) -> str:
    async with _socket(servers) as socket:
        await _say(socket, chance)
        await asyncio.sleep(chance.uniform(0, 1))
        socket.transport.abort()
    return "left"


async def stops_listening(servers: Servers, chance: Chance) -> str:
    async with _socket(servers, max_queue=1) as socket:
        await _say(socket, chance)
        await asyncio.sleep(chance.uniform(1, 4))
        socket.transport.abort()
    return "left"


async def talks_nonsense(servers: Servers, chance: Chance) -> str:
    to_text = connect(servers.text.replace("http", "ws") + "/ws")
    async with chance.choice((_socket(servers), to_text)) as socket:
        for _ in range(chance.randrange(1, 6)):
            nonsense = ('{"type": "fly"}', "[]", '{"type": "text"}', "{", '{"action": "fly"}', chance.randbytes(40))
            await socket.send(chance.choice(nonsense))
            await socket.recv()
    return "answered"


async def sends_a_message_too_large(servers: Servers, _: Chance) -> str:
    async with _socket(servers) as socket:
        await socket.send(json.dumps({"type": "text", "text": "a" * OVERSIZE}))
        return json.loads(await socket.recv())["code"]


async def storms(servers: Servers, chance: Chance) -> str:
    async def visit() -> None:
        socket = await _socket(servers)
        if chance.random() < 0.5:
            socket.transport.abort()
        else:
            await socket.close()

    visits = await asyncio.gather(*(visit() for _ in range(20)), return_exceptions=True)
    return "stormed" if not any(isinstance(one, BaseException) for one in visits) else "stormed, in part"


async def writes_and_breaks_off(servers: Servers, chance: Chance) -> str:
    async with connect(servers.text.replace("http", "ws") + "/ws") as socket:
        asked = {"messages": [{"role": "user", "content": chance.choice(TEXTS)}], "max_tokens": 60}
        await socket.send(json.dumps({"action": "start_stream", "stream_id": "a", **asked}))
        await asyncio.sleep(chance.uniform(0, 0.5))
        if chance.random() < 0.5:
            await socket.send(json.dumps({"action": "cancel_stream", "stream_id": "a"}))
            await socket.recv()
        socket.transport.abort()
    return "left"


ACTS: Final[Sequence[Act]] = (
    leaves_before_the_sound, leaves_in_the_middle, reads_slowly, stops_reading, takes_nothing, sends_a_body_too_large,
    sends_half_a_request, sends_garbage, forgets_its_stream, chats_and_leaves, cancels, drops_its_socket,
    stops_listening, talks_nonsense, sends_a_message_too_large, storms, writes_and_breaks_off,
)  # fmt: skip


async def misbehave(servers: Servers, until_s: float, chance: Chance, outcomes: Counter[str]) -> None:
    """One act after the other, as chance has it. What became of them is counted."""
    while time.monotonic() < until_s:
        act = chance.choice(ACTS)
        try:
            async with asyncio.timeout(LONGEST_S):
                outcome = await act(servers, chance)
        except TimeoutError:
            outcome = "no answer"
        except (OSError, EOFError, ConnectionClosed, InvalidHandshake, httpx.TransportError) as error:
            outcome = type(error).__name__
        outcomes[f"{act.__name__}: {outcome}"] += 1
        await asyncio.sleep(chance.uniform(0, 0.3))
