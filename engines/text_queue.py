"""The text side of a session: what was pushed, in order, cut into segments when the session asks for the next one.

Text comes in passages. An *aggregated* passage is what an LLM emits, joined as it stands and cut by the segmenter;
each of its cuts is a segment of its own for the client. A *closed* passage is one message that the client calls a
segment: it may still be cut to keep prefill short, but all its cuts share one number. Marks that nobody reads aloud are
taken out on the way.
"""

from collections import deque
from collections.abc import Callable

import msgspec

from engines.cleaning import has_speech
from engines.markup import Markup, Rest
from engines.segmenter import Segmenter
from engines.types import Boundary, ChunkSizes, Cutting, Granularity, Segment

PAUSE_MS = {Boundary.NONE: 0.0, Boundary.CLAUSE: 120.0, Boundary.SENTENCE: 250.0, Boundary.PARAGRAPH: 450.0}


class Cut(msgspec.Struct, frozen=True):
    """The next thing to speak. Without a `segment` there is nothing in it to speak, and it still has to be answered."""

    number: int
    segment: Segment | None
    is_last_of_number: bool
    label: object
    chunk_sizes: ChunkSizes | None


class _Passage:
    def __init__(
        self,
        segmenter: Segmenter,
        cutting: Cutting,
        label: object,
        chunk_sizes: ChunkSizes | None,
        *,
        is_message: bool,
    ) -> None:
        self.segmenter = segmenter
        self.cutting: Cutting = cutting
        self.label = label
        self.chunk_sizes = chunk_sizes
        self.is_message = is_message
        self.is_open = not is_message
        self.has_been_cut = False

    @property
    def is_spent(self) -> bool:
        return not self.is_open and not has_speech(self.segmenter.pending)


class TextQueue:
    """Text in, cuts out. Event loop only.

    `prepare` replaces what cannot be spoken and keeps the length. Pauses by punctuation are `pause_scale` times as long
    as at the usual speed; those that the text asks for are as long as it says. With `is_markdown`, Markdown is read as
    a person would.
    """

    def __init__(
        self, max_chars: int, prepare: Callable[[str], str], *, pause_scale: float = 1.0, is_markdown: bool = True
    ) -> None:
        self._max_chars = max_chars
        self._prepare = prepare
        self._pause_scale = pause_scale
        self._markup = Markup(is_markdown=is_markdown)
        self._rests: deque[Rest] = deque()  # asked for, and nothing has been cut behind them yet
        self._passages: deque[_Passage] = deque()
        self.text = ""  # all that was pushed, as it was pushed
        self._num_segments = 0
        self._rest: Boundary | None = None  # how the last aggregated segment ended
        self.is_finished = False

    @property
    def num_waiting_chars(self) -> int:
        return self._markup.num_held_chars + sum(len(passage.segmenter.pending) for passage in self._passages)

    @property
    def has_open_speech(self) -> bool:
        """Whether text waits that only more text, or a flush, would cut."""
        if not self._passages or not self._passages[-1].is_open:
            return False
        held = self.text[len(self.text) - self._markup.num_held_chars :]
        return has_speech(self._passages[-1].segmenter.pending) or has_speech(held)

    @property
    def is_spent(self) -> bool:
        return self.is_finished and not self._passages

    @property
    def cutting(self) -> Cutting | None:
        """How the text that is next in line wants to be cut; None while there is none."""
        return self._passages[0].cutting if self._passages else None

    def push(self, text: str, cutting: Cutting, label: object = None, chunk_sizes: ChunkSizes | None = None) -> None:
        """Add text to the open passage. Where there is one, it keeps what it began with."""
        if not self._passages or not self._passages[-1].is_open:
            self._passages.append(_Passage(self._segmenter(), cutting, label, chunk_sizes, is_message=False))
        self._append(text)

    def push_message(
        self, text: str, cutting: Cutting, label: object = None, chunk_sizes: ChunkSizes | None = None
    ) -> None:
        """Add a message that is a segment as it stands."""
        self.flush()
        self._passages.append(_Passage(self._segmenter(), cutting, label, chunk_sizes, is_message=True))
        self._append(text)
        self._take(self._markup.flush())

    def flush(self) -> None:
        """Nothing more belongs to the open passage."""
        if self._passages:
            self._take(self._markup.flush())
            self._passages[-1].is_open = False

    def finish(self) -> None:
        """Nothing more will be pushed."""
        self.flush()
        self.is_finished = True

    def next(self, granularity: Granularity) -> Cut | None:
        """The next cut; None when more text is needed, or nothing is left."""
        while self._passages:
            passage = self._passages[0]
            segment = passage.segmenter.next(granularity, is_final=not passage.is_open)
            cut = self._cut(passage, segment) if segment or self._must_answer(passage) else None
            if passage.is_spent:
                self._passages.popleft()
            elif cut is None:
                return None
            if cut is not None:
                return cut
        return None

    def _segmenter(self) -> Segmenter:
        return Segmenter(start=len(self.text), max_chars=self._max_chars)

    def _append(self, text: str) -> None:
        self.text += text
        self._take(self._markup.push(text))

    def _take(self, decided: str) -> None:
        """Text that the marks are out of."""
        self._passages[-1].segmenter.push(self._prepare(decided))
        self._rests.extend(self._markup.take_rests())

    def _must_answer(self, passage: _Passage) -> bool:
        return passage.is_message and not passage.has_been_cut

    def _cut(self, passage: _Passage, segment: Segment | None) -> Cut:
        if not passage.is_message or not passage.has_been_cut:
            self._num_segments += 1
        if segment is not None:
            segment = msgspec.structs.replace(segment, pause_before_ms=self._pause_before(passage, segment))
            self._rest = segment.boundary
        passage.has_been_cut = True
        is_last = not passage.is_message or passage.is_spent
        return Cut(self._num_segments, segment, is_last, passage.label, passage.chunk_sizes)

    def _pause_before(self, passage: _Passage, segment: Segment) -> float:
        """What the text asks for, or what punctuation does. A client that sends segments as they stand adds its own
        pauses between them.
        """
        asked_ms = 0.0
        while self._rests and self._rests[0].position <= segment.start:
            asked_ms += self._rests.popleft().duration_ms
        if asked_ms:
            return asked_ms
        is_ours = passage.has_been_cut if passage.is_message else True
        return PAUSE_MS[self._rest] * self._pause_scale if is_ours and self._rest is not None else 0.0
