"""Each request has a name, a mode and perhaps a trace, which whatever is done for it can ask for."""

import uuid
from collections.abc import Mapping
from typing import Final

from litestar.datastructures import MutableScopeHeaders
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from engines.requests import ORIGIN, Origin

MAX_CHARS: Final = 128
MAX_TRACESTATE_CHARS: Final = 512
"""Source: W3C, Trace Context, section 3.3.1.5."""

_ANSWERS: Final = ("http.response.start", "websocket.accept", "websocket.http.response.start")


def name_requests(app: ASGIApp, modes: Mapping[str, str]) -> ASGIApp:
    """`app`, whose work goes under the id that a request brings, or a new one. `modes` is from path to mode. A socket
    that is refused before it is accepted is a refused request.
    """

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        token = ORIGIN.set(origin_of(scope, modes.get(scope["path_template"], "")))
        try:
            await app(scope, receive, send)
        finally:
            ORIGIN.reset(token)

    return wrapped


async def send_name(message: Message, scope: Scope) -> None:
    """A `before_send` hook: every answer says which request it is to, and so does the answer to a handshake."""
    if message["type"] in _ANSWERS:
        MutableScopeHeaders.from_message(message)["X-Request-Id"] = _id_of(scope)


def origin_of(scope: Scope, mode: str = "") -> Origin:
    """Whose work a request is, wherever it has got to."""
    headers = dict(scope["headers"])
    traceparent = headers.get(b"traceparent", b"").decode("latin-1")[:MAX_CHARS]
    tracestate = headers.get(b"tracestate", b"").decode("latin-1")[:MAX_TRACESTATE_CHARS]
    return Origin(_printable(_id_of(scope)), mode, traceparent, tracestate, scope["state"].get("client", ""))


def _id_of(scope: Scope) -> str:
    state = scope["state"]
    if "request_id" not in state:
        given = dict(scope["headers"]).get(b"x-request-id", b"").decode("latin-1")[:MAX_CHARS]
        state["request_id"] = given or uuid.uuid4().hex
    return state["request_id"]


def _printable(text: str) -> str:
    """What a client sends must not write to a terminal."""
    return "".join(filter(str.isprintable, text))
