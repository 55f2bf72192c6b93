"""Who has which slot, and who has to leave when somebody else needs it."""

from typing import Any, Final, Generic

from engines.llm.jobs import Copy, Job, Key, Save

MIN_SHARED_TOKENS: Final = 16
"""Fewer are evaluated sooner than they are looked after."""


class Slots(Generic[Key]):
    """The slot table. Guarded by the scheduler's lock.

    Who has a slot is *running* (it writes), *paused* (it does not, and keeps the slot for as long as nobody needs it)
    or *remembered* (it is over, and others may go on from what it has read and written; at most `num_remembered` are).
    """

    def __init__(self, num_slots: int, *, num_remembered: int) -> None:
        self._jobs: list[Job[Key] | None] = [None] * num_slots
        self._num_remembered = num_remembered
        self._saves: list[Save[Key]] = []  # of these the device does not know yet
        self._releases: list[int] = []

    @property
    def jobs(self) -> list[Job[Key]]:
        return [job for job in self._jobs if job is not None]

    @property
    def running(self) -> list[Job[Key]]:
        return [job for job in self._jobs if job is not None and job.is_running]

    @property
    def paused(self) -> list[Job[Key]]:
        return [job for job in self._jobs if job is not None and not job.is_running and not job.is_closed]

    @property
    def remembered(self) -> list[Job[Key]]:
        return [job for job in self._jobs if job is not None and job.is_closed]

    @property
    def num_busy(self) -> int:
        """Those that a session has, or that hold what the device has not been told to put away yet."""
        owned = {job.slot for job in (*self.running, *self.paused)}
        return len(owned.union(self._releases, (save.slot for save in self._saves)))

    @property
    def has_changes(self) -> bool:
        return bool(self._saves or self._releases)

    def take_changes(self) -> tuple[list[Save[Key]], list[int]]:
        """What is to be saved and which slots are to be emptied before the next step."""
        saves, self._saves = self._saves, []
        releases, self._releases = self._releases, []
        return saves, releases

    def give(self, job: Job[Key]) -> bool:
        """Let a job have one: that of a remembered session which it goes on from, else a free one, else that of any
        remembered session, else that of a paused one. False: all are running.
        """
        slot = self._find(job)
        if slot is not None:
            self._jobs[slot], job.slot = job, slot
        return slot is not None

    def leave(self, job: Job[Key]) -> None:
        """Its session is over."""
        if not job.is_remembered or job.is_aside or job.sequence.num_evaluated < MIN_SHARED_TOKENS:
            self._release(job)
        elif len(self.remembered) > self._num_remembered:
            self._release(_least_recently_used(self.remembered))

    def make_room(self) -> bool:
        """Give cells back that nobody needs now, of one session. False: there are none."""
        if self.remembered:
            self._release(_least_recently_used(self.remembered))
        elif self.paused:
            self.preempt(_least_recently_used(self.paused))
        else:
            return False
        return True

    def preempt(self, job: Job[Key]) -> int:
        """Take a job's slot. What it has in the cache comes back when it does."""
        slot = self._vacate(job)
        if not job.has_begun:  # it has nothing but what it found there
            job.sequence.num_evaluated = 0
        if job.is_aside or not job.sequence.num_evaluated:
            self._releases.append(slot)
        else:
            self._saves.append(Save(job, slot, job.sequence.num_evaluated))
            job.is_aside = True
        return slot

    def share(self, job: Job[Key]) -> Copy | None:
        """Let a job that is about to begin do so with what another has evaluated already, if that is worth it."""
        others = (other for other in self._jobs if other is not None and other is not job and not other.is_aside)
        source = max(others, key=lambda other: _num_shared(job, other), default=None)
        if source is None or _num_shared(job, source) < job.sequence.num_evaluated + MIN_SHARED_TOKENS:
            return None
        assert source.slot is not None, "it was found in one"
        assert job.slot is not None, "it is about to begin there"
        job.sequence.num_evaluated = _num_shared(job, source)
        return Copy(source.slot, job.slot, job.sequence.num_evaluated)

    def _find(self, job: Job[Key]) -> int | None:
        if (other := self._continued_by(job)) is not None:
            return self._take_over(job, other)
        if None in self._jobs:
            return self._jobs.index(None)
        if self.remembered:
            return self._take_over(job, _least_recently_used(self.remembered))
        return self.preempt(_least_recently_used(self.paused)) if self.paused else None

    def _continued_by(self, job: Job[Key]) -> Job[Key] | None:
        """The remembered session that this one goes on from: nothing is lost that would be worth keeping."""
        for other in self.remembered:
            num_shared = _num_shared(job, other)
            if num_shared >= MIN_SHARED_TOKENS > other.sequence.num_evaluated - num_shared:
                return other
        return None

    def _take_over(self, job: Job[Key], other: Job[Key]) -> int:
        """The slot of a remembered session, and what can be used of its contents."""
        slot = self._vacate(other)
        if job.has_begun:
            self._releases.append(slot)
        else:
            job.sequence.num_evaluated = _num_shared(job, other)
        return slot

    def _release(self, job: Job[Key]) -> None:
        self._releases.append(self._vacate(job))

    def _vacate(self, job: Job[Key]) -> int:
        slot = job.slot
        assert slot is not None, "only who has a slot leaves it"
        self._jobs[slot] = job.slot = None
        return slot


def _least_recently_used(jobs: list[Job[Key]]) -> Job[Key]:
    return min(jobs, key=lambda job: job.used)


def _num_shared(job: Job[Any], other: Job[Any]) -> int:
    """How many tokens that another has in the cache a job may begin with, if it has not begun."""
    return 0 if job.has_begun else other.sequence.num_shared_with(job.sequence.tokens)
