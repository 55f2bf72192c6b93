"""Whole characters from a model's bytes."""

import codecs


class Characters:
    """Text as it becomes complete: a character whose bytes come in several pieces is held until the last of them.
    Bytes that are no UTF-8 become U+FFFD.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, piece: bytes) -> str:
        """The characters that end in this piece."""
        return self._decoder.decode(piece)

    def finish(self) -> str:
        """What is left: U+FFFD for a character that was begun."""
        return self._decoder.decode(b"", final=True)
