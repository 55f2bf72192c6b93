"""What an operator's probes ask of either server, and how they ask it to end."""

from typing import Annotated, Any, Final, Literal, Protocol, TypeAlias

import msgspec
from litestar import Request, Response, get, post
from litestar.exceptions import PermissionDeniedException
from litestar.params import QueryParameter
from litestar.types import ControllerRouterHandler

from app.drain import Drain
from app.errors import ErrorDetail, error_detail, refusals
from app.gate import OPEN
from engines.device import State
from engines.errors import CapacityError

Whom: TypeAlias = Annotated[
    Literal["new", "existing"],
    QueryParameter(name="for", description="Whether new streams would be accepted, or existing ones go on"),
]

LOOPBACK: Final = ("127.0.0.1", "::1", "::ffff:127.0.0.1")

FORWARDED: Final = ("forwarded", "x-forwarded-for", "x-real-ip", "via")
"""What proxies add: who asks through one is somewhere else, whatever the address says."""


class Watched(Protocol):
    """An engine, as far as its readiness is concerned."""

    @property
    def state(self) -> State: ...
    @property
    def is_stalled(self) -> bool: ...
    def check_room(self) -> None: ...


class Ready(msgspec.Struct, frozen=True):
    """A new stream would be accepted, or existing ones go on."""

    is_ready: bool = msgspec.field(name="ready", default=True)


class NotReady(msgspec.Struct, frozen=True):
    """It would not, or they do not: `reason` is "loading", "full", "draining", "drained" or "stalled". The rest is the
    body of every refusal.
    """

    reason: str
    detail: str
    error: ErrorDetail
    is_ready: bool = msgspec.field(name="ready", default=False)


class DrainBegun(msgspec.Struct, frozen=True):
    """Nothing new is taken from now on."""

    status: str = "draining"


def probes(engine: Watched, drain: Drain, *, is_keyed: bool) -> list[ControllerRouterHandler]:
    """The routes. `is_keyed`: who gets as far as these has shown a key, unless anybody may ask."""

    @get(
        "/ready",
        opt=OPEN,
        summary="A new stream would be accepted, or existing ones go on",
        responses=refusals(400, 422, 503),
    )
    async def ready(whom: Whom = "new") -> Response[Ready | NotReady]:
        reason = why_not_ready(engine, drain, whom)
        if reason is None:
            return Response(Ready())
        subject = "no new stream is accepted" if whom == "new" else "existing streams do not go on"
        message = f"{subject}: {reason}"
        body = NotReady(reason, message, error_detail(503, message, reason))
        return Response(body, status_code=503, headers={"Retry-After": "1"})

    @post(
        "/admin/drain",
        status_code=202,
        summary="Take nothing new, finish what runs, end",
        responses=refusals(401, 403, meanings={403: "Where no key is set, only a program on this machine may"}),
    )
    async def begin_drain(request: Request[Any, Any, Any]) -> DrainBegun:
        if not is_keyed:
            _let_in(request)
        drain.begin()
        return DrainBegun()

    return [ready, begin_drain]


def why_not_ready(engine: Watched, drain: Drain, whom: Literal["new", "existing"]) -> str | None:
    """Why a new stream would be refused, or existing ones do not go on. None: they are welcome."""
    if engine.state in ("new", "loading"):
        return "loading"
    if engine.state != "ready" or engine.is_stalled:
        return "stalled"
    if drain.is_over:
        return "drained"
    if whom == "existing":
        return None
    if drain.has_begun:
        return "draining"
    try:
        engine.check_room()
    except CapacityError:
        return "full"
    return None


def _let_in(request: Request[Any, Any, Any]) -> None:
    """Refuse who is not on this machine. A page that a browser here shows is not, nor who comes through a proxy."""
    is_here = request.client is not None and request.client.host in LOOPBACK
    if not is_here or any(name in request.headers for name in ("origin", *FORWARDED)):
        raise PermissionDeniedException("only a program on this machine may end this server")
