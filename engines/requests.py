"""Whose work is done, and who is told what became of it: the log, and a witness of each request where one is wanted."""

import logging
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Final, Protocol, TypeAlias

import msgspec

from engines.measures import Tally, tally

logger = logging.getLogger("tiding.request")


class Origin(msgspec.Struct, frozen=True):
    """Whose work it is: the request's id, the name of the mode that it went to, the trace that it is part of,
    and the client that asked.

    Source of `traceparent` and `tracestate`: W3C, Trace Context.
    """

    request_id: str = ""
    mode: str = ""
    traceparent: str = ""
    tracestate: str = ""
    client: str = ""


NOBODY: Final = Origin()
ORIGIN: ContextVar[Origin] = ContextVar("origin", default=NOBODY)
"""Of what the current task does. A session keeps the one that it was opened under."""


class Witness(Protocol):
    """Is told what happens to one request, as it happens. Event loop only."""

    def event(self, name: str, **attributes: str | float) -> None: ...
    def close(self, account: dict[str, Any]) -> None:
        """It is over, and came to this."""
        ...


Witnesses: TypeAlias = Callable[[Origin], Witness]
"""Makes the witness of a request that begins now."""


EXPECTED: ContextVar[object] = ContextVar("expected", default=None)
"""What stands for the place that is kept for the current task."""


def close_account(
    text: str, account: dict[str, Any], witness: Witness | None, said: dict[str, str] | None = None
) -> None:
    """The one line of a request. What was `said` is for the log alone."""
    logger.info("%s%s", text, f" {said}" if said else "", extra={"account": account | (said or {})})
    if witness is not None:
        witness.close(account)


def num_bytes(data: str | bytes, enough: int) -> int:
    """How long a message is on the wire. What cannot have so many bytes as would matter is not looked at."""
    return len(data) if isinstance(data, bytes) or 4 * len(data) <= enough else len(data.encode())


class Refusals:
    """Requests that are over before they began. Event loop only."""

    def __init__(self, witnesses: Witnesses | None) -> None:
        self.counts: Tally = tally()  # by mode and code
        self._witnesses = witnesses

    def note(self, code: str, message: str, *, status: int | None = None, origin: Origin | None = None) -> None:
        """One more: counted, and a line in the log like that of any request. `message` is for people; `status` is what
        was answered over HTTP; `origin` whose it is, where that is not what the current task does.
        """
        whose = ORIGIN.get() if origin is None else origin
        self.count(code, whose)
        account: dict[str, Any] = {"request_id": whose.request_id, "mode": whose.mode, "outcome": "refused"}
        account |= {"code": code} if status is None else {"status": status, "code": code}
        said = code if status is None else f"{status} {code}"
        text = f"refused: {whose.mode or '-'}, {said}: {message[:200]} [{whose.request_id or '-'}]"
        close_account(text, account, self._witnesses(whose) if self._witnesses else None)

    def count(self, code: str, origin: Origin | None = None) -> None:
        """A message within a request was not followed."""
        self.counts[(origin or ORIGIN.get()).mode, code] += 1
