"""Two clocks of a stream that is sent to a listener: when more may be sent, and what has been heard.

Both are pure: the time now comes in as an argument, in seconds.
"""

import bisect
from typing import Final

from engines.types import Frame

MAX_MESSAGE_BYTES: Final = 4096
MAX_MESSAGE_S: Final = 0.1
"""The longest message, in bytes and in what it sounds: at 8 kHz mu-law 4 096 bytes would be half a second, which a
cancel could not take back.
"""


class Pace:
    """A token bucket of bytes: one message at once, then `send_rate` times real time. A rate of 0 does not wait.

    `message_bytes` is the size of a message: so small, too, that a listener does not wait longer than `MAX_MESSAGE_S`
    for the next one while there is audio to send.
    """

    def __init__(self, bytes_per_second: float, bytes_per_sample: int, send_rate: float) -> None:
        self._refill = bytes_per_second * send_rate
        self._burst = min(float(MAX_MESSAGE_BYTES), bytes_per_second * MAX_MESSAGE_S)
        self._tokens = self._burst
        self._filled_at_s: float | None = None
        longest = min(self._burst, self._refill * MAX_MESSAGE_S) if send_rate else self._burst
        self.message_bytes = max(1, int(longest) // bytes_per_sample) * bytes_per_sample

    def take(self, num_bytes: int, now_s: float) -> float:
        """Take so many bytes out, and wait the seconds that this returns before sending them."""
        if self._refill == 0:
            return 0.0
        if self._filled_at_s is not None:
            gained = (now_s - self._filled_at_s) * self._refill
            self._tokens = min(self._burst, self._tokens + gained)
        self._filled_at_s = now_s
        self._tokens -= num_bytes
        return max(0.0, -self._tokens / self._refill)


class PlayClock:
    """What a listener has heard who plays everything as soon as it comes, and rests when nothing is there."""

    def __init__(self) -> None:
        self.sent_ms = 0.0
        self._ends_at_s = 0.0
        self._end_ms: list[float] = []
        self._text_end: list[int] = []

    def sent(self, duration_ms: float, now_s: float) -> None:
        """So much audio has just been sent."""
        self._ends_at_s = max(self._ends_at_s, now_s) + duration_ms / 1000
        self.sent_ms += duration_ms

    def spoke(self, frame: Frame, made_ms: float) -> None:
        """Note what a frame says; with it `made_ms` of the stream are made."""
        for word in frame.words:
            self._note(word.end_ms, word.char_end)
        self._note(made_ms, frame.text_end)

    def heard_ms(self, now_s: float) -> float:
        """Milliseconds of the stream that have been played."""
        return self.sent_ms - max(0.0, (self._ends_at_s - now_s) * 1000)

    def is_playing(self, now_s: float) -> bool:
        return now_s < self._ends_at_s

    def text_end(self, heard_ms: float) -> int:
        """Where in the stream's text a listener is who has heard so much: behind the last word that is complete."""
        index = bisect.bisect_right(self._end_ms, heard_ms + 0.5)
        return self._text_end[index - 1] if index else 0

    def _note(self, end_ms: float, text_end: int) -> None:
        """A model may know a word only when it has sounded: then it goes among what is noted already."""
        place = bisect.bisect_right(self._end_ms, end_ms)
        self._end_ms.insert(place, end_ms)
        self._text_end.insert(place, max(text_end, self._text_end[place - 1] if place else 0))
        for later in range(place + 1, len(self._text_end)):
            self._text_end[later] = max(self._text_end[later], text_end)
