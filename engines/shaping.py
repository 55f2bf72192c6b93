"""From what a model renders to what a listener should hear of one segment.

Models put silence around a segment (a third of a second in front, half a second behind, say). It is trimmed here, in
one place for all models, and the pause that belongs between two segments is put in its stead. What a model cannot speak
as fast or as slowly as wanted is stretched here as well. Word times move with both.
"""

from collections import deque
from typing import Final

import msgspec
import numpy as np

from engines.audio import SilenceTrimmer, fade_out, silence
from engines.model import StepResult
from engines.stretching import Stretcher
from engines.types import Pcm, Segment, Word

CUT_FADE_MS: Final = 30.0
"""How long a segment that was cut short takes to fade: enough not to sound like a click, and less than a phoneme."""


class SegmentShaper:
    """Shapes the results of one segment, in order, and plays them `tempo` times as fast. Device thread only."""

    def __init__(self, segment: Segment, sample_rate_hz: int, tempo: float = 1.0) -> None:
        self._pause = silence(segment.pause_before_ms, sample_rate_hz)
        self._trimmer = SilenceTrimmer(sample_rate_hz)
        self._tempo = tempo
        self._stretcher = None if tempo == 1.0 else Stretcher(tempo, sample_rate_hz)
        self._samples_per_ms = sample_rate_hz / 1000
        self._cut_fade = round(CUT_FADE_MS * sample_rate_hz / 1000)
        self._num_out = 0
        self._words: deque[Word] = deque()

    def shape(self, result: StepResult) -> StepResult:
        """The same result with silence trimmed, the pause in front, and the words that end in this piece of audio."""
        self._words.extend(result.words)
        pcm = self._trimmer.process(result.pcm)
        if result.is_segment_end:
            pcm = np.concatenate((pcm, self._trimmer.flush()))
        pcm = self._stretched(pcm, is_last=result.is_segment_end)
        if result.cut_short:
            pcm = fade_out(pcm, self._cut_fade)
        if len(pcm) and not self._num_out:
            pcm = np.concatenate((self._pause, pcm))
        self._num_out += len(pcm)
        words = self._take_words(is_last=result.is_segment_end and not result.cut_short)
        return msgspec.structs.replace(result, pcm=pcm, words=words)

    def _stretched(self, pcm: Pcm, *, is_last: bool) -> Pcm:
        if self._stretcher is None:
            return pcm
        pcm = self._stretcher.process(pcm)
        return np.concatenate((pcm, self._stretcher.flush())) if is_last else pcm

    def _take_words(self, *, is_last: bool) -> tuple[Word, ...]:
        end_ms = self._num_out / self._samples_per_ms
        taken: list[Word] = []
        while self._words and (is_last or self._shift(self._words[0].end_ms) <= end_ms):
            word = self._words.popleft()
            start_ms, word_end_ms = self._shift(word.start_ms), self._shift(word.end_ms)
            taken.append(msgspec.structs.replace(word, start_ms=min(start_ms, end_ms), end_ms=min(word_end_ms, end_ms)))
        return tuple(taken)

    def _shift(self, model_ms: float) -> float:
        heard_ms = max(0.0, model_ms - self._trimmer.num_trimmed_lead / self._samples_per_ms) / self._tempo
        return heard_ms + len(self._pause) / self._samples_per_ms
