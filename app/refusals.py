"""What is not served is written down as well, wherever on the way it was refused."""

from typing import Final

from litestar.types import Message, Scope

from app.request_names import origin_of
from engines.requests import NOBODY, ORIGIN, Refusals

HANDSHAKE_REFUSED: Final = "handshake_refused"


def note_refusal(scope: Scope, status: int, code: str, message: str) -> None:
    """One more request is over before it began: a line in the log like that of any other, and a count."""
    refusals: Refusals = scope["litestar_app"].state["engine"].refusals
    origin = ORIGIN.get()
    refusals.note(code, message, status=status, origin=origin_of(scope) if origin is NOBODY else origin)


async def note_refused_sockets(message: Message, scope: Scope) -> None:
    """A `before_send` hook: a socket that is closed in place of being accepted was refused, with 403."""
    if message["type"] == "websocket.accept":
        scope["state"]["is_accepted"] = True
    elif message["type"] == "websocket.close" and not scope["state"].get("is_accepted"):
        note_refusal(scope, 403, HANDSHAKE_REFUSED, message.get("reason") or "")
