"""A request to a server, and its answer: with patience while the server loads, and a sentence where it fails."""

import json
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from app.cli.failure import Failure, warn

CONNECT_TIMEOUT_S: Final = 10.0
SILENCE_TIMEOUT_S: Final = 600.0
"""A whole file is silent until all of it has been made."""

PATIENCE_S: Final = 180.0
"""So long a server that is loading, or full, is asked again. A large model loads for a minute or two."""

_MAX_WAIT_S: Final = 10.0
_LATER: Final = 503


class Server(msgspec.Struct, frozen=True):
    """Where a server is, and what it knows us by. `url` has been checked."""

    url: str
    api_key: str | None = None


@contextmanager
def asked(
    server: Server, method: str, path: str, body: Mapping[str, Any] | None = None, *, is_quiet: bool
) -> Generator[HTTPResponse]:
    """The answer to a request, once it is one that was hoped for. The connection lasts as long as the block.

    Raises:
        Failure: the server cannot be reached, or has refused; with its own words.
    """
    deadline_s = time.monotonic() + PATIENCE_S
    has_told = is_quiet
    while True:
        connection = _connection(server)
        try:
            answer = _ask(connection, server, method, path, body)
            if answer.status == 200:
                yield answer
                return
            message = _refusal(server, answer)
            wait_s = _wait_s(answer)
        finally:
            connection.close()
        if wait_s is None or time.monotonic() + wait_s > deadline_s:
            raise Failure(message)
        if not has_told:
            warn(f"{server.url}: {message} (waiting)")
            has_told = True
        time.sleep(wait_s)


@contextmanager
def reading(server: Server) -> Generator[None]:
    """What fails inside is the connection.

    Raises:
        Failure: it has.
    """
    try:
        yield
    except TimeoutError:
        raise Failure(f"{server.url} has been silent for {SILENCE_TIMEOUT_S:.0f} s") from None
    except (OSError, HTTPException) as error:
        raise Failure(f"{server.url} has broken off: {_words_of(error)}") from None


def _connection(server: Server) -> HTTPConnection:
    parts = urlsplit(server.url)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    assert parts.hostname is not None, "the address has been checked"
    return kind(parts.hostname, parts.port, timeout=CONNECT_TIMEOUT_S)


def _ask(
    connection: HTTPConnection, server: Server, method: str, path: str, body: Mapping[str, Any] | None
) -> HTTPResponse:
    try:
        connection.connect()
    except OSError as error:
        raise Failure(f"{server.url} cannot be reached: {_words_of(error)}") from None
    connection.sock.settimeout(SILENCE_TIMEOUT_S)
    headers = {"Content-Type": "application/json"}
    if server.api_key is not None:
        headers["Authorization"] = f"Bearer {server.api_key}"
    with reading(server):
        connection.request(method, urlsplit(server.url).path + path, json.dumps(body) if body else None, headers)
        return connection.getresponse()


def _refusal(server: Server, answer: HTTPResponse) -> str:
    """What the server says is wrong, as it says it."""
    with reading(server):
        data = answer.read()
    try:
        return str(json.loads(data)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"{server.url} answers {answer.status} {answer.reason}"


def _wait_s(answer: HTTPResponse) -> float | None:
    """How long to wait before asking again; None: asking again is of no use."""
    after = answer.headers.get("Retry-After", "")
    if answer.status != _LATER or not after.isdecimal():
        return None
    return min(max(float(after), 0.1), _MAX_WAIT_S)


def _words_of(error: Exception) -> str:
    words = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return words or type(error).__name__
