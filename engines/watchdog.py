"""Whether a device gets on: told from the outside, for a thread that hangs in a call cannot say so itself."""

from collections.abc import Callable
from typing import Final

LOOKS: Final = 10
"""In the time that a device may take: how often to look."""

MAX_STRIDE: Final = 4
"""Of that time, at most one part in so many counts for one look: a process that was stopped, or a clock that has
jumped, is no device that hangs."""


class Watchdog:
    """Says how long a device has stood still with work before it. Call `look` every `interval_s`, on one thread.

    It is stalled after `bound_s`, and hangs after twice as long: what comes back in between has only been slow. `clock`
    gives seconds, monotonic.
    """

    def __init__(self, bound_s: float, clock: Callable[[], float]) -> None:
        self.interval_s = bound_s / LOOKS
        self._bound_s = bound_s
        self._clock = clock
        self._looked_s = clock()
        self._progress: int | None = None
        self._still_s = 0.0

    def look(self, progress: int | None) -> None:
        """Note where the device is: any number that changes whenever it gets on. None: nothing waits for it."""
        now_s = self._clock()
        passed_s = min(max(now_s - self._looked_s, 0.0), self._bound_s / MAX_STRIDE)
        self._looked_s = now_s
        has_moved = progress is None or progress != self._progress
        self._still_s = 0.0 if has_moved else self._still_s + passed_s
        self._progress = progress

    @property
    def is_stalled(self) -> bool:
        """Any thread."""
        return self._still_s >= self._bound_s

    @property
    def is_hanging(self) -> bool:
        return self._still_s >= 2 * self._bound_s
