"""What llama.cpp says, in our log instead of on the console. Importing this sends it there."""

import ctypes
import logging
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from llama_cpp import llama_cpp as native

_ERROR: Final = 4
"""Source: ggml, `ggml.h`, `ggml_log_level`."""

logger = logging.getLogger("tiding.llama")

_errors: ContextVar[list[str] | None] = ContextVar("errors", default=None)
_is_refusal_expected: ContextVar[bool] = ContextVar("is_refusal_expected", default=False)


@contextmanager
def collecting_errors() -> Generator[list[str]]:
    """Of calls in this block, on this thread. The first is the cause of the others."""
    lines: list[str] = []
    token = _errors.set(lines)
    try:
        yield lines
    finally:
        _errors.reset(token)


@contextmanager
def expecting_refusal() -> Generator[None]:
    """What llama.cpp takes for an error in here is an answer."""
    token = _is_refusal_expected.set(True)
    try:
        yield
    finally:
        _is_refusal_expected.reset(token)


def _log(level: int, text: bytes, _: object) -> None:
    line = text.decode("utf-8", "replace").strip()
    if not line.strip("."):  # the dots of a progress bar come one by one
        return
    is_error = level == _ERROR and not _is_refusal_expected.get()
    if is_error and (lines := _errors.get()) is not None:
        lines.append(line)
    logger.log(logging.ERROR if is_error else logging.DEBUG, "%s", line)


_callback = native.llama_log_callback(_log)  # as long as llama.cpp may call it: for ever
native.llama_log_set(_callback, ctypes.c_void_p(0))
