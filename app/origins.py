"""Which pages may talk to this server from a browser: those it serves itself, those of the speech server beside it,
and those that a setting lists. A program that is no browser sends no Origin, and is not asked for one.
"""

from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import urlsplit

from litestar.config.cors import CORSConfig
from litestar.connection import ASGIConnection
from litestar.exceptions import PermissionDeniedException
from litestar.handlers import BaseRouteHandler

LOOPBACK: Final = ("localhost", "127.0.0.1", "[::1]")
"""The names that this machine has for itself."""

AnyConnection = ASGIConnection[Any, Any, Any, Any]


class Origins:
    """The pages that are let in. `listed` may hold "*" in place of any part; `speech_port` is where the speech server
    serves its pages.
    """

    def __init__(self, listed: Iterable[str], speech_port: int) -> None:
        self._speech_port = speech_port
        beside = [f"http://{name}:{speech_port}" for name in LOOPBACK]
        self.cors = CORSConfig(allow_origins=[*listed, *beside], expose_headers=["X-Request-Id", "Retry-After"])

    def guard(self, connection: AnyConnection, _: BaseRouteHandler) -> None:
        """Refuse a socket to a page that is not let in, before it is accepted: for WebSockets no browser does."""
        origin = connection.headers.get("origin")
        if origin is not None and not self.is_let_in(origin, connection.headers.get("host", "")):
            raise PermissionDeniedException(f"pages of {origin} may not talk to this server")

    def is_let_in(self, origin: str, host: str) -> bool:
        """Whether a page of `origin` may open a socket at `host`, both as the browser's headers have them."""
        return self.cors.is_origin_allowed(origin) or _is_beside(origin, host, self._speech_port)


def _is_beside(origin: str, host: str, speech_port: int) -> bool:
    """Whether the page was served at the same place, or by the speech server at the same name."""
    try:
        page, here = urlsplit(origin), urlsplit(f"//{host}")
        is_speech = page.hostname == here.hostname and page.port == speech_port
    except ValueError:
        return False
    return bool(page.hostname) and (page.netloc.lower() == here.netloc.lower() or is_speech)
