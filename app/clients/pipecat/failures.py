"""What pipecat is told of an error: whether trying again is of any use."""

from typing import Final

from pipecat.utils.errors import ErrorCategory, classify_http_status_code

from app.clients.errors import Refused

NO_END_OF_TRIES: Final = {"max_consecutive_zero_audio_contexts": 0}
"""For `TTSService`, which by itself is never asked again once three contexts in a row were silent. That is meant for
services that are silent without an error. Tiding's name theirs, and a server that is started again is to be found.
"""

_CATEGORIES: Final = {
    "unknown_voice": ErrorCategory.INVALID_REQUEST,
    "unsupported_language": ErrorCategory.INVALID_REQUEST,
    "invalid_field": ErrorCategory.INVALID_REQUEST,
    "at_capacity": ErrorCategory.RATE_LIMIT,
    "loading": ErrorCategory.CONNECTIVITY,
    "engine_failure": ErrorCategory.SERVER,
}


def category_of(error: Exception) -> ErrorCategory | None:
    """Why a server has refused; None: pipecat knows better. A text that cannot be spoken is nothing that makes the
    service useless.
    """
    if not isinstance(error, Refused):
        return None
    if error.code.startswith("http_"):
        return classify_http_status_code(int(error.code.removeprefix("http_")))
    return _CATEGORIES.get(error.code, ErrorCategory.UNKNOWN)
