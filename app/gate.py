"""In front of the app: origin, key and room are looked at before a body is read or a socket is accepted.

    scope -> origin (403) -> key (401) -> room for a socket or a session (429, 503) -> app

What is refused here has cost next to nothing, so that a server that is full still says so at once. A key is not in the
scope any more behind this.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from typing import Any, Final, Protocol

import msgspec
from litestar import Litestar
from litestar.exceptions import HTTPException
from litestar.types import ASGIApp, Receive, Scope, Send
from litestar.types.asgi_types import Message, ReceiveMessage

from app.client_names import ClientNames
from app.errors import refusal_of
from app.keys import SUBPROTOCOL, ApiKeys, take_key
from app.origins import Origins
from app.refusals import note_refusal
from app.request_names import origin_of
from engines.admission import Admission
from engines.errors import SpeechError
from engines.requests import ORIGIN

OPEN: Final = {"is_open": True}
"""The `opt` of a handler that answers without a key, for instance to a probe: it says nothing of what is spoken."""

OPENS_SESSION: Final = {"opens_session": True}
"""The `opt` of a handler that cannot be served when no session can be opened, and need not be asked then."""

BODY_S: Final = 30.0
"""For the whole of a body, however slowly it comes."""

READING: Final = ("GET", "HEAD", "OPTIONS")


class Room(Protocol):
    """An engine, as far as it says whether there is room."""

    def expect(self, client: str) -> Callable[[], None]: ...


class Rules(msgspec.Struct, frozen=True):
    """Who may ask. `sockets` counts those that are open."""

    keys: ApiKeys
    origins: Origins
    names: ClientNames
    sockets: Admission


def put_gate(app: Litestar, engine: Room, rules: Rules, modes: Mapping[str, str]) -> None:
    """Let everything that is for `app` pass the gate first. `modes` is from path to mode, for the log."""
    app.asgi_handler = Gate(app.asgi_handler, engine, rules, modes, _open_paths(app), _session_paths(app))


class Gate:
    """An ASGI app around another. Event loop only."""

    def __init__(
        self,
        app: ASGIApp,
        engine: Room,
        rules: Rules,
        modes: Mapping[str, str],
        open_paths: Iterable[str],
        opens: Iterable[tuple[str, str]],
    ) -> None:
        self._app = app
        self._engine = engine
        self._rules = rules
        self._modes = modes
        self._open_paths = frozenset(open_paths)
        self._opens = frozenset(opens)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with ExitStack() as stack:
            try:
                client = self._let_in(scope, stack)
            except (SpeechError, HTTPException) as error:
                await self._refuse(error, scope, send)
                return
            scope["state"]["client"] = client
            if scope["type"] == "websocket":
                await self._app(scope, receive, _answering_subprotocol(scope, send))
            else:
                await self._app(scope, _in_time(scope, receive), send)

    def _let_in(self, scope: Scope, stack: ExitStack) -> str:
        """Whose request it is. What it holds meanwhile is given back by `stack`. Raises what it is refused with."""
        client, is_socket = self._client(scope), scope["type"] == "websocket"
        if (_method(scope), scope["path"]) in self._opens:
            arrive = self._engine.expect(client)
            stack.callback(arrive)
            if is_socket:  # it will speak when it has something to say
                arrive()
        if is_socket:
            self._rules.sockets.enter(client)
            stack.callback(self._rules.sockets.leave, client)
        return client

    def _client(self, scope: Scope) -> str:
        """Whose request it is.

        Raises:
            HTTPException: it is not to be served, to anybody who asks like this.
        """
        headers = dict(scope["headers"])
        origin, host = (headers.get(name, b"").decode("latin-1") for name in (b"origin", b"host"))
        key = take_key(scope)
        if _method(scope) not in READING and b"origin" in headers and not self._rules.origins.is_let_in(origin, host):
            raise HTTPException(f"pages of {origin[:200]!r} may not talk to this server", status_code=403)
        address = self._rules.names.address_of(scope)
        if not self._rules.keys or self._is_open(scope["path"]) or _is_preflight(scope, headers):
            return address
        number = self._rules.keys.number_of(key)
        if number is None:
            raise _unauthorized(is_given=key is not None)
        return f"key {number}"

    def _is_open(self, path: str) -> bool:
        """Whether it is an open path, or a name in an open folder."""
        return path in self._open_paths or f"{path.rpartition('/')[0]}/{{}}" in self._open_paths

    async def _refuse(self, error: SpeechError | HTTPException, scope: Scope, send: Send) -> None:
        refusal = refusal_of(error)
        origin = ORIGIN.set(origin_of(scope, self._modes.get(scope["path"], "")))
        note_refusal(scope, refusal.status, refusal.body.error.code or "", refusal.body.detail)
        ORIGIN.reset(origin)
        kind = "websocket.http" if scope["type"] == "websocket" else "http"
        body = msgspec.json.encode(refusal.body)
        headers = {
            "content-type": "application/json",
            "content-length": str(len(body)),
            "connection": "close",  # a body may be under way that nobody reads
        }
        headers |= refusal.headers | self._rules.origins.headers_for(dict(scope["headers"]).get(b"origin"))
        raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
        start: Any = {"type": f"{kind}.response.start", "status": refusal.status, "headers": raw}
        end: Any = {"type": f"{kind}.response.body", "body": body, "more_body": False}
        await send(start)
        await send(end)


def _unauthorized(*, is_given: bool) -> HTTPException:
    """Source: RFC 6750, section 3."""
    challenge = 'Bearer realm="tiding"' + ', error="invalid_token"' * is_given
    detail = "this API key is not known here" if is_given else "an API key is required: Authorization: Bearer KEY"
    return HTTPException(detail, status_code=401, headers={"WWW-Authenticate": challenge})


def _method(scope: Any) -> str:
    return "WEBSOCKET" if scope["type"] == "websocket" else scope["method"]


def _is_preflight(scope: Any, headers: Mapping[bytes, bytes]) -> bool:
    """What a browser asks before it sends a key. Source: WHATWG, Fetch, "CORS-preflight request"."""
    return _method(scope) == "OPTIONS" and b"origin" in headers


def _open_paths(app: Litestar) -> list[str]:
    return [path for path, opt, _ in _handlers(app) if opt.get("is_open")]


def _session_paths(app: Litestar) -> list[tuple[str, str]]:
    return [(method, path) for path, opt, methods in _handlers(app) if opt.get("opens_session") for method in methods]


def _handlers(app: Litestar) -> Iterable[tuple[str, Mapping[str, Any], Iterable[str]]]:
    """Path, `opt` and methods of every handler. Of those with parameters, only folders of names, as `/folder/{}`."""
    for route in app.routes:
        handlers: Any = getattr(route, "route_handlers", None) or [getattr(route, "route_handler", None)]
        for handler in handlers:
            folder, _, name = route.path_format.rpartition("/")
            path = f"{folder}/{{}}" if name.startswith("{") else route.path_format
            if "{" not in folder:
                yield path, handler.opt, getattr(handler, "http_methods", ("WEBSOCKET",))


def _in_time(scope: Any, receive: Receive) -> Receive:
    """`receive`, which raises where a body takes longer than it may."""
    if scope["method"] in READING:
        return receive
    until_s: float | None = None
    is_whole = False

    async def timed() -> ReceiveMessage:
        nonlocal until_s, is_whole
        if is_whole:
            return await receive()
        loop = asyncio.get_running_loop()
        until_s = until_s or loop.time() + BODY_S
        try:
            async with asyncio.timeout_at(until_s):
                message = await receive()
        except TimeoutError:
            raise HTTPException(f"the body took longer than {BODY_S:.0f} s", status_code=408) from None
        is_whole = message["type"] != "http.request" or not message.get("more_body", False)
        return message

    return timed


def _answering_subprotocol(scope: Any, send: Send) -> Send:
    """`send`, which says to a page that has offered it that its subprotocol is spoken."""
    if SUBPROTOCOL not in (scope.get("subprotocols") or ()):
        return send

    async def answering(message: Message) -> None:
        if message["type"] == "websocket.accept" and not message.get("subprotocol"):
            message["subprotocol"] = SUBPROTOCOL
        await send(message)

    return answering
