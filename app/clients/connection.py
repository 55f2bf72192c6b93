"""A socket to a server: made when it is needed, and made again when it was lost."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.protocol import State

from app.clients.errors import ClientError, Disconnected, Refused

PATIENCE_S: Final = 5.0
"""So long a server that is not there is tried again: about what one takes to start."""

_FIRST_WAIT_S: Final = 0.05
_LONGEST_WAIT_S: Final = 1.0
_CLOSE_TIMEOUT_S: Final = 1.0

_SCHEMES: Final = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}
_LATER: Final = 503


class Connection:
    """One socket. What it hears goes to `receive`; that it was lost, and why, to `lose`. Event loop only."""

    def __init__(
        self,
        url: str,
        path: str,
        *,
        api_key: str | None,
        patience_s: float,
        receive: Callable[[str | bytes], None],
        lose: Callable[[ClientError], None],
    ) -> None:
        self.url = socket_url(url, path)
        self._headers = {} if api_key is None else {"Authorization": f"Bearer {api_key}"}
        self._patience_s = patience_s
        self._receive = receive
        self._lose = lose
        self._socket: ClientConnection | None = None
        self._reader: asyncio.Task[None] | None = None
        self._opening = asyncio.Lock()

    @property
    def is_open(self) -> bool:
        return self._socket is not None and self._socket.state is State.OPEN

    async def open(self) -> None:
        """Connect, unless it is.

        Raises:
            Disconnected: there is nobody, and so for as long as patience lasts.
            Refused: the server does not let us in.
        """
        async with self._opening:
            if not self.is_open:
                await self._leave()
                self._socket = await self._connected()
                self._reader = asyncio.create_task(self._read(self._socket))

    async def send(self, message: dict[str, Any]) -> None:
        """Send a message as JSON, on the connection that there is.

        Raises:
            Disconnected: there is none.
        """
        if self._socket is None:
            raise Disconnected(f"{self.url} is not connected")
        try:
            await self._socket.send(msgspec.json.encode(message), text=True)
        except ConnectionClosed as error:
            raise self._broken_off(error) from error

    async def close(self) -> None:
        """Leave. Whoever still waits for something is told."""
        async with self._opening:
            await self._leave()

    async def _leave(self) -> None:
        socket, reader, self._socket, self._reader = self._socket, self._reader, None, None
        if socket is not None and reader is not None:
            await socket.close()
            await reader

    async def _connected(self) -> ClientConnection:
        deadline_s = asyncio.get_running_loop().time() + self._patience_s
        wait_s = _FIRST_WAIT_S
        while True:
            try:
                return await connect(
                    self.url, additional_headers=self._headers, compression=None, close_timeout=_CLOSE_TIMEOUT_S
                )
            except InvalidStatus as error:
                if error.response.status_code != _LATER:
                    raise _refusal(self.url, error) from error
                failure: Exception = _refusal(self.url, error)
            except (OSError, EOFError, InvalidHandshake) as error:
                failure = Disconnected(f"{self.url} cannot be reached: {error}")
            if asyncio.get_running_loop().time() + wait_s > deadline_s:
                raise failure
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, _LONGEST_WAIT_S)

    async def _read(self, socket: ClientConnection) -> None:
        try:
            while True:
                self._receive(await socket.recv())
        except ConnectionClosed as error:
            self._lose(self._broken_off(error))
        except Exception as error:  # an answer that is none: nobody waits for the next
            self._lose(Disconnected(f"{self.url} does not answer as a Tiding server does: {error}"))
            with suppress(ConnectionClosed):
                await socket.close()

    def _broken_off(self, error: ConnectionClosed) -> Disconnected:
        return Disconnected(f"{self.url} has broken off: {error}")


def socket_url(url: str, path: str) -> str:
    """The address of a socket, from that of its server (`http://localhost:8001`, with a path in front where a proxy has
    one) or from its own (`ws://localhost:8001/ws`).

    Raises:
        ValueError: it is neither.
    """
    parts = urlsplit(url)
    if parts.scheme not in _SCHEMES or not parts.hostname:
        raise ValueError(f"{url!r} is no address of a server: expected one like http://localhost:8001")
    there = parts.path.rstrip("/")
    return urlunsplit((_SCHEMES[parts.scheme], parts.netloc, there.removesuffix(path) + path, parts.query, ""))


def _refusal(url: str, error: InvalidStatus) -> Refused:
    status = error.response.status_code
    try:
        message = str(msgspec.json.decode(error.response.body or b"")["detail"])
    except (msgspec.DecodeError, KeyError, TypeError):
        message = f"answers {status} {error.response.reason_phrase}"
    return Refused(f"{url}: {message}", f"http_{status}")
