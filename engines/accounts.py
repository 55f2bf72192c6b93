"""What a session came to: one line in the log for each."""

import logging
from collections.abc import Callable
from contextvars import ContextVar
from typing import Final, Literal, TypeAlias

import msgspec

Outcome: TypeAlias = Literal["done", "cancelled", "failed"]
"""Heard to its end, given up by its client, or broken off by the model."""

logger = logging.getLogger("tiding.request")


class Origin(msgspec.Struct, frozen=True):
    """Whose work it is: the request's id, and the name of the mode that it went to."""

    request_id: str = ""
    mode: str = ""


NOBODY: Final = Origin()
ORIGIN: ContextVar[Origin] = ContextVar("origin", default=NOBODY)
"""Of what the current task does. A session keeps the one that it was opened under."""


class Account(msgspec.Struct, frozen=True):
    """A session that is over.

    `first_audio_ms` is from the first text to the first audio that its reader took; `rtf` the time from the first text
    to the last audio that was made, over how long that sounds. None: there was no audio.
    """

    request_id: str
    mode: str
    voice: str
    language: str
    characters: int
    segments: int
    first_audio_ms: float | None
    audio_ms: float
    rtf: float | None
    outcome: Outcome

    def __str__(self) -> str:
        first = "-" if self.first_audio_ms is None else f"{self.first_audio_ms:.0f} ms"
        rtf = "-" if self.rtf is None else f"{self.rtf:.2f}"
        return (
            f"{self.outcome}: {self.mode or '-'}, voice {self.voice}, {self.characters} characters, "
            f"{self.segments} segments, first audio {first}, {self.audio_ms / 1000:.1f} s of audio, rtf {rtf} "
            f"[{self.request_id or '-'}]"
        )


class Ledger:
    """What happens to a session, until it is over. Event loop only. `clock` gives seconds, monotonic."""

    def __init__(self, voice: str, language: str, sample_rate_hz: int, clock: Callable[[], float]) -> None:
        self._origin = ORIGIN.get()
        self._voice = voice
        self._language = language
        self._sample_rate_hz = sample_rate_hz
        self._clock = clock
        self._num_chars = 0
        self._num_segments = 0
        self._num_samples = 0
        self._begun_s: float | None = None
        self._heard_s: float | None = None
        self._made_s = 0.0
        self._is_closed = False

    def pushed(self, num_chars: int) -> None:
        """So much more text has come."""
        self._num_chars += num_chars
        self._begun_s = self._clock() if self._begun_s is None else self._begun_s

    def began_segment(self) -> None:
        """One more is being spoken."""
        self._num_segments += 1

    def made(self, num_samples: int) -> None:
        """So much more audio is there."""
        if num_samples:
            self._num_samples += num_samples
            self._made_s = self._clock()

    def taken(self) -> None:
        """The reader has some of it."""
        self._heard_s = self._clock() if self._heard_s is None else self._heard_s

    def close(self, outcome: Outcome) -> None:
        """Say what it came to, once. A session that nobody gave any text says nothing."""
        if not self._is_closed and self._begun_s is not None:
            account = self._account(outcome, self._begun_s)
            logger.info("%s", account, extra={"account": msgspec.structs.asdict(account)})
        self._is_closed = True

    def _account(self, outcome: Outcome, begun_s: float) -> Account:
        audio_s = self._num_samples / self._sample_rate_hz
        return Account(
            request_id=self._origin.request_id,
            mode=self._origin.mode,
            voice=self._voice,
            language=self._language,
            characters=self._num_chars,
            segments=self._num_segments,
            first_audio_ms=None if self._heard_s is None else round(1000 * (self._heard_s - begun_s), 1),
            audio_ms=round(1000 * audio_s, 1),
            rtf=round((self._made_s - begun_s) / audio_s, 3) if audio_s else None,
            outcome=outcome,
        )
