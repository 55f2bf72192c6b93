"""How often a process has been asked to end."""

import time
from collections.abc import Callable
from typing import Final

SAME_S: Final = 0.5
"""What comes so soon after the first signal is the same request: a service manager asks a whole group, and a program in
that group passes on to its child what it got itself; a terminal that is closed hangs up, and so does its shell."""


class EndRequests:
    """The signals that ask for an end: the first one asks to finish what runs, another one to end at once.

    `clock` gives seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._first_s: float | None = None

    def take(self) -> bool:
        """A signal has come. Whether it is another request, and not the first."""
        now_s = self._clock()
        if self._first_s is None:
            self._first_s = now_s
        return now_s - self._first_s > SAME_S
