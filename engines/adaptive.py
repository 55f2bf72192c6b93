"""How much to say at once, from how much the listener still has to hear.

A small segment is heard sooner, a whole sentence sounds better. While the listener's buffer is short, speed wins;
once it holds a second, prosody does.
"""

import msgspec

from engines.types import Granularity


class Choice(msgspec.Struct, frozen=True):
    """What to take of the waiting text, and whether it goes before other sessions' work."""

    granularity: Granularity
    is_urgent: bool
    reason: str


def choose(buffer_ms: float, num_waiting_chars: int, *, small_buffer_ms: float = 1000.0) -> Choice:
    """The choice for the next segment.

    `buffer_ms` is audio sent minus wall time since the first audio; 0 while nothing was heard. Without text the
    answer is what the first words to come will meet: they go ahead of everything when the listener is about to hear
    silence.
    """
    if buffer_ms >= small_buffer_ms:
        return Choice("sentence", is_urgent=False, reason="full buffer")
    return Choice("clause", is_urgent=True, reason="short buffer" if num_waiting_chars else "starved")
