"""Points on the way of a request's first audio through the server, noted by wrapping what it calls anyway."""

import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import pairwise
from typing import Any, Final, TypeAlias

import msgspec
from litestar import Litestar

from engines.encoders import PcmEncoder
from engines.engine import Engine
from engines.hibari import Hibari
from engines.model import Made, StepResult
from engines.scheduler import Scheduler
from engines.session import Session
from modes.speaking import SpokenStream

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Call: TypeAlias = Callable[..., Any]
Wrap: TypeAlias = Callable[[Call], Call]

SENT: Final = "sent by the client"
RECEIVED: Final = "request received"
UNDERSTOOD: Final = "request parsed"
OPENED: Final = "session opened"
SUBMITTED: Final = "segment submitted"
PREFILL: Final = "prefill begun"
READY: Final = "prefill done"
STEPPED: Final = "first step with audio made"
DELIVERED: Final = "delivered to the session"
ENCODED: Final = "encoded"
FIRST_SENT: Final = "first byte handed to the socket"
ARRIVED: Final = "first byte at the client"
AUDIBLE: Final = "first audible sample at the client"

STAGES: Final = (
    *(SENT, RECEIVED, UNDERSTOOD, OPENED, SUBMITTED, PREFILL, READY),
    *(STEPPED, DELIVERED, ENCODED, FIRST_SENT, ARRIVED, AUDIBLE),
)


class Marks:
    """When each point was first passed since the last request was received, in seconds of `time.monotonic`, which all
    processes of a machine share. Any thread.
    """

    def __init__(self) -> None:
        self._times_s: dict[str, float] = {}

    def note(self, stage: str) -> None:
        self._times_s.setdefault(stage, time.monotonic())

    def begin(self) -> None:
        """A request was received."""
        self._times_s = {RECEIVED: time.monotonic()}

    @property
    def times_s(self) -> Mapping[str, float]:
        return dict(self._times_s)


class Interval(msgspec.Struct, frozen=True):
    """A point on the way: since the sending, and since the point before, in ms."""

    stage: str
    at_ms: float
    took_ms: float


def intervals(times_s: Mapping[str, float]) -> list[Interval]:
    """The points that were passed after the sending, in the order of the clock."""
    sent_s = times_s[SENT]
    passed = [stage for stage in STAGES if stage != SENT and times_s.get(stage, sent_s - 1) >= sent_s]
    way = [SENT, *sorted(passed, key=times_s.__getitem__)]
    return [
        Interval(stage, (times_s[stage] - sent_s) * 1000, (times_s[stage] - times_s[before]) * 1000)
        for before, stage in pairwise(way)
    ]


@contextmanager
def watching(marks: Marks) -> Iterator[None]:
    """Notes of every server in this process, until the block ends."""
    note = marks.note
    wraps: tuple[tuple[type, str, Wrap], ...] = (
        (Litestar, "__call__", lambda call: _asgi(call, marks)),
        (SpokenStream, "push", lambda call: _before(call, partial(note, UNDERSTOOD))),
        (Engine, "open_session", lambda call: _around(call, partial(note, UNDERSTOOD), partial(note, OPENED))),
        (Scheduler, "submit", lambda call: _before(call, partial(note, SUBMITTED))),
        (Hibari, "prefill", lambda call: _before(call, partial(note, PREFILL))),
        (Scheduler, "wake", lambda call: _before(call, partial(note, READY))),
        (Hibari, "step", lambda call: _after(call, partial(note, STEPPED), wanted=_has_audio)),
        (Session, "on_result", lambda call: _result(call, partial(note, DELIVERED))),
        (PcmEncoder, "encode", lambda call: _after(call, partial(note, ENCODED), wanted=bool)),
    )
    with ExitStack() as stack:
        for owner, name, wrap in wraps:
            original = getattr(owner, name)
            stack.callback(setattr, owner, name, original)
            setattr(owner, name, wrap(original))
        yield


def _before(call: Call, note: Callable[[], None]) -> Call:
    def noted(*args: Any, **kwargs: Any) -> Any:
        note()
        return call(*args, **kwargs)

    return noted


def _after(call: Call, note: Callable[[], None], *, wanted: Callable[[Any], bool] | None = None) -> Call:
    def noted(*args: Any, **kwargs: Any) -> Any:
        result = call(*args, **kwargs)
        if wanted is None or wanted(result):
            note()
        return result

    return noted


def _around(call: Call, note_before: Callable[[], None], note_after: Callable[[], None]) -> Call:
    return _after(_before(call, note_before), note_after)


def _result(call: Call, note: Callable[[], None]) -> Call:
    def noted(session: Session, result: StepResult) -> None:
        if len(result.pcm):
            note()
        call(session, result)

    return noted


def _has_audio(made: Made) -> bool:
    return any(len(result.pcm) for result in made.results)


def _asgi(call: Call, marks: Marks) -> Call:
    """The app, which notes when text has come in and when audio goes out."""

    async def noted(app: Litestar, scope: Any, receive: Receive, send: Send) -> None:
        async def receiving() -> Message:
            message = await receive()
            if _carries_text(message):
                marks.begin()
            return message

        async def sending(message: Message) -> None:
            if message.get("body") or message.get("bytes"):
                marks.note(FIRST_SENT)
            await send(message)

        await call(app, scope, receiving, sending)

    return noted


def _carries_text(message: Message) -> bool:
    """An HTTP request's body, or a WebSocket's message of type `text`."""
    return bool(message.get("body")) or '"type": "text"' in (message.get("text") or "")
