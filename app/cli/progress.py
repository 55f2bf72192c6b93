"""How far a long text has been spoken, in one line of a terminal."""

import sys
import time
from collections.abc import Callable
from typing import Final, TextIO

LONG_TEXT_CHARS: Final = 1000
"""Less is spoken before anybody asks: a minute of audio, a few seconds of work."""

_INTERVAL_S: Final = 0.2
_ERASE_LINE: Final = "\r\033[K"  # Source: ECMA-48, erase in line


class Progress:
    """Writes over its own line, five times a second at most. One thread."""

    def __init__(
        self, num_chars: int, *, is_quiet: bool, out: TextIO | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Shown for a long text, on a terminal, unless `is_quiet`. `out` is stderr where nothing else is given."""
        self._num_chars = num_chars
        self._out = out or sys.stderr
        self._clock = clock
        self._began_s = clock()
        self._shown_s = self._began_s
        self._is_shown = num_chars > LONG_TEXT_CHARS and not is_quiet and self._out.isatty()

    def show(self, text_end: int, audio_ms: float) -> None:
        """So many characters have been spoken, which sound so long. Nothing is known of a server's whole file."""
        now_s = self._clock()
        if self._is_shown and audio_ms and now_s - self._shown_s >= _INTERVAL_S:
            self._shown_s = now_s
            audio_s = audio_ms / 1000
            self._write(
                f"{_ERASE_LINE}{text_end} of {self._num_chars} characters, {audio_s:.0f} s of audio, "
                f"{audio_s / (now_s - self._began_s):.1f} times real time"
            )

    def close(self) -> None:
        """Leave the line empty for what comes next."""
        if self._is_shown:
            self._write(_ERASE_LINE)

    def _write(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()
