"""A client of the LLM server's socket that keeps all it hears, and servers for it to talk to: Granian on real sockets,
in this process or in one of its own.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import httpx
import msgspec
from granian.constants import Interfaces
from granian.server.embed import Server as EmbeddedServer
from websockets.asyncio.client import ClientConnection, connect

from app.llm import create_app
from app.settings import LlmSettings
from engines.llm.engine import TextEngine
from engines.llm.model import TextLoader
from tests.serving import ROOT, free_port

Message: TypeAlias = dict[str, Any]

PATIENCE_S = 30.0
ASKING = [{"role": "user", "content": "Tell me something."}]


class Served(msgspec.Struct, frozen=True):
    """Where a server listens, and where it logs."""

    port: int
    log: Path | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def socket_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws"

    async def health(self) -> Message:
        async with httpx.AsyncClient() as client:
            return (await client.get(f"{self.url}/health")).json()

    async def until_idle(self) -> Message:
        """Nothing is left of any stream, by the server's own account."""
        for _ in range(1000):
            health = await self.health()
            if not any(health[name] for name in ("active_streams", "busy_slots", "running", "used_cells")):
                return health
        raise AssertionError(f"something is left: {health}")


class Talker:
    """One client. `heard` holds its messages in order."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.heard: list[Message] = []

    async def send(self, action: str, stream_id: str | None = "a", **fields: object) -> None:
        named = {} if stream_id is None else {"stream_id": stream_id}
        await self.socket.send(json.dumps({"action": action, **named, **fields}))

    async def next(self) -> Message:
        async with asyncio.timeout(PATIENCE_S):
            message = json.loads(await self.socket.recv())
        self.heard.append(message)
        return message

    async def until(self, is_wanted: Callable[[Message], bool]) -> Message:
        """Listen until such a message comes."""
        while not is_wanted(message := await self.next()):
            pass
        return message

    async def until_over(self, stream_id: str = "a") -> Message:
        """The message that answers the asking for a chunk: its end, or an error."""
        return await self.until(lambda message: message.get("stream_id") == stream_id and is_end(message))

    async def start(self, stream_id: str = "a", **fields: object) -> Message:
        """A stream and its first chunk, to the end of it."""
        await self.send("start_stream", stream_id, **({"messages": ASKING} | fields))
        return await self.until_over(stream_id)

    async def go_on(self, stream_id: str = "a", **fields: object) -> Message:
        """Another chunk, to the end of it."""
        await self.send("continue_stream", stream_id, **fields)
        return await self.until_over(stream_id)

    async def end(self, stream_id: str = "a") -> Message:
        await self.send("end_stream", stream_id)
        return await self.until(lambda message: message == {"stream_id": stream_id, "status": "ended"})

    async def ping(self) -> None:
        """Everything that the server had to say to what was sent before has come, but for chunks under way."""
        await self.send("ping", None)
        await self.until(lambda message: message == {"status": "pong"})

    def of(self, stream_id: str = "a") -> list[Message]:
        return [message for message in self.heard if message.get("stream_id") == stream_id]

    def tokens(self, stream_id: str = "a") -> list[str]:
        return [message["content"] for message in self.of(stream_id) if message.get("type") == "token"]


def is_end(message: Message) -> bool:
    return message.get("type") in ("paused", "done", "cancelled") or "done" in message or "error" in message


@asynccontextmanager
async def talk(served: Served, *, max_queue: int | None = None, **options: Any) -> AsyncIterator[Talker]:
    """`max_queue`: messages that wait unheard until the client stops reading; None is all."""
    async with connect(
        served.socket_url, compression=None, max_queue=max_queue, max_size=None, close_timeout=2, **options
    ) as socket:
        yield Talker(socket)


# -- servers -----------------------------------------------------------------------------------------------------------


class Embedded(msgspec.Struct, frozen=True):
    """A server on this event loop, with the engine behind it in reach."""

    served: Served
    engine: TextEngine


@asynccontextmanager
async def serve_here(
    load: TextLoader,
    *,
    settings: LlmSettings | None = None,
    on_failure: Callable[[Exception], None] = lambda _: None,
    num_restarts: int = 0,
    wait_ready: bool = True,
) -> AsyncIterator[Embedded]:
    """The whole app on a real socket, in this process: for tests that stall the model and look at the engine."""
    app = create_app(settings or LlmSettings(), load=load, on_failure=on_failure, num_restarts=num_restarts)
    port = free_port()
    server = EmbeddedServer(app, address="127.0.0.1", port=port, interface=Interfaces.ASGI, log_enabled=False)
    serving = asyncio.create_task(server.serve())
    try:
        await _until_answered(f"http://127.0.0.1:{port}/{'ready' if wait_ready else 'health'}")
        yield Embedded(Served(port), app.state["engine"])
    finally:
        server.stop()
        await serving


async def _until_answered(url: str) -> None:
    async with httpx.AsyncClient() as client:
        for _ in range(2000):
            try:
                if (await client.get(url)).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.01)
    raise TimeoutError("the embedded server does not answer")


@contextmanager
def serve_process(*module: str, log: Path, **settings: str) -> Iterator[Served]:
    """`tests.llm.served` or `app.serve llm` in a process of its own with these settings (`context="512"` is
    `TIDING_LLM_CONTEXT=512`), until the block ends.
    """
    given = {"port": str(free_port())} | settings
    port = int(given["port"])
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TIDING_")}
    environment |= {f"TIDING_LLM_{name.upper()}": value for name, value in given.items()}
    with log.open("ab") as out:
        process = subprocess.Popen([sys.executable, "-m", *module], cwd=ROOT, env=environment, stdout=out, stderr=out)
    try:
        _wait_ready(process, port, log)
        yield Served(port, log)
    finally:
        process.terminate()
        process.wait(20)


def _wait_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline_s = time.monotonic() + 60
    while time.monotonic() < deadline_s:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with status {process.returncode}:\n{log.read_text()}")
        try:
            if httpx.get(f"http://127.0.0.1:{port}/ready").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise TimeoutError(f"the server is not ready:\n{log.read_text()}")
