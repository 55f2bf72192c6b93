"""Who may ask for slots: as many sessions as the model has slots, and a short line behind them.

A place is taken with a session's first text and kept to its end, so that what was let in is spoken without a second
thought. One that rests, because its text has stopped coming or its reader has stopped reading, gives it up to who needs
it, and takes another with its next text, if there is one.
"""

from collections.abc import Callable
from typing import Any, Final, Generic

from engines.errors import CapacityError
from engines.jobs import Job, Key

REST_S: Final = 10.0
"""A listener who has heard nothing for so long, through no fault of ours, has left the conversation for a while."""

LATE_S: Final = 2.0
"""A listener for whom we have text, and no sound for so long, means that there is more work than the machine can do."""


class Places(Generic[Key]):
    """Guarded by the scheduler's lock. `num_places` None: there is no bound. `clock` gives seconds, monotonic."""

    def __init__(self, num_places: int | None, clock: Callable[[], float]) -> None:
        self._num_places = num_places
        self._clock = clock
        self._taken: dict[Job[Key], float] = {}  # since when

    def take(self, job: Job[Key]) -> bool:
        """Let a session have a place. False: it has one.

        Raises:
            CapacityError: there is none.
        """
        if job in self._taken:
            return False
        self.check()
        self._taken[job] = self._clock()
        return True

    def check(self, num_expected: int = 0) -> None:
        """Return where there is a place, beside those that are kept for who is expected.

        Raises:
            CapacityError: there is none, or those who have one are not served in time.
        """
        if self._num_places is None:
            return
        now_s = self._clock()
        if len(self._taken) + num_expected >= self._num_places:
            self._taken = {job: since_s for job, since_s in self._taken.items() if not _rests(job, since_s, now_s)}
        if len(self._taken) + num_expected >= self._num_places:
            raise CapacityError(f"all {self._num_places} places are taken")
        if any(_is_late(job, now_s) for job in self._taken):
            raise CapacityError("those who listen already are served too slowly to let another one in")

    def leave(self, job: Job[Key]) -> None:
        self._taken.pop(job, None)


def _rests(job: Job[Any], since_s: float, now_s: float) -> bool:
    if job.segment is not None and not job.is_held_up:
        return False
    last_s = since_s if job.runs_dry_s is None else max(since_s, job.runs_dry_s)
    return now_s - last_s > REST_S


def _is_late(job: Job[Any], now_s: float) -> bool:
    if job.segment is None or job.is_held_up or not job.is_paced:
        return False
    return now_s - max(job.asked_s, job.runs_dry_s or 0.0) > LATE_S
