"""An answer on its way from the model's tokens to its client's chunks."""

from collections import deque
from collections.abc import Iterable, Sequence

from engines.llm.characters import Characters
from engines.llm.chunk import Chunk
from engines.llm.sentence_gate import SentenceGate
from engines.llm.stop_words import StopWords
from engines.llm.types import Event, Pause, Reason, Token


class Answer:
    """What the model draws passes three gates (whole characters, stop words, ends of sentences), is held until a chunk
    may have it, and is given out once and in order. Belongs to the device thread while a chunk is under way, else to
    the event loop. Times are seconds on the engine's clock.

    A chunk counts every token that it is given. Where it ends inside a character, that character is the next chunk's.
    `max_tokens` is the most that are drawn, for all chunks together.
    """

    def __init__(self, stop_words: Sequence[str], max_tokens: int) -> None:
        self.num_given = 0
        self.is_done = False
        self._num_left = max_tokens
        self._characters = Characters()
        self._stop_words = StopWords(stop_words)
        self._sentences = SentenceGate()
        self._held: deque[Token] = deque()
        self._ending: Reason | None = None if max_tokens > 0 else "max_tokens"  # when all that is held is given
        self._has_text = False
        self._chunk: Chunk | None = None
        self._num_unseen = 0  # tokens at the end of the last chunk that have shown no character

    @property
    def is_under_way(self) -> bool:
        """Whether a chunk is."""
        return self._chunk is not None

    def begin(self, pause: Pause, now_s: float) -> list[Event]:
        """Begin a chunk. What was held comes first, and may be all of it."""
        assert self._chunk is None, "one chunk at a time"
        self._chunk = Chunk(pause, now_s)
        return self._give(self._chunk, now_s)

    def push(self, piece: bytes, now_s: float) -> list[Event]:
        """The model has drawn a token, which writes these bytes."""
        self._num_left -= 1
        self._let_through(self._stop_words.push(Token(self._characters.push(piece))))
        if self._stop_words.is_found:
            self._close("stop_word")
        elif self._num_left <= 0:
            self._finish("max_tokens")
        return self._give_on(now_s)

    def finish(self, reason: Reason, now_s: float) -> list[Event]:
        """The model has ended the answer, or has no room for more of it."""
        self._finish(reason)
        return self._give_on(now_s)

    def stop(self, now_s: float) -> list[Event]:
        """End the chunk here. What is held stays held."""
        return [] if self._chunk is None else [self._end(self._chunk, "client", now_s)]

    def take_back(self, unread: Sequence[Token]) -> None:
        """The last that the last chunk gave out has reached nobody: it comes first in the next one."""
        if unread:
            unseen = [Token("", self._num_unseen)] if self._num_unseen else []
            self._held.extendleft(reversed([*unread, *unseen]))
            self.num_given -= self._num_unseen + sum(token.num_tokens for token in unread)
            self.is_done = False

    # -- in ------------------------------------------------------------------------------------------------------------

    def _let_through(self, tokens: Iterable[Token]) -> None:
        for token in tokens:
            self._held.append(token)
            self._sentences.push(token.text, token.num_tokens)

    def _finish(self, reason: Reason) -> None:
        self._let_through(self._stop_words.finish())
        if half := self._characters.finish():
            self._let_through([Token(half, 0)])
        self._close(reason)

    def _close(self, reason: Reason) -> None:
        self._sentences.finish()
        self._ending = reason

    # -- out -----------------------------------------------------------------------------------------------------------

    def _give_on(self, now_s: float) -> list[Event]:
        assert self._chunk is not None, "tokens are drawn for a chunk"
        return self._give(self._chunk, now_s)

    def _give(self, chunk: Chunk, now_s: float) -> list[Event]:
        """What a chunk may have by now, and its end if that is reached."""
        events: list[Event] = []
        while (reason := self._reason(chunk)) is None:
            if not self._held or self._must_look(chunk):
                return events
            token = self._held.popleft()
            self.num_given += token.num_tokens
            self._has_text = self._has_text or bool(token.text)
            events += chunk.add(token, now_s)
        return [*events, self._end(chunk, reason, now_s)]

    def _reason(self, chunk: Chunk) -> Reason | None:
        """Why a chunk ends here, if it does."""
        is_cut = bool(self._held) and self._held[0].num_tokens == 0  # what comes next is of the token that was given
        is_sentence = self._looks_for_end(chunk) and not is_cut and self._sentences.is_end(self.num_given)
        if self._ending is not None and not self._held:
            if self._ending == "eos" and not self._has_text:
                return "empty_response"
            return "sentence_boundary_eos" if self._ending == "eos" and is_sentence else self._ending
        if chunk.num_tokens >= chunk.pause.limit:
            return "max_tokens"
        return "sentence_boundary" if is_sentence else None

    def _must_look(self, chunk: Chunk) -> bool:
        """Whether the sentence may have ended already: what follows is held until that is known."""
        return self._looks_for_end(chunk) and self._sentences.is_open(self.num_given)

    def _looks_for_end(self, chunk: Chunk) -> bool:
        """An end in front of a chunk does not end it."""
        return chunk.pause.at_sentence and chunk.num_tokens > 0

    def _end(self, chunk: Chunk, reason: Reason, now_s: float) -> Event:
        self._chunk = None
        self._num_unseen = chunk.num_unseen
        self.is_done = self._ending is not None and not self._held and reason != "client"
        return chunk.end(reason, now_s, is_done=self.is_done)
