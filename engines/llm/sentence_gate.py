"""Behind which tokens of an answer its sentences end."""

from collections import deque
from typing import Final, NamedTuple

from engines.sentences import CLOSERS, LOOKBEHIND, STOPS, Verdict, sentence_end

MAX_HELD_TOKENS: Final = 8
"""So many tokens are looked at behind a place. Where they do not show that a sentence has ended, it has not."""

_ENDINGS = STOPS | CLOSERS | {"\n"}


class _Place(NamedTuple):
    """Where a sentence may end: behind this character of the answer, and this token. `speech_end` is behind the last
    letter or digit in front of it."""

    position: int
    num_tokens: int
    speech_end: int


class SentenceGate:
    """Counts tokens, and says behind which of them a sentence has ended, and which may still turn out to be such.

    A token cannot be cut. What follows a sentence's end in the same token goes with it if it is blank (a newline); if
    it is the beginning of the next sentence (".The"), there is no boundary, so that what stands behind a boundary is
    all of the next sentence. A sentence has a letter or a digit. What is said of a token depends on the tokens alone,
    not on who asks when; a verdict does not change.
    """

    def __init__(self) -> None:
        self._text = ""  # what is still needed of the answer
        self._origin = 0  # where that begins
        self._num_tokens = 0
        self._speech_end = 0
        self._last_end = 0
        self._open: deque[_Place] = deque()
        self._ends: set[int] = set()

    def push(self, text: str, num_tokens: int = 1) -> None:
        """Another token, or more than one that make a character together."""
        start = self._origin + len(self._text)
        self._text += text
        self._num_tokens += num_tokens
        for index, char in enumerate(text, 1):
            if char.isalnum():
                self._speech_end = start + index
            elif char in _ENDINGS and not text[index:].strip():
                self._open.append(_Place(start + index, self._num_tokens, self._speech_end))
        self._judge(is_final=False)
        self._forget()

    def finish(self) -> None:
        """The answer is over: all is decided. A sentence at its end ends behind its last token, whatever is blank."""
        self._judge(is_final=True)

    def is_end(self, num_tokens: int) -> bool:
        """Whether a sentence ends behind so many tokens."""
        return num_tokens in self._ends

    def is_open(self, num_tokens: int) -> bool:
        """Whether that cannot be said yet."""
        return any(place.num_tokens == num_tokens for place in self._open)

    def _judge(self, *, is_final: bool) -> None:
        while self._open:
            place = self._open[0]
            verdict = self._verdict(place, is_final)
            if verdict is Verdict.NEED_MORE and self._num_tokens - place.num_tokens < MAX_HELD_TOKENS:
                return
            self._open.popleft()
            if verdict is Verdict.END:
                self._last_end = place.position
                is_last = is_final and not self._text[place.position - self._origin :].strip()
                self._ends.add(self._num_tokens if is_last else place.num_tokens)

    def _verdict(self, place: _Place, is_final: bool) -> Verdict:
        if place.speech_end <= self._last_end:
            return Verdict.NOT_END
        return sentence_end(self._text, place.position - self._origin, is_final=is_final)

    def _forget(self) -> None:
        end = self._origin + len(self._text)
        needed_from = (self._open[0].position if self._open else end) - 2 * LOOKBEHIND
        if needed_from > self._origin:
            self._text = self._text[needed_from - self._origin :]
            self._origin = needed_from
