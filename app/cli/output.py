"""Where bytes go: a stream that is heard meanwhile, or a file that is there when it is whole."""

import os
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from app.cli.failure import Failure


def write_stdout(data: bytes) -> None:
    """Hand bytes to whoever reads stdout, at once.

    Raises:
        BrokenPipeError: nobody does any more.
    """
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


@contextmanager
def whole_file(path: Path, complete: Callable[[BinaryIO], None] | None = None) -> Generator[BinaryIO]:
    """A file to write, which has its name when the block has ended well, and leaves nothing behind when it has not.

    `complete` puts into the whole of it what was not known before. What is no file, such as a pipe or /dev/null, is
    written as it comes.

    Raises:
        Failure: there is no such folder, or it cannot be written to.
        OSError: the file cannot be written to its end.
    """
    if path.exists() and not path.is_file():
        with path.open("wb") as special:
            yield special
        return
    target = path.resolve()  # what a link points to is replaced, not the link
    waiting = target.with_name(f".{target.name}.{os.getpid()}.part")
    file = _opened(waiting, path)
    try:
        with file:
            yield file
            if complete is not None:
                complete(file)
        waiting.replace(target)
    finally:
        with suppress(FileNotFoundError):
            waiting.unlink()


def _opened(waiting: Path, path: Path) -> BinaryIO:
    try:
        return waiting.open("x+b")
    except OSError as error:
        raise Failure(f"{path} cannot be written: {error.strerror}") from None
