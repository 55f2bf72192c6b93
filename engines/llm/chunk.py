"""A piece of an answer, from the asking to the pause."""

from engines.llm.types import ChunkEnd, Pause, Reason, Token


class Chunk:
    """What has been written since `asked_s`, seconds on the engine's clock."""

    def __init__(self, pause: Pause, asked_s: float) -> None:
        self.pause = pause
        self.num_tokens = 0
        self.num_unseen = 0  # the last of them, which have shown no character yet
        self._asked_s = asked_s
        self._first_s: float | None = None
        self._texts: list[str] = []

    def add(self, token: Token, now_s: float) -> list[Token]:
        """What the client sees of it: nothing while it shows no whole character."""
        self.num_tokens += token.num_tokens
        self.num_unseen += token.num_tokens
        if not token.text:
            return []
        if self._first_s is None:
            self._first_s = now_s
        self._texts.append(token.text)
        seen, self.num_unseen = Token(token.text, self.num_unseen), 0
        return [seen]

    def end(self, reason: Reason, now_s: float, *, is_done: bool) -> ChunkEnd:
        ttft_ms = None if self._first_s is None else 1000 * (self._first_s - self._asked_s)
        elapsed_ms = 1000 * (now_s - self._asked_s)
        return ChunkEnd(reason, "".join(self._texts), self.num_tokens, ttft_ms, elapsed_ms, is_done)
