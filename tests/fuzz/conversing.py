"""A client of `/ws/tts/stream` that keeps account of what it asks and of what it hears."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
from websockets.asyncio.client import ClientConnection, connect

from modes.messages import Cancelled, Failed, Init, Pong, ServerMessage
from tests.fuzz.accounts import Account, Asked, is_explained
from tests.serving import Served

MAX_CHARS: Final = 20_000
"""So many may wait. Source: settings, `max_waiting_chars`."""

PATIENCE_S: Final = 20.0
QUEUE: Final = 8
"""Messages that wait unread before the client's end of the connection stops taking more."""


class ContextTalk:
    """What was asked for in one context."""

    def __init__(self, options: Init) -> None:
        self.options = options
        self.asked: list[Asked] = []
        self.num_settled = 0  # streams that were heard, and found right

    @property
    def open_stream(self) -> Asked | None:
        return self.asked[-1] if self.asked and self.asked[-1].is_open else None

    def begin(self, options: Init) -> None:
        self.drop_all()
        self.options = options
        self.create(is_announced=True)

    def create(self, *, is_announced: bool) -> Asked:
        stream = Asked(self.options, is_announced=is_announced)
        self.asked.append(stream)
        return stream

    def is_alone(self, mode: str | None) -> bool:
        aggregate = self.options.aggregate
        return aggregate == "none" or (aggregate == "auto" and mode is not None)

    def drop_all(self) -> None:
        for stream in self.asked:
            stream.is_dropped = True


class Conversation:
    """One socket. What is sent is written down as the protocol means it; `settle` and `finish` compare.

    Every message is for the context `name`, of which there are fewer than a socket may have. Who hears nothing for
    `rest_s`, though nothing is outstanding, has heard all.
    """

    def __init__(self, socket: ClientConnection, rest_s: float) -> None:
        self.socket = socket
        self.account = Account()
        self.name: str | None = None
        self._rest_s = rest_s
        self._talks: dict[str | None, ContextTalk] = {None: ContextTalk(Init())}
        self._due: Counter[tuple[str | None, type[ServerMessage]]] = Counter()

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
        talk = self._talk
        is_alone = talk.is_alone(fields.get("mode"))
        stream = talk.open_stream
        if not text.strip() and (stream is None or is_alone):
            await self.send(message)
            return
        num_chars = len(text) + (len(stream.text) if stream else 0)
        if len(text) > MAX_CHARS:
            self._due[self.name, Failed] += 1
            await self.send(message)
        elif num_chars <= MAX_CHARS or await self._is_taken(message):
            if num_chars <= MAX_CHARS:
                await self.send(message)
            self._talks[self.name] = talk
            (stream or talk.create(is_announced=False)).add(text, is_alone=is_alone)

    async def close(self) -> None:
        await self.send({"type": "close"})
        if (stream := self._talk.open_stream) is None:
            self._due[self.name, Failed] += 1
        else:
            stream.is_closed = True

    async def cancel(self, fields: Mapping[str, Any]) -> None:
        await self.send({"type": "cancel", **fields})
        self._due[self.name, Cancelled] += 1
        cancelled = next((stream for stream in self._talk.asked if not stream.is_dropped), None)
        if cancelled is not None:
            cancelled.is_announced = True  # before now, or so that it can be told that it was cancelled
        self._talk.drop_all()

    async def ping(self) -> None:
        self._due[self.name, Pong] += 1
        await self.send({"type": "ping"})

    async def wrong(self, data: str | bytes) -> None:
        """What is not understood, or not followed: one error, in the context that it names."""
        self._due[_context_of(data), Failed] += 1
        await self._send(data)

    async def send(self, message: Mapping[str, Any]) -> None:
        await self._send(json.dumps(message if self.name is None else {**message, "context_id": self.name}))

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
        """Each ping has one pong, and each message that was wrong one error, in its context."""
        await self.ping()
        await self._hear_until(lambda: self._has_all(Pong), "each ping has its pong")
        assert self._has_all(Failed), f"expected {self._due}, got {self.account.answers}"

    async def finish(self) -> None:
        """Closed, every stream comes to its end, and all that was heard is what had to be."""
        turned_to = self.name
        for name, talk in self._talks.items():
            self.name = name
            if any(stream.is_endless for stream in talk.asked):
                await self.cancel({})
            if talk.open_stream is not None:
                await self.close()
        self.name = turned_to
        is_at_rest = False
        while not is_at_rest:
            await self._hear_until(lambda: self.is_whole, "all that was asked for was heard")
            num_before = self.account.num_messages
            await self.listen(self._rest_s)
            is_at_rest = self.account.num_messages == num_before
        await self.settle()
        assert self.is_whole, "nothing came behind the end"
        for name, talk in self._talks.items():
            talk.num_settled = len(self.account.streams[name])
            talk.asked.clear()

    @property
    def is_whole(self) -> bool:
        """Whether nothing is outstanding, and nothing came that nobody asked for."""
        asked = {name: talk.asked for name, talk in self._talks.items()}
        settled = {name: talk.num_settled for name, talk in self._talks.items()}
        return self._has_all(Cancelled) and all(
            is_explained(self.account.streams[name][settled.get(name, 0) :], asked.get(name, []))
            for name in {*self.account.streams, *asked}
        )

    def _has_all(self, kind: type[ServerMessage]) -> bool:
        """Whether each answer of a kind has come, in its context, and no other."""
        return _of_kind(self.account.answers, kind) == _of_kind(self._due, kind)

    async def _hear_until(self, is_so: Callable[[], bool], what: str) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not is_so():
                    self.account.hear(await self.socket.recv())
        except TimeoutError:
            raise AssertionError(f"this did not come about: {what}") from None

    # -- what that means -----------------------------------------------------------------------------------------------

    @property
    def _talk(self) -> ContextTalk:
        """The context that messages are for. One that has not begun has the settings of the one without a name."""
        return self._talks.get(self.name) or ContextTalk(self._talks[None].options)

    async def _is_taken(self, message: Mapping[str, Any]) -> bool:
        """Whether a message is not answered with an error."""
        await self.settle()
        await self.send(message)
        await self.ping()
        await self._hear_until(lambda: self._has_all(Pong), "each ping has its pong")
        num_new = self.account.answers[self.name, Failed] - self._due[self.name, Failed]
        assert num_new in (0, 1), self.account.answers
        self._due[self.name, Failed] += num_new
        return not num_new

    def _begin(self, fields: Mapping[str, Any]) -> None:
        talk = self._talks[self.name] = self._talk
        talk.begin(msgspec.convert({"type": "init", **fields}, Init))


def _of_kind(
    answers: Mapping[tuple[str | None, type[ServerMessage]], int], kind: type[ServerMessage]
) -> dict[str | None, int]:
    return {name: num for (name, answer), num in answers.items() if answer is kind and num}


def _context_of(data: str | bytes) -> str | None:
    """The context that a message names, whatever else is wrong with it; None where it is no JSON object."""
    try:
        message = json.loads(data)
        msgspec.json.decode(data)  # more is JSON to Python
    except (ValueError, RecursionError):
        return None
    name = message.get("context_id") if isinstance(message, dict) else None
    return name if isinstance(name, str) and 1 <= len(name) <= 128 else None


async def begin(served: Served, rest_s: float = 0.03) -> Conversation:
    """A conversation on a socket of its own."""
    socket = await connect(served.socket_url, compression=None, max_queue=QUEUE, close_timeout=2)
    return Conversation(socket, rest_s)
