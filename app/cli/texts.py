"""The text that is to be spoken: from the arguments, from files, or from another command."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from app.cli.failure import Failure

STDIN: Final = "-"
_PARAGRAPH: Final = "\n\n"


def read_text(words: Sequence[str], files: Sequence[str]) -> str:
    """The text of the arguments, else of the files, one paragraph behind the other, else what stdin holds.

    Raises:
        click.UsageError: there is neither, and stdin is a terminal; or there are both.
        Failure: it is not text in UTF-8.
    """
    if words and files:
        raise click.UsageError("both a text and a file are given: say one of them.")
    if words:
        return _checked(" ".join(words))
    if not files and sys.stdin.isatty():
        raise click.UsageError('there is nothing to say: give a text ("Hello there."), a file (-f FILE), or pipe one.')
    return _PARAGRAPH.join(_read(name) for name in files or (STDIN,))


def _read(name: str) -> str:
    data = sys.stdin.buffer.read() if name == STDIN else Path(name).read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = "what was piped in" if name == STDIN else name
        raise Failure(f"{place} is not text in UTF-8: byte {error.start} is 0x{data[error.start]:02x}") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _checked(text: str) -> str:
    """Bytes of an argument that are no text arrive as surrogates. Source: PEP 383."""
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise Failure("the text is not in UTF-8")
    return text
