"""What answers in a server's place while it is not there: 503 to everything, and why."""

import asyncio
import json
from contextlib import suppress
from http import HTTPStatus
from typing import Final

REQUEST_S: Final = 5.0
"""For a request to arrive in."""

RETRY_AFTER_S: Final = 10

MAX_WAITING: Final = 64
"""Requests at once: above it connections are closed unanswered."""


class StandIn:
    """Listens where a server will. Event loop only."""

    def __init__(self, host: str, port: int) -> None:
        self._address = host, port
        self._reason = self._detail = ""
        self._is_temporary = False
        self._server: asyncio.Server | None = None
        self._answering: set[asyncio.Task[None]] = set()

    def wait(self, reason: str, detail: str) -> None:
        """Say from now on that there will be a server. `reason` is a stable word, `detail` is for people."""
        self._reason, self._detail, self._is_temporary = reason, detail, True

    def refuse(self, reason: str, detail: str) -> None:
        """Say from now on that there will be none."""
        self._reason, self._detail, self._is_temporary = reason, detail, False

    async def open(self) -> None:
        """Begin to listen.

        Raises:
            OSError: somebody else listens there.
        """
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, *self._address)

    async def close(self) -> None:
        """Make room for the server."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        for task in self._answering:
            task.cancel()
        await server.wait_closed()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if len(self._answering) >= MAX_WAITING:
            writer.close()
            return
        self._answering.add(task)
        try:
            with suppress(TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                async with asyncio.timeout(REQUEST_S):
                    head = await reader.readuntil(b"\r\n\r\n")
                    writer.write(self._answer(with_body=not head.startswith(b"HEAD ")))
                    await writer.drain()
        finally:
            self._answering.discard(task)
            writer.close()

    def _answer(self, *, with_body: bool) -> bytes:
        error = {"message": self._detail, "type": "server_error", "param": None, "code": self._reason}
        said = {"status": self._reason, "ready": False, "reason": self._reason, "detail": self._detail, "error": error}
        body = json.dumps(said, ensure_ascii=False).encode()
        status = HTTPStatus.SERVICE_UNAVAILABLE
        head = [f"HTTP/1.1 {status.value} {status.phrase}", "Content-Type: application/json", "Connection: close"]
        head += [f"Content-Length: {len(body)}"] + [f"Retry-After: {RETRY_AFTER_S}"] * self._is_temporary
        return "\r\n".join([*head, "", ""]).encode() + body * with_body
