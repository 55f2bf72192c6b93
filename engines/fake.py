"""A deterministic model for tests and for authors of modes: tones in place of speech, delays and failures on demand.

Every character lasts `ms_per_char`, spoken as a tone whose pitch depends on the text, with silence in front and
behind as real voices have it. Nothing here sleeps: a test that wants a slow model hands it a `Gate` and opens it step
by step.
"""

import math
import re
import threading
import zlib
from collections import deque
from collections.abc import Sequence
from typing import Final

import numpy as np

from engines.model import Made, Prefill, StepResult, Wake
from engines.types import AudioFormat, Params, Pcm, Segment, Voice, Word

MAX_CHUNK_FRAMES: Final = 16


class Gate:
    """Lets the device thread take so many steps and holds it before the next. Any thread."""

    def __init__(self, num_steps: int = 0) -> None:
        self._condition = threading.Condition()
        self._num_allowed: float = num_steps
        self._num_held = 0

    def allow(self, num_steps: float = 1) -> None:
        """Let this many more steps pass (`math.inf`: all of them)."""
        with self._condition:
            self._num_allowed += num_steps
            self._condition.notify_all()

    def wait_held(self, timeout_s: float = 5.0) -> None:
        """Return when the device thread stands before a closed gate.

        Raises:
            TimeoutError: it does not come.
        """
        with self._condition:
            if not self._condition.wait_for(lambda: self._num_held > 0, timeout_s):
                raise TimeoutError("the device thread did not reach the gate")

    def pass_through(self) -> None:
        """Called by the model before each step."""
        with self._condition:
            self._num_held += 1
            self._condition.notify_all()
            self._condition.wait_for(lambda: self._num_allowed > 0)
            self._num_held -= 1
            self._num_allowed -= 1


class _Row:
    """What a slot holds: a segment's audio, how much of it has been made, and how much handed out."""

    def __init__(self, job: Prefill, pcm: Pcm, words: tuple[Word, ...]) -> None:
        self.job = job
        self.pcm = pcm
        self.words = deque(words)
        self.num_made = 0
        self.num_out = 0
        self.chunk_frames = job.params.first_chunk_frames


class FakeModel:
    """Device thread only. `poison` is a word whose segment fails alone, `broken` one that makes the step raise, and
    `babble` one whose segment a guard cuts short behind its first second.

    With `is_chunked` a row hands out audio in chunks of as many frames as its params say, at most `MAX_CHUNK_FRAMES`,
    and with each the words that begin in it, whose end may lie beyond.
    """

    name = "fake"
    languages = ("en", "de")
    speeds = (1.0, 1.0)

    def __init__(
        self,
        wake: Wake | None = None,
        *,
        num_slots: int = 4,
        sample_rate_hz: int = 24_000,
        frame_ms: float = 50.0,
        ms_per_char: float = 50.0,
        silence_ms: tuple[float, float] = (100.0, 200.0),
        max_chars: int = 10_000,
        is_chunked: bool = False,
        gate: Gate | None = None,
        poison: str = "",
        broken: str = "",
        babble: str = "",
        voices: Sequence[Voice] = (Voice("sine", "en-US", "female"), Voice("square", "de-DE", "male")),
    ) -> None:
        self._frame_samples = round(frame_ms * sample_rate_hz / 1000)
        self.format = AudioFormat(sample_rate_hz, self._frame_samples * (MAX_CHUNK_FRAMES if is_chunked else 1))
        self.voices = tuple(voices)
        self.num_slots = self.num_prefills = self.step_width = num_slots
        self.steps: list[tuple[int, ...]] = []
        self.prefills: list[Prefill] = []
        self._ms_per_char = ms_per_char
        self._silence_ms = silence_ms
        self._max_chars = max_chars
        self._is_chunked = is_chunked
        self._gate = gate
        self._poison = poison
        self._broken = broken
        self._babble = babble
        self._rows: dict[int, _Row] = {}
        self._sessions: set[int] = set()

    def is_speakable(self, char: str, language: str = "en") -> bool:
        return char.isascii() or (char.isalpha() and char.casefold() in "äöüßéèáàñç")

    def max_segment_chars(self, language: str) -> int:
        return self._max_chars

    def prefill(self, jobs: Sequence[Prefill]) -> None:
        for job in jobs:
            pcm = self.render(job.segment.text, job.voice, job.params)
            self._rows[job.slot] = _Row(job, pcm, self.words(job.segment))
            self._sessions.add(job.session)
            self.prefills.append(job)

    def step(self, slots: Sequence[int]) -> Made:
        if slots and self._gate is not None:
            self._gate.pass_through()
        self.steps.append(tuple(slots))
        results = [self._advance(self._rows[slot]) for slot in slots]
        return Made([result for result in results if result is not None])

    def release(self, slot: int) -> None:
        self._rows.pop(slot, None)

    def forget(self, session: int) -> None:
        self._sessions.remove(session)

    def close(self) -> None:
        self._rows.clear()

    @property
    def num_held_rows(self) -> int:
        """Rows that hold something: none when every session is over."""
        return len(self._rows)

    @property
    def num_known_sessions(self) -> int:
        """Sessions that were prefilled and not yet forgotten: none when every session is over."""
        return len(self._sessions)

    def render(self, text: str, voice: Voice, params: Params) -> Pcm:
        """The whole of a segment's audio: what steps add up to. Its pitch depends on all that may change it."""
        rate = self.format.sample_rate_hz
        num_samples = round(len(text) * self._ms_per_char * rate / 1000)
        said = (text, voice.name, params.language, params.seed, params.temperature, params.top_k, params.cfg_scale)
        pitch_hz = 200 + zlib.crc32(repr(said).encode()) % 800
        tone = 0.3 * np.sin(2 * np.pi * pitch_hz * np.arange(num_samples) / rate)
        front, back = (np.zeros(round(ms * rate / 1000)) for ms in self._silence_ms)
        return np.concatenate((front, tone, back)).astype(np.float32)

    def words(self, segment: Segment) -> tuple[Word, ...]:
        """Every character lasts as long as every other."""
        start_ms = self._silence_ms[0]
        return tuple(
            Word(
                match.group(),
                start_ms + match.start() * self._ms_per_char,
                start_ms + match.end() * self._ms_per_char,
                segment.start + match.start(),
                segment.start + match.end(),
            )
            for match in re.finditer(r"\S+", segment.text)
        )

    def _advance(self, row: _Row) -> StepResult | None:
        slot, text = row.job.slot, row.job.segment.text
        if self._broken and self._broken in text:
            raise RuntimeError("the fake model broke, as it was asked to")
        if self._poison and self._poison in text:
            error = RuntimeError("the fake model failed on this segment, as it was asked to")
            return StepResult(slot, row.pcm[:0], is_segment_end=True, error=error)
        row.num_made = min(row.num_made + self._frame_samples, row.pcm.size)
        is_cut = bool(self._babble) and self._babble in text and row.num_made >= self.format.sample_rate_hz
        is_end = is_cut or row.num_made == row.pcm.size
        if self._is_chunked and not is_end and not self._is_chunk(row):
            return None
        pcm, words = row.pcm[row.num_out : row.num_made], self._words_begun(row)
        row.num_out, row.chunk_frames = row.num_made, row.job.params.chunk_frames
        return StepResult(slot, pcm, is_segment_end=is_end, words=words, cut_short="babble" if is_cut else "")

    def _is_chunk(self, row: _Row) -> bool:
        num_frames = min(row.chunk_frames, MAX_CHUNK_FRAMES)
        return row.num_made - row.num_out >= num_frames * self._frame_samples

    def _words_begun(self, row: _Row) -> tuple[Word, ...]:
        """Those that have begun by now; all of them at once where audio does not come in chunks."""
        made_ms = row.num_made * 1000 / self.format.sample_rate_hz if self._is_chunked else math.inf
        begun: list[Word] = []
        while row.words and row.words[0].start_ms < made_ms:
            begun.append(row.words.popleft())
        return tuple(begun)
