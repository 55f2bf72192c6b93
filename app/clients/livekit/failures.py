"""What went wrong, as LiveKit wants to hear it: it tries again by itself what may go better the next time."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from livekit.agents import APIConnectionError, APIError, APIStatusError, APITimeoutError

from app.clients.errors import ClientError, Refused

_STATUS: Final = {"at_capacity": 503, "loading": 503, "engine_failure": 500, "internal_error": 500, "speech_error": 500}
"""As over HTTP. Every other code names a fault of the request's, which would be refused again."""


@contextmanager
def as_livekit() -> Generator[None]:
    """Raises:
    APIError: for what our clients raise in the block.
    """
    try:
        yield
    except TimeoutError as error:
        raise APITimeoutError from error
    except ClientError as error:
        raise _failure(error) from error


def _failure(error: ClientError) -> APIError:
    if not isinstance(error, Refused):
        return APIConnectionError(str(error))
    status = error.code.removeprefix("http_")
    return APIStatusError(
        str(error), status_code=int(status) if status.isdigit() else _STATUS.get(status, 400), body={"code": error.code}
    )
