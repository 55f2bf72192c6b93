"""A client of `/ws/tts/stream` that keeps account of what it asks and of what it hears."""

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
from websockets.asyncio.client import ClientConnection, connect

from modes.messages import Init
from tests.fuzz.accounts import Account, Asked, is_explained
from tests.serving import Served

MAX_CHARS: Final = 20_000
"""So many may wait. Source: settings, `max_waiting_chars`."""

PATIENCE_S: Final = 20.0
QUEUE: Final = 8
"""Messages that wait unread before the client's end of the connection stops taking more."""


class Conversation:
    """One socket. What is sent is written down as the protocol means it; `settle` and `finish` compare.

    Who hears nothing for `rest_s`, though nothing is outstanding, has heard all.
    """

    def __init__(self, socket: ClientConnection, rest_s: float) -> None:
        self.socket = socket
        self.account = Account()
        self.asked: list[Asked] = []
        self.options = Init()
        self._rest_s = rest_s
        self._num_settled = 0  # streams that were heard, and found right
        self._num_errors_due = 0
        self._num_pings = 0
        self._num_cancels = 0

    # -- what a client says --------------------------------------------------------------------------------------------

    async def init(self, fields: Mapping[str, Any]) -> None:
        """An `init` that is good."""
        await self.send({"type": "init", **fields})
        self._begin(fields)

    async def try_init(self, fields: Mapping[str, Any]) -> None:
        """An `init` that msgspec takes and the server may not: one or the other, and nothing else."""
        if await self._is_taken({"type": "init", **fields}):
            self._begin(fields)

    async def text(self, text: str, fields: Mapping[str, Any]) -> None:
        """Text that is spoken, passed over because it is blank, or refused because it is too long."""
        message = {"type": "text", "text": text, **fields}
        is_alone = self._is_alone(fields.get("mode"))
        stream = self.open_stream
        if not text.strip() and (stream is None or is_alone):
            await self.send(message)
            return
        num_chars = len(text) + (len(stream.text) if stream else 0)
        if len(text) > MAX_CHARS:
            await self.wrong(json.dumps(message))
        elif num_chars <= MAX_CHARS or await self._is_taken(message):
            if num_chars <= MAX_CHARS:
                await self.send(message)
            self._add(stream or self._create(is_announced=False), text, is_alone=is_alone)

    async def close(self) -> None:
        stream = self.open_stream
        await self.send({"type": "close"})
        if stream is None:
            self._num_errors_due += 1
        else:
            stream.is_closed = True

    async def cancel(self, fields: Mapping[str, Any]) -> None:
        await self.send({"type": "cancel", **fields})
        self._num_cancels += 1
        cancelled = next((stream for stream in self.asked if not stream.is_dropped), None)
        if cancelled is not None:
            cancelled.is_announced = True  # before now, or so that it can be told that it was cancelled
        self._drop_all()

    async def ping(self) -> None:
        self._num_pings += 1
        await self.send({"type": "ping"})

    async def wrong(self, data: str | bytes) -> None:
        """What is not understood, or not followed: one error."""
        self._num_errors_due += 1
        await self._send(data)

    async def send(self, message: Mapping[str, Any]) -> None:
        await self._send(json.dumps(message))

    async def _send(self, data: str | bytes) -> None:
        """Listening meanwhile where the server does not read before it is read."""
        sending = asyncio.ensure_future(self.socket.send(data))
        async with asyncio.timeout(PATIENCE_S):
            while not sending.done():
                await asyncio.wait([sending], timeout=0.05)
                if not sending.done():
                    await self.listen(0.01)
        sending.result()

    # -- what it hears -------------------------------------------------------------------------------------------------

    async def listen(self, duration_s: float) -> None:
        """Hear what comes in so much time."""
        try:
            async with asyncio.timeout(duration_s):
                while True:
                    self.account.hear(await self.socket.recv())
        except TimeoutError:
            pass

    async def settle(self) -> None:
        """Each ping has one pong, and each message that was wrong one error."""
        await self.ping()
        await self._hear_until(lambda: self.account.num_pongs == self._num_pings, "each ping has its pong")
        errors = self.account.errors
        assert len(errors) == self._num_errors_due, f"expected {self._num_errors_due}, got {errors[-3:]}"

    async def finish(self) -> None:
        """Closed, every stream comes to its end, and all that was heard is what had to be."""
        if any(stream.is_endless for stream in self.asked):
            await self.cancel({})
        if self.open_stream is not None:
            await self.close()
        is_at_rest = False
        while not is_at_rest:
            await self._hear_until(lambda: self.is_whole, "all that was asked for was heard")
            num_before = self.account.num_messages
            await self.listen(self._rest_s)
            is_at_rest = self.account.num_messages == num_before
        await self.settle()
        assert self.is_whole, "nothing came behind the end"
        self._num_settled = len(self.account.streams)
        self.asked.clear()

    @property
    def is_whole(self) -> bool:
        """Whether nothing is outstanding."""
        heard = self.account.streams[self._num_settled :]
        return self.account.num_cancelled == self._num_cancels and is_explained(heard, self.asked)

    async def _hear_until(self, is_so: Callable[[], bool], what: str) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not is_so():
                    self.account.hear(await self.socket.recv())
        except TimeoutError:
            raise AssertionError(f"this did not come about: {what}") from None

    # -- what that means -----------------------------------------------------------------------------------------------

    @property
    def open_stream(self) -> Asked | None:
        return self.asked[-1] if self.asked and self.asked[-1].is_open else None

    async def _is_taken(self, message: Mapping[str, Any]) -> bool:
        """Whether a message is not answered with an error."""
        await self.settle()
        await self.send(message)
        await self.ping()
        await self._hear_until(lambda: self.account.num_pongs == self._num_pings, "each ping has its pong")
        num_new = len(self.account.errors) - self._num_errors_due
        assert num_new in (0, 1), self.account.errors[-3:]
        self._num_errors_due += num_new
        return not num_new

    def _begin(self, fields: Mapping[str, Any]) -> None:
        self._drop_all()
        self.options = msgspec.convert({"type": "init", **fields}, Init)
        self._create(is_announced=True)

    def _create(self, *, is_announced: bool) -> Asked:
        stream = Asked(self.options, is_announced=is_announced)
        self.asked.append(stream)
        return stream

    def _add(self, stream: Asked, text: str, *, is_alone: bool) -> None:
        stream.text += text
        stream.num_alone += is_alone
        stream.is_aggregated |= not is_alone

    def _is_alone(self, mode: str | None) -> bool:
        aggregate = self.options.aggregate
        return aggregate == "none" or (aggregate == "auto" and mode is not None)

    def _drop_all(self) -> None:
        for stream in self.asked:
            stream.is_dropped = True


async def begin(served: Served, rest_s: float = 0.03) -> Conversation:
    """A conversation on a socket of its own."""
    socket = await connect(served.socket_url, compression=None, max_queue=QUEUE, close_timeout=2)
    return Conversation(socket, rest_s)
