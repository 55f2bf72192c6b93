"""What a socket is sent: one message after the other, whoever it comes from."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec
from litestar import WebSocket

from engines.errors import SessionClosed
from modes.messages import Chunk, ServerMessage

Socket: TypeAlias = WebSocket[Any, Any, Any]


class Outbox:
    """Event loop only. Who waits for its turn gets it in order of arrival. A stream waits with one message at a time,
    so that several streams take turns, however much each has to send.
    """

    def __init__(self, socket: Socket) -> None:
        self._socket = socket
        self._turn = asyncio.Lock()

    async def send(self, message: ServerMessage) -> None:
        """Send a message as JSON."""
        async with self._turn:
            await self._send_json(message)

    async def send_audio(self, audio: bytes, head: Chunk | None, is_wanted: Callable[[], bool]) -> None:
        """Send audio, right behind the message that says whose it is, if there is one.

        Raises:
            SessionClosed: it is not wanted any more when its turn comes.
        """
        async with self._turn:
            if not is_wanted():
                raise SessionClosed("the stream was dropped")
            if head is not None:
                await self._send_json(head)
            await self._socket.send({"type": "websocket.send", "bytes": audio, "text": None})

    async def _send_json(self, message: ServerMessage) -> None:
        text = msgspec.json.encode(message).decode()
        await self._socket.send({"type": "websocket.send", "bytes": None, "text": text})
