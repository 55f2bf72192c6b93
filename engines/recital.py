"""A segment on its way through the voice: read aloud in parts that fit the model, its words given back as written."""

import re
from collections import deque
from collections.abc import Iterable, Iterator

import msgspec

from engines.reading import Sound, Span, Spoken
from engines.types import Boundary, Segment, Word

_WORD = re.compile(r"\S+")
_MARKS = "*_~`"
_UNTIDY = re.compile(r"\A |  |[^\S ]")


class Recital:
    """What the model gets of a segment, and what comes back. Event loop only.

    The model speaks parts, whose places are in the spoken text; `written` turns its words into those of the client. A
    written word may be spoken as several, of which the first begins it and the last ends it; and of several that are
    read as one thing ("March 3, 2024") each has a share of the time by its length.
    """

    def __init__(self, segment: Segment, sent: str, spoken: Spoken, max_chars: int) -> None:
        """`sent` is the segment's text as it came, with what nobody reads: as long as the segment's."""
        spoken = _tidy(spoken)
        self._segment = segment
        self._sent = sent
        self._begins_ms = 0.0  # what the model speaks now, in the session's time
        self._spans = deque(spoken.spans)
        self._parts = deque(_parts(segment, spoken, max_chars))
        self._open: Word | None = None  # in spoken places, and more of it may come

    @property
    def has_parts(self) -> bool:
        """Whether there is more for the model to speak."""
        return bool(self._parts)

    def next_part(self, begins_ms: float) -> Segment:
        """What the model speaks next, from this time of the session on; there must be something."""
        self._begins_ms = begins_ms
        return self._parts.popleft()

    def written(self, words: Iterable[Word], *, is_end: bool) -> tuple[Word, ...]:
        """The client's words that are now known to be over, in the session's time and places. `is_end`: nothing more
        comes.
        """
        done: list[Word] = []
        for word in map(self._in_session_time, words):
            if self._open is None or not self._is_of(self._spans[0], word):
                done += self._close()
                self._open = self._begin(word)
            elif word.char_end >= self._open.char_end:
                self._open = msgspec.structs.replace(self._open, end_ms=word.end_ms, char_end=word.char_end)
            if self._open is not None and self._open.char_end >= self._spans[0].spoken_end:
                done += self._close()
        return (*done, *self._close()) if is_end else tuple(done)

    def _begin(self, word: Word) -> Word | None:
        """None: the model speaks of something that nobody wrote."""
        while self._spans and self._spans[0].spoken_end <= word.char_start:
            self._spans.popleft()
        return word if self._spans and self._is_of(self._spans[0], word) else None

    def _close(self) -> Iterator[Word]:
        if self._open is not None:
            span, word, self._open = self._spans.popleft(), self._open, None
            yield from self._shared(span, word)

    def _shared(self, span: Span, spoken: Word) -> Iterator[Word]:
        written = list(_WORD.finditer(self._segment.text, span.start, span.end))
        num_chars = sum(len(word[0]) for word in written)
        start_ms = spoken.start_ms
        for word in written:
            end_ms = start_ms + (spoken.end_ms - spoken.start_ms) * len(word[0]) / num_chars
            text, start = self._as_sent(word.start(), word.end())
            yield Word(text, start_ms, end_ms, start, start + len(text))
            start_ms = end_ms

    def _as_sent(self, start: int, end: int) -> tuple[str, int]:
        """A word of the client's, without the marks of Markdown around it, and its place in the session's text."""
        text = self._sent[start:end]
        kept = text.strip(_MARKS) or text
        return kept, self._segment.start + start + text.index(kept)

    def _in_session_time(self, word: Word) -> Word:
        return msgspec.structs.replace(
            word, start_ms=word.start_ms + self._begins_ms, end_ms=word.end_ms + self._begins_ms
        )

    @staticmethod
    def _is_of(span: Span, word: Word) -> bool:
        return span.spoken_start < word.char_end and word.char_start < span.spoken_end


def _tidy(spoken: Spoken) -> Spoken:
    """With one space for any white space: what stood in place of marks is not to be heard, nor are line ends."""
    if not _UNTIDY.search(spoken.text):
        return msgspec.structs.replace(spoken, text=spoken.text.rstrip())
    places, text = [0], ""
    for char in spoken.text:
        text += " " if char.isspace() else char
        if text.endswith("  ") or text == " ":
            text = text[:-1]
        places.append(len(text))
    spans = tuple(
        msgspec.structs.replace(
            span,
            spoken_start=places[span.spoken_start + 1] - 1,
            spoken_end=places[span.spoken_end],
        )
        for span in spoken.spans
    )
    sounds = tuple(Sound(places[one.start + 1] - 1, places[one.end], one.ipa) for one in spoken.sounds)
    return Spoken(text.rstrip(), spans, sounds)


def _parts(segment: Segment, spoken: Spoken, max_chars: int) -> Iterator[Segment]:
    """The spoken text, cut between words where it is longer than the model takes. Pauses stand in front of the first
    part, and how the segment ends is how the last one does.
    """
    start, pause_ms = 0, segment.pause_before_ms
    while len(spoken.text) - start > max_chars:
        end = _cut(spoken, start, max_chars)
        yield _part(spoken, start, end, Boundary.NONE, pause_ms)
        start, pause_ms = end, 0.0
    yield _part(spoken, start, len(spoken.text), segment.boundary, pause_ms)


def _cut(spoken: Spoken, start: int, max_chars: int) -> int:
    """Behind the last written word that fits, or the last spoken one, or where it must be."""
    most = start + max_chars
    words = [span.spoken_end for span in spoken.spans if start < span.spoken_end <= most]
    space = spoken.text.rfind(" ", start + 1, most)
    return max(words, default=space if space > start else most)


def _part(spoken: Spoken, start: int, end: int, boundary: Boundary, pause_ms: float) -> Segment:
    sounds = [
        Sound(sound.start - start, sound.end - start, sound.ipa)
        for sound in spoken.sounds
        if start <= sound.start and sound.end <= end
    ]
    return Segment(spoken.text[start:end], start, boundary, pause_ms, tuple(sounds))
