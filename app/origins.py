"""Which pages may talk to this server from a browser: those it serves itself, those of the speech server beside it,
and those that a setting lists. A program that is no browser sends no Origin, and is not asked for one.
"""

from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

from litestar.config.cors import CORSConfig

LOOPBACK: Final = ("localhost", "127.0.0.1", "[::1]")
"""The names that this machine has for itself."""


class Origins:
    """The pages that are let in. `listed` may hold "*" in place of any part; `speech_port` is where the speech server
    serves its pages.
    """

    def __init__(self, listed: Iterable[str], speech_port: int) -> None:
        self._speech_port = speech_port
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
        return self.cors.is_origin_allowed(origin) or _is_beside(origin, host, self._speech_port)


def _is_beside(origin: str, host: str, speech_port: int) -> bool:
    """Whether the page was served at the same place, or by the speech server at the same name."""
    try:
        page, here = urlsplit(origin), urlsplit(f"//{host}")
        is_speech = page.hostname == here.hostname and page.port == speech_port
    except ValueError:
        return False
    return bool(page.hostname) and (page.netloc.lower() == here.netloc.lower() or is_speech)
