"""Where an answer ends although the model would go on: in front of a word that its client named."""

from collections import deque
from collections.abc import Sequence

from engines.llm.types import Token


class StopWords:
    """Lets tokens through, in order, that belong to no stop word: what may be the beginning of one is held until that
    is known. A word may begin and end inside a token; the token it begins in is cut, and the cut counts for none.
    """

    def __init__(self, words: Sequence[str]) -> None:
        self._words = tuple(filter(None, words))
        self._held: deque[Token] = deque()
        self._text = ""  # of what is held
        self.is_found = False

    def push(self, token: Token) -> list[Token]:
        """What can be let through now. With `is_found` it is the last."""
        if not self._words:
            return [token]
        self._held.append(token)
        self._text += token.text
        found = min((index for word in self._words if (index := self._text.find(word)) >= 0), default=None)
        if found is None:
            return self._let_through(len(self._text) - self._num_suspect_chars())
        self.is_found = True
        passed = self._let_through(found)
        return [*passed, Token(self._text[:rest], 0)] if (rest := found - _num_chars(passed)) else passed

    def finish(self) -> list[Token]:
        """The answer is over: what was held is no stop word."""
        return self._let_through(len(self._text))

    def _num_suspect_chars(self) -> int:
        """How much of the end of the text may be the beginning of a stop word."""
        longest = min(len(self._text), max(map(len, self._words)) - 1)
        suspects = (num for num in range(longest, 0, -1) if self._is_beginning(self._text[-num:]))
        return next(suspects, 0)

    def _is_beginning(self, text: str) -> bool:
        return any(word.startswith(text) for word in self._words)

    def _let_through(self, num_chars: int) -> list[Token]:
        """The tokens that lie within so many characters."""
        passed: list[Token] = []
        while self._held and len(self._held[0].text) <= num_chars:
            passed.append(self._held.popleft())
            num_chars -= len(passed[-1].text)
        self._text = self._text[_num_chars(passed) :]
        return passed


def _num_chars(tokens: Sequence[Token]) -> int:
    return sum(len(token.text) for token in tokens)
