"""The speech server over HTTP, as pipecat's own services ask theirs: through aiohttp."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import aiohttp
import msgspec

from app.clients.errors import Disconnected, Refused

_CONNECT_TIMEOUT_S: Final = 5.0


class Requests:
    """Asks one server. With a session that was given, or one of its own, which `aclose` closes. Event loop only."""

    def __init__(self, url: str, api_key: str | None, session: aiohttp.ClientSession | None) -> None:
        self._url = url.rstrip("/")
        self._headers = {} if api_key is None else {"Authorization": f"Bearer {api_key}"}
        self._given = session
        self._own: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def ask(
        self, method: str, path: str, body: Mapping[str, Any] | None = None
    ) -> AsyncGenerator[aiohttp.ClientResponse]:
        """The answer, whose body may still be under way.

        Raises:
            Disconnected: the server cannot be reached, or was lost.
            Refused: the status is none of success.
        """
        try:
            async with self._session().request(method, self._url + path, json=body, headers=self._headers) as answer:
                if not answer.ok:
                    raise _refusal(answer.status, await answer.read())
                yield answer
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Disconnected(f"{self._url}: {error or type(error).__name__}") from error

    async def aclose(self) -> None:
        if self._own is not None:
            await self._own.close()
            self._own = None

    def _session(self) -> aiohttp.ClientSession:
        if self._given is not None:
            return self._given
        if self._own is None:
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_TIMEOUT_S)
            self._own = aiohttp.ClientSession(timeout=timeout)
        return self._own


def _refusal(status: int, body: bytes) -> Refused:
    try:
        error = msgspec.json.decode(body)["error"]
        return Refused(str(error["message"]), str(error["code"]))
    except (msgspec.DecodeError, KeyError, TypeError):
        return Refused(f"the server answers {status}", f"http_{status}")
