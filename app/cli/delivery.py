"""From a speech that is wanted to its bytes where they are wanted, and its words beside them."""

import signal
import sys
from collections.abc import Callable, Generator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import BinaryIO

from app.cli.failure import Failure
from app.cli.output import whole_file, write_stdout
from app.cli.pieces import Piece, Speech, TimedWord
from app.cli.progress import Progress
from app.cli.wav_sizes import state_sizes
from app.cli.word_files import WORD_FILES


def deliver(
    speech: Speech,
    path: Path | None,
    words: Path | None,
    *,
    server: str | None,
    api_key: str | None,
    is_live: bool,
    is_quiet: bool,
) -> None:
    """Speak to `path`, or to stdout where it is None, and write the words to `words`. Files are there when all has
    gone well. `is_live`: what is spoken is what stdin gives, as it comes, by a server.

    Raises:
        Failure: the speech has failed, or the voice has given no times to words that are wanted.
        OSError: a file cannot be written; BrokenPipeError: nobody reads stdout any more.
    """
    with ExitStack() as stack:
        stack.enter_context(_ended_by_signals())
        write = write_stdout if path is None else _audio_file(stack, path, speech).write
        word_file = None if words is None else stack.enter_context(whole_file(words))
        delivery = _Delivery(write, stack.enter_context(closing(Progress(len(speech.text), is_quiet=is_quiet))))
        if server is None:
            from app.cli import local

            local.speak(speech, delivery.take, is_quiet=is_quiet)
        elif is_live:
            from app.cli import asking, live

            live.speak(asking.Server(server, api_key), speech, delivery.take)
        else:
            from app.cli import remote

            remote.speak(
                remote.Server(server, api_key), speech, delivery.take, has_words=words is not None, is_quiet=is_quiet
            )
        if words is not None and word_file is not None:
            _write_words(word_file, words, speech.text, delivery)


class _Delivery:
    """Takes pieces: their bytes go on, their words are kept. One thread."""

    def __init__(self, write: Callable[[bytes], object], progress: Progress) -> None:
        self.words: list[TimedWord] = []
        self.audio_ms = 0.0
        self._write = write
        self._progress = progress

    def take(self, piece: Piece) -> None:
        if piece.data:
            self._write(piece.data)
        self.words += piece.words
        self.audio_ms = max(self.audio_ms, piece.audio_ms)
        self._progress.show(piece.text_end, piece.audio_ms)


def _audio_file(stack: ExitStack, path: Path, speech: Speech) -> BinaryIO:
    complete = state_sizes if speech.format == "wav" else None
    return stack.enter_context(whole_file(path, complete))


def _write_words(file: BinaryIO, path: Path, text: str, delivery: _Delivery) -> None:
    if not delivery.words:
        raise Failure(f"this voice does not say when its words are spoken: {path} cannot be written")
    file.write(WORD_FILES[path.suffix.lower()](text, delivery.words, delivery.audio_ms).encode())


@contextmanager
def _ended_by_signals() -> Generator[None]:
    """A process that is told to end inside takes its unfinished files with it."""
    numbers = [n for n in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(n) is signal.SIG_DFL]  # not under nohup
    before = {number: signal.signal(number, _end) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(number: int, _: object) -> None:
    sys.exit(128 + number)
