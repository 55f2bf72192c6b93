"""What a client sees when something goes wrong: the only table from engine errors to HTTP statuses.

The body has two shapes in one: `detail` for the original clients, `error` for OpenAI's.
"""

import logging
import math
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
from litestar import Litestar, Request, Response
from litestar.exceptions import ClientException, HTTPException, ValidationException
from litestar.openapi.datastructures import ResponseSpec
from litestar.routes import HTTPRoute

from app.refusals import note_refusal
from engines.errors import (
    CapacityError,
    EngineFailure,
    RequestError,
    SessionClosed,
    ShareUsedUp,
    SpeechError,
    TextTooLong,
    WrongState,
)

STATUS: Final[dict[type[SpeechError], int]] = {
    TextTooLong: 413,
    WrongState: 409,
    RequestError: 400,
    ShareUsedUp: 429,
    CapacityError: 503,
    SessionClosed: 409,
    EngineFailure: 500,
    SpeechError: 500,
}
"""The nearest ancestor in this table decides."""

_CODES: Final = {400: "bad_request", 401: "invalid_api_key", 403: "forbidden", 404: "not_found",
                  405: "method_not_allowed", 408: "too_slow", 409: "wrong_state", 413: "too_large",
                  422: "invalid_field", 500: "internal_error"}  # fmt: skip

logger = logging.getLogger("tiding.app")


class ErrorDetail(msgspec.Struct, frozen=True):
    """OpenAI's error object. `param` is the field at fault, `code` is stable."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(msgspec.Struct, frozen=True):
    """What every refusal carries, whatever its path."""

    detail: str
    error: ErrorDetail


AnyRequest = Request[Any, Any, Any]


class Refusal(msgspec.Struct, frozen=True):
    """What a request is answered with that is not served."""

    status: int
    body: ErrorBody
    headers: dict[str, str]


def refusal_of(error: SpeechError | HTTPException) -> Refusal:
    """What an error is over HTTP, wherever it is met."""
    if isinstance(error, SpeechError):
        headers = {"Retry-After": str(math.ceil(error.retry_after_s))} if isinstance(error, CapacityError) else {}
        return Refusal(status_of(error), ErrorBody(str(error), detail_of(error)), headers)
    return _refusal(error.status_code, error.detail, None, error.headers)


def _refusal(status: int, message: str, param: str | None, headers: Mapping[str, str] | None) -> Refusal:
    detail = error_detail(status, message, _CODES.get(status, "error"), param)
    return Refusal(status, ErrorBody(message, detail), dict(headers or {}))


def speech_error(request: AnyRequest, error: SpeechError) -> Response[ErrorBody]:
    """An engine's error as a response."""
    refusal = refusal_of(error)
    note_refusal(request.scope, refusal.status, error.code, str(error))
    return _response(refusal)


def status_of(error: SpeechError) -> int:
    """What an engine's error is over HTTP."""
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def detail_of(error: SpeechError) -> ErrorDetail:
    """OpenAI's error object for an engine's error, where it is too late for a status."""
    return error_detail(status_of(error), str(error), error.code, error.param)


def http_error(request: AnyRequest, error: HTTPException) -> Response[ErrorBody]:
    """A refusal by the framework or by a mode. What cannot be decoded or has the wrong type is 422."""
    is_undecodable = type(error) in (ClientException, ValidationException) and error.status_code == 400
    status = 422 if is_undecodable else error.status_code
    problems = _problems(error)
    note_refusal(request.scope, status, _CODES.get(status, "error"), _describe(error, problems))
    param = next((problem.key for problem in problems if problem.key != "data"), None)
    response = _response(_refusal(status, _describe(error, problems), param, error.headers))
    if status == 413:  # the rest of the body is not read: a client that sent another request behind it would be cut off
        response.headers["Connection"] = "close"
    return response


def unexpected_error(request: AnyRequest, error: Exception) -> Response[ErrorBody]:
    """A bug of ours: logged with its traceback, of which the client sees nothing."""
    logger.error("%s %s failed", request.method, request.url.path, exc_info=error)
    note_refusal(request.scope, 500, "internal_error", type(error).__name__)
    return _response(_refusal(500, "internal server error", None, None))


def refusals(*statuses: int, meanings: Mapping[int, str] | None = None) -> dict[int, ResponseSpec]:
    """These statuses for a route's OpenAPI description, all with the one error body. `meanings`: what some of them mean
    there.
    """
    said = _MEANING | dict(meanings or {})
    return {status: ResponseSpec(ErrorBody, generate_examples=False, description=said[status]) for status in statuses}


def document_refusals(app: Litestar, paths: Iterable[str]) -> None:
    """Put what any mode's route may answer into the OpenAPI description: a mode lists only what is its own."""
    for route in app.routes:
        if isinstance(route, HTTPRoute) and route.path_format in paths:
            for handler in route.route_handlers:
                of_body = (400, 413, 422) if "POST" in handler.http_methods else ()
                of_state = (400, 404, 409) if route.path_parameters else ()
                handler.responses = refusals(*of_body, *of_state, 401, 403, 429, 500, 503) | dict(
                    handler.responses or {}
                )


_MEANING: Final = {
    400: "Unknown voice or language, or nothing that can be spoken",
    401: "The API key is missing or not known; only where keys are set",
    403: "A browser asks for a page that is not allowed to",
    404: "No such stream",
    409: "The stream is in another state",
    413: "The text is too long",
    429: "This client has as many sessions open as it may: try again after Retry-After seconds",
    422: "A field is missing or has the wrong type, or the JSON is malformed",
    500: "The engine has failed",
    503: "Loading, or full: try again after Retry-After seconds",
}


def _response(refusal: Refusal) -> Response[ErrorBody]:
    return Response(refusal.body, status_code=refusal.status, headers=refusal.headers, media_type="application/json")


def error_detail(status: int, message: str, code: str, param: str | None = None) -> ErrorDetail:
    """OpenAI's error object for a refusal with this status."""
    return ErrorDetail(message, "server_error" if status >= 500 else "invalid_request_error", param, code)


class _Problem(msgspec.Struct):
    """One of the complaints in `extra`: `key` is the field at fault, "data" the whole body."""

    message: str = "not understood"
    key: str | None = None


def _problems(error: HTTPException) -> list[_Problem]:
    try:
        return msgspec.convert(error.extra, list[_Problem])
    except msgspec.ValidationError:
        return []


def _describe(error: HTTPException, problems: list[_Problem]) -> str:
    if any(problem.key == "data" for problem in problems):
        return "a JSON body is required"
    described = [f"{problem.key}: {problem.message}" if problem.key else problem.message for problem in problems]
    return "; ".join(described) or error.detail


EXCEPTION_HANDLERS: Final[dict[int | type[Exception], Any]] = {
    SpeechError: speech_error,
    HTTPException: http_error,
    Exception: unexpected_error,
}
