"""A client that goes away ends the work it asked for.

ASGI tells of a disconnect only to whoever calls `receive` at the time, and a handler that waits for the engine does
not. This middleware listens in its stead and cancels the handler, so that a mode needs no code for it: its
`async with session` does the rest.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextvars import ContextVar
from typing import Any, cast

from litestar import Response
from litestar.response import Stream
from litestar.types import ASGIApp, HTTPDisconnectEvent, Receive, Scope, Send
from litestar.types.asgi_types import ReceiveMessage

_BODILESS = ("GET", "HEAD")
_streams: ContextVar[list[AsyncGenerator[Any]]] = ContextVar("streams of this request")
_calls: ContextVar[list[Callable[[], None]]] = ContextVar("what to call when the client of this request disconnects")


def cancel_on_disconnect(app: ASGIApp) -> ASGIApp:
    """`app`, whose HTTP handlers are cancelled when their client disconnects."""

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        streams, calls = _streams.set([]), _calls.set([])
        watch = _Watch(receive, _calls.get())
        if scope["method"] in _BODILESS:
            watch.start()
        try:
            await app(scope, watch.receive, send)
        except asyncio.CancelledError:
            if not watch.has_disconnected:
                raise
        finally:
            watch.stop()
            for stream in _streams.get():
                await stream.aclose()
            _streams.reset(streams)
            _calls.reset(calls)

    return wrapped


def on_disconnect(call: Callable[[], None]) -> None:
    """Have this called when the client of the current request disconnects, before its handler is cancelled: for what
    should not wait until the handler has been left.
    """
    _calls.get().append(call)


async def close_with_request(response: Response[Any]) -> Response[Any]:
    """An `after_request` hook: see to it that the generator behind a streamed response is closed with its request.

    Litestar leaves it as it stands when the client goes away while a chunk is being sent; what it holds would be kept
    until the garbage collector comes by.
    """
    iterator = cast(object, response.iterator) if isinstance(response, Stream) else None
    if isinstance(iterator, AsyncGenerator):
        _streams.get().append(cast("AsyncGenerator[Any]", iterator))
    return response


class _Watch:
    """Stands between the server's `receive` and the app's. Event loop only."""

    def __init__(self, receive: Receive, calls: Sequence[Callable[[], None]]) -> None:
        self.has_disconnected = False
        self._receive = receive
        self._calls = calls
        self._handler = asyncio.current_task()
        self._watcher: asyncio.Task[None] | None = None

    async def receive(self) -> ReceiveMessage:
        """The body as it comes; behind its end, nothing until the client disconnects."""
        if self._watcher is None:
            message = await self._receive()
            if message["type"] == "http.request" and not message.get("more_body", False):
                self.start()
            return message
        await asyncio.shield(self._watcher)
        return HTTPDisconnectEvent(type="http.disconnect")

    def start(self) -> None:
        self._watcher = asyncio.create_task(self._watch())

    def stop(self) -> None:
        if self._watcher is not None:
            self._watcher.cancel()

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.has_disconnected = True
        for call in self._calls:
            call()
        if self._handler is not None:
            self._handler.cancel()
