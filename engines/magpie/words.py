"""When each word is heard, from the token that each frame attends to."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engines.magpie.tokens import WordSpan
from engines.types import Segment, Word


class WordClock:
    """Hands out a segment's words as they end. Device thread only. `step_ms` is the audio of one step."""

    def __init__(self, segment: Segment, spans: Sequence[WordSpan], step_ms: float) -> None:
        self._segment = segment
        self._spans = spans
        self._step_ms = step_ms
        self._num_told = 0

    def take(self, furthest: NDArray[np.int16], *, is_last: bool) -> tuple[Word, ...]:
        """The words that ended since the last call; with `is_last`, all that are left.

        `furthest` (T,): for each step so far the furthest token attended to yet, so it never falls. A word begins with
        the first step that reaches its first token, and ends with the first that reaches what follows it; the last one
        lasts to the end.
        """
        words: list[Word] = []
        for number, span in enumerate(self._spans[self._num_told :], self._num_told + 1):
            first, last = np.searchsorted(furthest, (span.id_start, span.id_end))
            if number == len(self._spans):
                last = len(furthest)
            if last == len(furthest) and not is_last:
                break
            words.append(self._word(span, int(first), int(last)))
        self._num_told += len(words)
        return tuple(words)

    def _word(self, span: WordSpan, first: int, last: int) -> Word:
        return Word(
            text=self._segment.text[span.char_start : span.char_end],
            start_ms=first * self._step_ms,
            end_ms=last * self._step_ms,
            char_start=self._segment.start + span.char_start,
            char_end=self._segment.start + span.char_end,
        )
