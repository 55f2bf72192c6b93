"""What a session came to: one line in the log for each, and its part of the engine's counts."""

from collections.abc import Callable
from typing import Literal, TypeAlias

import msgspec

from engines.delivery import Delivery
from engines.measures import SpeechMeasures
from engines.requests import ORIGIN, Witness, Witnesses, close_account

Outcome: TypeAlias = Literal["done", "cancelled", "failed"]
"""Heard to its end, given up by its client, or broken off by the model."""


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


class Books(msgspec.Struct, frozen=True):
    """Where what happens to sessions is written down. Event loop only."""

    measures: SpeechMeasures
    clock: Callable[[], float]
    witnesses: Witnesses | None


class Ledger:
    """What happens to a session, until it is over. Event loop only."""

    def __init__(self, voice: str, language: str, sample_rate_hz: int, books: Books) -> None:
        self._origin = ORIGIN.get()
        self._labels = (self._origin.mode,)
        self._voice = voice
        self._language = language
        self._sample_rate_hz = sample_rate_hz
        self._books = books
        self._measures = books.measures
        self._clock = books.clock
        self._delivery = Delivery()
        self._witness: Witness | None = None
        self._num_chars = 0
        self._num_segments = 0
        self._num_samples = 0
        self._begun_s: float | None = None
        self._heard_s: float | None = None
        self._made_s = 0.0
        self._has_sent = False
        self._is_closed = False

    def pushed(self, num_chars: int) -> None:
        """So much more text has come."""
        self._num_chars += num_chars
        self._measures.characters[self._labels] += num_chars
        if self._begun_s is None:
            self._begun_s = self._clock()
            self._witness = self._books.witnesses(self._origin) if self._books.witnesses else None

    def began_segment(self, num_chars: int) -> None:
        """One more is being spoken."""
        self._num_segments += 1
        self._measures.segments[self._labels] += 1
        self._delivery.owe(self._clock())
        self._tell("segment", number=self._num_segments, characters=num_chars)

    def made(self, num_samples: int) -> None:
        """So much more audio is there."""
        if num_samples:
            self._num_samples += num_samples
            self._measures.made_s[self._labels] += num_samples / self._sample_rate_hz
            self._made_s = self._clock()

    def taken(self) -> None:
        """The reader has some of it."""
        if self._heard_s is None:
            self._heard_s = self._clock()
            self._tell("first_audio", after_ms=self._ms_since_text(self._heard_s))

    def sent(self, begun_s: float, duration_s: float, *, is_all: bool) -> None:
        """So much of it was ready at `begun_s`, and has been sent. `is_all`: nothing else is owed for now."""
        if duration_s <= 0:
            return
        self._measures.sent_s[self._labels] += duration_s
        if not self._has_sent and self._begun_s is not None:
            self._has_sent = True
            self._measures.first_audio_s[self._labels].observe(begun_s - self._begun_s)
        late_s = self._delivery.sent(begun_s, duration_s, self._clock())
        if late_s > 0:
            self._measures.underruns[self._labels] += 1
            self._measures.underrun_s[self._labels] += late_s
            self._tell("underrun", seconds=late_s)
        if is_all:
            self._delivery.settle()

    def close(self, outcome: Outcome, text: str | None = None) -> None:
        """Say what it came to, once, with its `text` where that is wanted. A session that nobody gave any text says
        nothing.
        """
        if not self._is_closed and self._begun_s is not None:
            account = self._account(outcome, self._begun_s)
            self._measures.streams[*self._labels, outcome] += 1
            if account.rtf is not None:
                self._measures.real_time_factors[self._labels].observe(account.rtf)
            said = {} if text is None else {"text": text}
            close_account(str(account), msgspec.structs.asdict(account), self._witness, said)
        self._is_closed = True

    def forget(self) -> None:
        """What it was asked for is refused, and said elsewhere."""
        self._is_closed = True

    def _tell(self, event: str, **attributes: str | float) -> None:
        if self._witness is not None:
            self._witness.event(event, **attributes)

    def _ms_since_text(self, time_s: float) -> float:
        return 0.0 if self._begun_s is None else round(1000 * (time_s - self._begun_s), 1)

    def _account(self, outcome: Outcome, begun_s: float) -> Account:
        audio_s = self._num_samples / self._sample_rate_hz
        return Account(
            request_id=self._origin.request_id,
            mode=self._origin.mode,
            voice=self._voice,
            language=self._language,
            characters=self._num_chars,
            segments=self._num_segments,
            first_audio_ms=None if self._heard_s is None else self._ms_since_text(self._heard_s),
            audio_ms=round(1000 * audio_s, 1),
            rtf=round((self._made_s - begun_s) / audio_s, 3) if audio_s else None,
            outcome=outcome,
        )
