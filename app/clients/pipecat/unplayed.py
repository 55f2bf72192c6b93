"""How much of what an LLM has written is still to be played, as far as it can be known in front of a voice."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

CHAR_S: Final = 0.065
"""What a character takes to speak."""

_LONGEST_WAIT_S: Final = 0.1


class Unplayed:
    """A reckoning: text is played from when it is written, or from when the bot is heard to begin; when the bot is
    heard to stop, all of it has been played. Event loop only.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ends_s = 0.0
        self._waiting_s = 0.0  # of speech that was written before the bot was heard
        self._is_playing = False
        self._news = asyncio.Event()

    @property
    def seconds(self) -> float:
        """So much is still to be played."""
        return max(0.0, self._ends_s - self._clock())

    def add(self, text: str) -> None:
        """This was written."""
        spoken_s = CHAR_S * len(text)
        self._ends_s = max(self._ends_s, self._clock()) + spoken_s
        if not self._is_playing:
            self._waiting_s += spoken_s

    def begin(self) -> None:
        """The bot is heard: nothing of what was written until now has been played before."""
        self._is_playing = True
        self._ends_s = self._clock() + self._waiting_s
        self._waiting_s = 0.0

    def end(self) -> None:
        """The bot is silent: nothing is left."""
        self.forget()
        self._news.set()

    def forget(self) -> None:
        """What was written before is not waited for."""
        self._is_playing = False
        self._ends_s = self._waiting_s = 0.0

    async def until_below(self, limit_s: float) -> None:
        """Return when no more than this is still to be played."""
        while (above_s := self.seconds - limit_s) > 0:
            self._news.clear()
            try:
                async with asyncio.timeout(min(above_s, _LONGEST_WAIT_S)):
                    await self._news.wait()
            except TimeoutError:
                pass
