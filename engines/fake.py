"""A deterministic model for tests and for authors of modes: tones in place of speech, delays and failures on demand.

Every character lasts `ms_per_char`, spoken as a tone whose pitch depends on the text, with silence in front and
behind as real voices have it. Nothing here sleeps: a test that wants a slow model hands it a `Gate` and opens it step
by step.
"""

import re
import threading
import zlib
from collections.abc import Sequence

import numpy as np

from engines.model import Prefill, StepResult, Wake
from engines.types import AudioFormat, Params, Pcm, Segment, Voice, Word


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


class FakeModel:
    """Device thread only. `poison` is a word whose segment fails alone, `broken` one that makes the step raise."""

    name = "fake"
    languages = ("en", "de")

    def __init__(
        self,
        wake: Wake | None = None,
        *,
        num_slots: int = 4,
        sample_rate_hz: int = 24_000,
        frame_ms: float = 50.0,
        ms_per_char: float = 50.0,
        silence_ms: tuple[float, float] = (100.0, 200.0),
        gate: Gate | None = None,
        poison: str = "",
        broken: str = "",
        voices: Sequence[Voice] = (Voice("sine", "en-US", "female"), Voice("square", "de-DE", "male")),
    ) -> None:
        self.format = AudioFormat(sample_rate_hz, round(frame_ms * sample_rate_hz / 1000))
        self.voices = tuple(voices)
        self.num_slots = self.num_prefills = self.step_width = num_slots
        self.steps: list[tuple[int, ...]] = []
        self._ms_per_char = ms_per_char
        self._silence_ms = silence_ms
        self._gate = gate
        self._poison = poison
        self._broken = broken
        self._rows: dict[int, tuple[Segment, Pcm, int]] = {}
        self._words: dict[int, tuple[Word, ...]] = {}

    def is_speakable(self, char: str) -> bool:
        return char.isascii() or (char.isalpha() and char.casefold() in "äöüßéèáàñç")

    def prefill(self, jobs: Sequence[Prefill]) -> None:
        for job in jobs:
            self._rows[job.slot] = (job.segment, self.render(job.segment.text, job.voice, job.params), 0)
            self._words[job.slot] = self.words(job.segment)

    def step(self, slots: Sequence[int]) -> Sequence[StepResult]:
        if slots and self._gate is not None:
            self._gate.pass_through()
        self.steps.append(tuple(slots))
        return [self._advance(slot) for slot in slots]

    def release(self, slot: int) -> None:
        self._rows.pop(slot, None)
        self._words.pop(slot, None)

    def close(self) -> None:
        self._rows.clear()

    @property
    def num_held_rows(self) -> int:
        """Rows that hold something: none when every session is over."""
        return len(self._rows)

    def render(self, text: str, voice: Voice, params: Params) -> Pcm:
        """The whole of a segment's audio: what steps add up to."""
        rate = self.format.sample_rate_hz
        num_samples = round(len(text) * self._ms_per_char * rate / 1000)
        pitch_hz = 200 + zlib.crc32(f"{text}/{voice.name}/{params.seed}".encode()) % 800
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

    def _advance(self, slot: int) -> StepResult:
        segment, pcm, position = self._rows[slot]
        if self._broken and self._broken in segment.text:
            raise RuntimeError("the fake model broke, as it was asked to")
        if self._poison and self._poison in segment.text:
            error = RuntimeError("the fake model failed on this segment, as it was asked to")
            return StepResult(slot, pcm[:0], is_segment_end=True, error=error)
        end = position + self.format.frame_samples
        self._rows[slot] = (segment, pcm, end)
        words = self._words[slot] if position == 0 else ()
        return StepResult(slot, pcm[position:end], is_segment_end=end >= len(pcm), words=words)
