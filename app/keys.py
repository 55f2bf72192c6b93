"""API keys: where they stand in a request, which of them are right, and how they are kept out of everything else."""

import hashlib
import hmac
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

from litestar.types import Scope

FILE_MARKS: Final = ("@", "/", "./")
"""What an item that names a file of keys begins with."""

WEAK_CHARS: Final = 16
"""A shorter key can be guessed. Source: NIST SP 800-63B, 112 bits for a secret that is looked up."""

PARAMETER: Final = "api_key"
SUBPROTOCOL: Final = "tiding"
SUBPROTOCOL_KEY: Final = "tiding.bearer."
"""In front of a key among a WebSocket's subprotocols. The key is taken out; a page that sends `tiding` beside it gets
that back, as browsers want an answer.
"""


class KeysError(ValueError):
    """A list of keys cannot be used. The message holds none."""


def read_keys(items: Iterable[str]) -> tuple[str, ...]:
    """The keys of a list, of which an item may name a file: a key a line, `#` begins a comment.

    Raises:
        KeysError: a file cannot be read, or there is no key in it.
    """
    keys: list[str] = []
    for number, item in enumerate(items, 1):
        keys += _of_file(item, number) if item.startswith(FILE_MARKS) else [item]
    return tuple(keys)


def _of_file(item: str, number: int) -> list[str]:
    try:
        lines = Path(item.removeprefix("@")).read_text("utf-8").splitlines()
    except (OSError, UnicodeError) as error:  # the item may be a key that looks like a path: it is not repeated
        raise KeysError(f"item {number} names a file that cannot be read: {type(error).__name__}") from None
    keys = [line.partition("#")[0].strip() for line in lines]
    if not any(keys):
        raise KeysError(f"item {number} names a file without a key")
    return [key for key in keys if key]


class ApiKeys:
    """The keys that open the server. Without any it is open to all."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._digests = [_digest(key) for key in keys]
        self.has_weak = any(len(key) < WEAK_CHARS for key in keys)

    def __bool__(self) -> bool:
        return bool(self._digests)

    def number_of(self, given: str | None) -> int | None:
        """Which key it is, from 1; None: none. It takes as long whichever it is, and whatever is wrong with it."""
        digest = _digest(given or "")
        found = None
        for number, known in enumerate(self._digests, 1):
            if hmac.compare_digest(digest, known):
                found = number
        return found if given else None


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def take_key(scope: Scope) -> str | None:
    """The key of a request, which is not in `scope` any more afterwards: nothing behind this can log it.

    It is a bearer token (RFC 6750); of a WebSocket also the parameter `api_key` or a subprotocol.
    """
    key = _take_header(scope)
    if scope["type"] == "websocket":
        parameter, subprotocol = _take_parameter(scope), _take_subprotocol(scope)
        key = key or parameter or subprotocol
    return key


def _take_header(scope: Scope) -> str | None:
    given = next((value for name, value in scope["headers"] if name == b"authorization"), None)
    if given is None:
        return None
    scope["headers"] = [header for header in scope["headers"] if header[0] != b"authorization"]
    scheme, _, key = given.decode("latin-1").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else None


def _take_parameter(scope: Scope) -> str | None:
    if PARAMETER.encode() not in scope["query_string"]:
        return None
    given = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    scope["query_string"] = urlencode([pair for pair in given if pair[0] != PARAMETER]).encode()
    return next((value for name, value in given if name == PARAMETER), None)


def _take_subprotocol(scope: Any) -> str | None:
    offered: list[str] = scope.get("subprotocols") or []
    named = [offer for offer in offered if offer.startswith(SUBPROTOCOL_KEY)]
    if not named:
        return None
    rest = [offer for offer in offered if offer not in named]
    scope["subprotocols"] = rest
    name = b"sec-websocket-protocol"
    headers = [header for header in scope["headers"] if header[0] != name]
    scope["headers"] = [*headers, (name, ", ".join(rest).encode())] if rest else headers
    return named[0].removeprefix(SUBPROTOCOL_KEY)
