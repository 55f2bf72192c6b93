"""Requests and sockets under way: how many there are, and how to end what is left of them."""

import asyncio
from typing import Any, Final

from litestar.types import ASGIApp, Message, Receive, Scope, Send

GOING_AWAY: Final = 1001
"""Source: RFC 6455, section 7.4.1."""

OPERATORS_PATHS: Final = ("/health", "/ready", "/metrics", "/admin/drain")
"""Whoever asks there waits for nothing that could be cut off."""


class Connections:
    """Event loop only."""

    def __init__(self) -> None:
        self._requests: set[asyncio.Task[Any]] = set()
        self._sockets: set[asyncio.Task[Any]] = set()
        self._num_sending = 0
        self._is_closing = False

    @property
    def num_busy(self) -> int:
        """Requests that have not been answered to their end, and sockets that something is being sent on. A socket
        that rests may have work all the same: its engine knows.
        """
        return len(self._requests) + self._num_sending

    def track(self, app: ASGIApp) -> ASGIApp:
        """`app`, whose requests and sockets are known here."""

        async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "websocket":
                await self._serve_socket(app, scope, receive, send)
            elif scope["type"] == "http" and scope["path"] not in OPERATORS_PATHS:
                await self._answer(app, scope, receive, send)
            else:
                await app(scope, receive, send)

        return wrapped

    async def close(self) -> None:
        """Break off the requests that are left, close the sockets, and return when they have gone."""
        self._is_closing = True
        left = self._requests | self._sockets
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left)

    async def _answer(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        task = _current_task()
        self._requests.add(task)
        try:
            await app(scope, receive, send)
        finally:
            self._requests.discard(task)

    async def _serve_socket(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        async def counted_send(message: Message) -> None:
            self._num_sending += 1
            try:
                await send(message)
            finally:
                self._num_sending -= 1

        task = _current_task()
        self._sockets.add(task)
        try:
            await app(scope, receive, counted_send)
        except asyncio.CancelledError:
            if not self._is_closing:
                raise
            # Now that nobody receives: Granian would not send it.
            await send({"type": "websocket.close", "code": GOING_AWAY, "reason": "the server is about to end"})
        finally:
            self._sockets.discard(task)


def _current_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None, "the server makes a task of each"
    return task
