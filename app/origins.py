"""Which pages may talk to this server from a browser: those it serves itself, those of the speech server beside it,
and those that a setting lists. A program that is no browser sends no Origin, and is not asked for one.
"""

from collections.abc import Iterable
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from litestar.config.cors import CORSConfig

LOOPBACK: Final = ("localhost", "127.0.0.1", "[::1]")
"""The names that this machine has for itself."""


def is_loopback(name: str) -> bool:
    """Whether a name or an address leads to this machine, whoever is asked."""
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name in LOOPBACK


class Origins:
    """The pages that are let in. `listed` may hold "*" in place of any part; `speech_port` is where the speech server
    serves its pages. `is_private`: nothing but its address keeps others out. Then a page that came from here is let in
    by a name of this machine alone: any other name is its owner's, who may lead it here after his own page has come
    from elsewhere (DNS rebinding).
    """

    def __init__(self, listed: Iterable[str], speech_port: int, *, is_private: bool = False) -> None:
        self._speech_port = speech_port
        self._is_private = is_private
        beside = [f"http://{name}:{speech_port}" for name in LOOPBACK]
        self.cors = CORSConfig(allow_origins=[*listed, *beside], expose_headers=["X-Request-Id", "Retry-After"])

    def headers_for(self, origin: bytes | None) -> dict[str, str]:
        """What lets a page read an answer that the framework does not see."""
        page = (origin or b"").decode("latin-1")
        if not page or not self.cors.is_origin_allowed(page):
            return {}
        exposed = ", ".join(self.cors.expose_headers)
        return {"Access-Control-Allow-Origin": page, "Vary": "Origin", "Access-Control-Expose-Headers": exposed}

    def is_let_in(self, origin: str, host: str) -> bool:
        """Whether a page of `origin` may have something done at `host`, both as the browser's headers have them. For
        WebSockets no browser asks.
        """
        return self.cors.is_origin_allowed(origin) or self._is_beside(origin, host)

    def _is_beside(self, origin: str, host: str) -> bool:
        """Whether the page was served at the same place, or by the speech server at the same name."""
        try:
            page, here = urlsplit(origin), urlsplit(f"//{host}")
            is_speech = page.hostname == here.hostname and page.port == self._speech_port
        except ValueError:
            return False
        if not page.hostname or (self._is_private and not is_loopback(page.hostname)):
            return False
        return page.netloc.lower() == here.netloc.lower() or is_speech
