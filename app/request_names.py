"""Each request has a name and a mode, which whatever is done for it can ask for."""

import uuid
from collections.abc import Mapping

from litestar.datastructures import MutableScopeHeaders
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from engines.accounts import ORIGIN, Origin

MAX_CHARS = 128


def name_requests(app: ASGIApp, modes: Mapping[str, str]) -> ASGIApp:
    """`app`, whose work goes under the id that a request brings, or a new one. `modes` is from path to mode."""

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        token = ORIGIN.set(Origin(_printable(_id_of(scope)), modes.get(scope["path_template"], "")))
        try:
            await app(scope, receive, send)
        finally:
            ORIGIN.reset(token)

    return wrapped


async def send_name(message: Message, scope: Scope) -> None:
    """A `before_send` hook: every answer says which request it is to."""
    if message["type"] == "http.response.start":
        MutableScopeHeaders.from_message(message)["X-Request-Id"] = _id_of(scope)


def _id_of(scope: Scope) -> str:
    state = scope["state"]
    if "request_id" not in state:
        given = dict(scope["headers"]).get(b"x-request-id", b"").decode("latin-1")[:MAX_CHARS]
        state["request_id"] = given or uuid.uuid4().hex
    return state["request_id"]


def _printable(text: str) -> str:
    """What a client sends must not write to a terminal."""
    return "".join(filter(str.isprintable, text))
