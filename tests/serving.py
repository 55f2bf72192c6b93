"""Real servers for tests: Granian on a real socket, in a process of its own or on the test's own event loop."""

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from importlib.metadata import EntryPoint
from pathlib import Path

import httpx
import msgspec
from granian.constants import Interfaces
from granian.server.embed import Server as EmbeddedServer

from app.settings import TtsSettings
from app.tts import create_app
from engines.engine import Engine
from engines.fake import FakeModel
from engines.model import Wake

ROOT = Path(__file__).parent.parent
SOCKET_PATH = "/ws/tts/stream"


class Served(msgspec.Struct, frozen=True):
    """Where a server listens."""

    port: int
    pid: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def socket_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}{SOCKET_PATH}"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def serve_process(
    *, log: Path, wait_ready: bool = True, root: Path = ROOT, path: Path | None = None, **settings: str
) -> Iterator[Served]:
    """`python -m app.serve tts` with these settings (`model="fake"` is `TIDING_MODEL=fake`), until the block ends.

    `root`: the tree whose code it is. `path`: a folder of modules that go before those that are installed.
    """
    given = {"port": str(free_port())} | settings
    port = int(given["port"])
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TIDING_")}
    environment |= {f"TIDING_{name.upper()}": value for name, value in given.items()}
    if path is not None:
        environment["PYTHONPATH"] = str(path)
    with log.open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "app.serve", "tts"], cwd=root, env=environment, stdout=out, stderr=out
        )
    try:
        if wait_ready:
            _wait_ready(process, port, log)
        yield Served(port, process.pid)
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


class Embedded(msgspec.Struct, frozen=True):
    """A server on this event loop, with what stands behind it in reach."""

    served: Served
    engine: Engine
    model: FakeModel


@asynccontextmanager
async def serve_here(
    make_model: Callable[[Wake], FakeModel] = FakeModel,
    *,
    settings: TtsSettings | None = None,
    mode_points: Sequence[EntryPoint] | None = None,
    num_restarts: int = 0,
) -> AsyncIterator[Embedded]:
    """The whole app on a real socket, in this process: for tests that stall the model and look at the scheduler."""
    made: list[FakeModel] = []

    def load(wake: Wake) -> FakeModel:
        made.append(make_model(wake))
        return made[0]

    app = create_app(
        settings or TtsSettings(),
        load=load,
        mode_points=mode_points,
        on_failure=lambda _: None,
        num_restarts=num_restarts,
    )
    port = free_port()
    server = EmbeddedServer(app, address="127.0.0.1", port=port, interface=Interfaces.ASGI, log_enabled=False)
    serving = asyncio.create_task(server.serve())
    try:
        await _until_ready(port)
        yield Embedded(Served(port, os.getpid()), app.state["engine"], made[0])
    finally:
        server.stop()
        await serving


async def _until_ready(port: int) -> None:
    async with httpx.AsyncClient() as client:
        for _ in range(400):
            try:
                if (await client.get(f"http://127.0.0.1:{port}/ready")).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.01)
    raise TimeoutError("the embedded server is not ready")
