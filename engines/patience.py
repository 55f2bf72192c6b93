"""How long a newcomer waits for a slot before it is told that there is none."""

import asyncio
from collections.abc import Callable


class Patience:
    """A time limit on the event loop. `give_up` is called where `is_waiting` still holds when it is over."""

    def __init__(self, limit_s: float | None, is_waiting: Callable[[], bool], give_up: Callable[[], None]) -> None:
        self._limit_s = limit_s
        self._is_waiting = is_waiting
        self._give_up = give_up
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        if self._limit_s is not None:
            self.stop()
            self._timer = asyncio.get_running_loop().call_later(self._limit_s, self._end)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _end(self) -> None:
        self._timer = None
        if self._is_waiting():
            self._give_up()
