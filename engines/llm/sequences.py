"""What a session has the model read and write, and how much of that is in the cache."""

from bisect import bisect_left
from collections.abc import Sequence

from engines.llm.model import Run


class TokenSequence:
    """Tokens in order, of which the first `num_evaluated` are in the cache. What is missing there is a prompt, or the
    one token that was drawn last: to go on is always to evaluate what is missing.
    """

    def __init__(self, tokens: Sequence[int]) -> None:
        assert tokens, "a sequence has something to go on from"
        self.tokens = list(tokens)
        self.num_evaluated = 0

    @property
    def num_missing(self) -> int:
        return len(self.tokens) - self.num_evaluated

    def run(self, slot: int, most: int) -> Run:
        """The next piece of what is missing, of at most so many tokens."""
        start, end = self.num_evaluated, min(self.num_evaluated + most, len(self.tokens))
        return Run(slot, start, self.tokens[start:end], draws=end == len(self.tokens))

    def note_read(self, run: Run) -> None:
        """A run was evaluated aside. It counts if these are still the tokens to go on with."""
        end = run.start + len(run.tokens)
        if self.num_evaluated == run.start and self.tokens[run.start : end] == run.tokens:
            self.num_evaluated = end

    def rewrite(self, tokens: Sequence[int]) -> None:
        """Go on from these instead. What they begin with stays evaluated, but for the last of them."""
        self.num_evaluated = self.num_shared_with(tokens)
        self.tokens = list(tokens)

    def num_shared_with(self, tokens: Sequence[int]) -> int:
        """How many evaluated tokens these could begin with, and still have one to be evaluated."""
        return min(num_alike(self.tokens, tokens), self.num_evaluated, len(tokens) - 1)


def num_alike(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens two sequences of the same type begin with alike."""
    most = min(len(one), len(other))
    return bisect_left(range(1, most + 1), True, key=lambda num: one[:num] != other[:num])
