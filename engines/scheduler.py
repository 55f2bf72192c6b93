"""Who is stepped next: slots, the waiting queue, and the only lock of the engine.

The lock guards the slot table and the queue, nothing else, and is never held over a device call, an `await`, a
callback, an encode or a log line. The device thread takes it twice a step:

    step = scheduler.next_step()        lock: retire, admit, snapshot the runnable slots; waits while there are none
    results = model.step(step.slots)    no lock
    scheduler.finish_step(step, ...)    lock: count what was made, retire finished slots

Whoever submits, consumes or cancels takes it for the length of a few assignments.
"""

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Generic, TypeVar

import msgspec

from engines.model import Prefill, StepResult
from engines.types import Params, Segment, Voice

Key = TypeVar("Key")

COMFORT_S: Final = 1.0
"""So far ahead of its listener a session can rest for the length of a prefill, although not all that was made has been
sent yet."""


class Job(Generic[Key]):
    """One session as the scheduler sees it: at most one segment at a time. Guarded by the scheduler's lock.

    `owner` is whoever the results are for. Counts are in samples at the model's rate.
    """

    def __init__(self, owner: Key, voice: Voice, params: Params, *, arrival: int, is_paced: bool) -> None:
        self.owner = owner
        self.voice = voice
        self.params = params
        self.arrival = arrival
        self.is_paced = is_paced
        self.is_urgent = False
        self.segment: Segment | None = None
        self.slot: Slot[Key] | None = None
        self.num_queued = 0
        self.num_made = 0
        self.runs_dry_s: float | None = None  # when its listener has heard all that was made; None: hears nothing yet
        self.is_closed = False


class Slot(Generic[Key]):
    """A row of the batch. Guarded by the scheduler's lock.

    A result that carries an older generation than the slot is of a segment that has gone, and is dropped.
    """

    def __init__(self, index: int) -> None:
        self.index = index
        self.generation = 0
        self.job: Job[Key] | None = None
        self.is_prefilling = False  # no result yet
        self.is_waiting_for_model = False  # said "not ready" and has not woken us since
        self.has_leftovers = False  # the model still holds its last segment


class Step(msgspec.Struct, Generic[Key]):
    """What the device thread does next, in this order. `jobs` and `generations` belong to `slots`, item by item."""

    releases: list[int]
    prefills: list[Prefill]
    slots: list[int]
    jobs: list[Job[Key]]
    generations: list[int]
    num_wakes: int


class Scheduler(Generic[Key]):
    """Slots, queue and lock. Any thread, except `next_step` and `finish_step`: device thread only.

    `clock` gives seconds, monotonic. `max_queued` is the credit of a session: samples made and not yet consumed, above
    which its slot is left out of the next step. A step advances at most `step_width` slots, the most pressing ones.
    """

    def __init__(
        self,
        num_slots: int,
        num_prefills: int,
        step_width: int,
        *,
        sample_rate_hz: int,
        max_queued: int,
        clock: Callable[[], float],
    ) -> None:
        self._condition = threading.Condition(threading.Lock())
        self._slots: list[Slot[Key]] = [Slot(index) for index in range(num_slots)]
        self._waiting: dict[Job[Key], None] = {}
        self._num_prefills = num_prefills
        self._step_width = step_width
        self._sample_rate_hz = sample_rate_hz
        self._max_queued = max_queued
        self._clock = clock
        self._num_arrivals = 0
        self._num_wakes = 0
        self._is_closed = False

    # -- any thread ------------------------------------------------------------------------------------------------

    def open_job(self, owner: Key, voice: Voice, params: Params, *, is_paced: bool) -> Job[Key]:
        """A session's place in the order of arrival. It costs nothing until a segment is submitted."""
        with self._condition:
            self._num_arrivals += 1
            return Job(owner, voice, params, arrival=self._num_arrivals, is_paced=is_paced)

    def submit(self, job: Job[Key], segment: Segment, *, is_urgent: bool = False) -> None:
        """Ask for a segment. The one before must have ended."""
        with self._condition:
            assert job.segment is None, "one segment of a session at a time"
            if job.is_closed or self._is_closed:
                return
            job.segment, job.is_urgent = segment, is_urgent
            self._waiting[job] = None
            self._condition.notify()

    def consume(self, job: Job[Key], num_samples: int) -> None:
        """The session's reader has taken this much: its credit grows."""
        with self._condition:
            was_over = job.num_queued > self._max_queued
            job.num_queued -= num_samples
            if was_over and job.num_queued <= self._max_queued:
                self._condition.notify()

    def close_job(self, job: Job[Key]) -> None:
        """Nothing more is wanted. A slot it holds is free again at the next step."""
        with self._condition:
            job.is_closed = True
            self._waiting.pop(job, None)
            if job.slot is not None:
                self._retire(job.slot)
                self._condition.notify()

    def wake(self) -> None:
        """A row that was not ready may be ready now."""
        with self._condition:
            self._num_wakes += 1
            for slot in self._slots:
                slot.is_waiting_for_model = False
            self._condition.notify()

    def close(self) -> None:
        """Let `next_step` return None."""
        with self._condition:
            self._is_closed = True
            self._condition.notify()

    @property
    def num_busy_slots(self) -> int:
        """Slots that are owned, or hold something that the device has not yet been told to forget."""
        with self._condition:
            return sum(slot.job is not None or slot.has_leftovers for slot in self._slots)

    @property
    def num_waiting(self) -> int:
        """Sessions that have a segment and no slot."""
        with self._condition:
            return len(self._waiting)

    # -- device thread ---------------------------------------------------------------------------------------------

    def next_step(self) -> Step[Key] | None:
        """What to do next; waits while there is nothing. None: closed."""
        with self._condition:
            while not self._is_closed:
                releases = self._take_leftovers()
                prefills = self._admit()
                runnable = self._runnable()
                if releases or prefills or runnable:
                    return self._step(releases, prefills, runnable)
                self._condition.wait()
            return None

    def finish_step(self, step: Step[Key], results: Iterable[StepResult]) -> list[tuple[Job[Key], StepResult]]:
        """Count what was made; the results that are still wanted, with whose they are."""
        by_slot = {result.slot: result for result in results}
        wanted: list[tuple[Job[Key], StepResult]] = []
        now_s = self._clock()
        with self._condition:
            for index, job, generation in zip(step.slots, step.jobs, step.generations, strict=True):
                slot, result = self._slots[index], by_slot.get(index)
                if slot.generation != generation:
                    continue
                if result is None:
                    slot.is_waiting_for_model = self._num_wakes == step.num_wakes
                else:
                    self._count(slot, job, result, now_s)
                    wanted.append((job, result))
        return wanted

    # -- under the lock --------------------------------------------------------------------------------------------

    def _take_leftovers(self) -> list[int]:
        leftovers = [slot for slot in self._slots if slot.has_leftovers]
        for slot in leftovers:
            slot.has_leftovers = False
        return [slot.index for slot in leftovers]

    def _admit(self) -> list[Prefill]:
        prefills: list[Prefill] = []
        num_prefilling = sum(slot.is_prefilling for slot in self._slots)
        free = [slot for slot in self._slots if slot.job is None]
        while num_prefilling < self._num_prefills and (job := self._next_job()) is not None:
            if not self._has_slot_for(job, len(free)) or not self._has_prefill_for(job, num_prefilling):
                break
            del self._waiting[job]
            prefills.append(self._give(free.pop(0), job))
            num_prefilling += 1
        return prefills

    def _next_job(self) -> Job[Key] | None:
        """Who is admitted next. A session whose reader has not taken what it has waits until it does."""
        return min((job for job in self._waiting if not self._is_over_credit(job)), key=_priority, default=None)

    def _has_slot_for(self, job: Job[Key], num_free: int) -> bool:
        """Unpaced work takes what is left: the last slot stays open for a listener."""
        return num_free > (0 if job.is_paced or len(self._slots) == 1 else 1)

    def _has_prefill_for(self, job: Job[Key], num_prefilling: int) -> bool:
        """As with slots: the last place in prefill stays open."""
        num_open = self._num_prefills - num_prefilling
        return num_open > (0 if job.is_paced or self._num_prefills == 1 else 1)

    def _give(self, slot: Slot[Key], job: Job[Key]) -> Prefill:
        assert job.segment is not None, "a waiting session has a segment"
        slot.generation += 1
        slot.job, job.slot = job, slot
        slot.is_prefilling, slot.is_waiting_for_model = True, False
        return Prefill(slot.index, job.segment, job.voice, job.params)

    def _runnable(self) -> list[Slot[Key]]:
        ready = [slot for slot in self._slots if slot.job is not None and not slot.is_waiting_for_model]
        held_up = [slot for slot in ready if slot.job is not None and self._is_over_credit(slot.job)]
        within = [slot for slot in ready if slot not in held_up]
        next_job = self._next_job()
        num_free = sum(slot.job is None for slot in self._slots)
        if next_job is not None and not self._has_slot_for(next_job, num_free):
            # Readers that have stopped must not keep all slots: one held-up segment at a time is made to its end into
            # its session's queue (a segment is bounded) and gives its slot to who waits.
            within += sorted(held_up, key=_num_queued)[-1:]
        return sorted(self._pressing(within), key=_slot_priority)[: self._step_width]

    def _pressing(self, slots: list[Slot[Key]]) -> list[Slot[Key]]:
        """While a listener who hears nothing yet is in prefill, the processor is theirs: whoever has enough to hear
        until that is over is not stepped. Prefill is bounded and ends with a wake.
        """
        if not any(slot.is_prefilling and slot.job is not None and _is_unheard(slot.job) for slot in self._slots):
            return slots
        until_s = self._clock() + COMFORT_S
        return [slot for slot in slots if slot.is_prefilling or _runs_dry_before(slot, until_s)]

    def _is_over_credit(self, job: Job[Key]) -> bool:
        return job.is_paced and job.num_queued > self._max_queued

    def _step(self, releases: list[int], prefills: list[Prefill], runnable: Sequence[Slot[Key]]) -> Step[Key]:
        return Step(
            releases=releases,
            prefills=prefills,
            slots=[slot.index for slot in runnable],
            jobs=[slot.job for slot in runnable if slot.job is not None],
            generations=[slot.generation for slot in runnable],
            num_wakes=self._num_wakes,
        )

    def _count(self, slot: Slot[Key], job: Job[Key], result: StepResult, now_s: float) -> None:
        slot.is_prefilling = False
        num_samples = len(result.pcm)
        job.num_made += num_samples
        job.num_queued += num_samples
        if num_samples:
            starts_s = now_s if job.runs_dry_s is None else max(job.runs_dry_s, now_s)
            job.runs_dry_s = starts_s + num_samples / self._sample_rate_hz
        if result.is_segment_end or result.error is not None:
            self._retire(slot)

    def _retire(self, slot: Slot[Key]) -> None:
        assert slot.job is not None, "only an owned slot is retired"
        slot.job.slot = slot.job.segment = None
        slot.job = None
        slot.generation += 1
        slot.is_prefilling = slot.is_waiting_for_model = False
        slot.has_leftovers = True


def _priority(job: Job[Any]) -> tuple[int, float]:
    """Smaller goes first: who hears nothing yet, then who is nearest to under-run, then the rest as they came."""
    if not job.is_paced:
        return 2, job.arrival
    if _is_unheard(job):
        return 0, job.arrival
    assert job.runs_dry_s is not None, "else nothing of it was heard"
    return 1, job.runs_dry_s


def _is_unheard(job: Job[Any]) -> bool:
    return job.is_paced and (job.is_urgent or job.runs_dry_s is None)


def _runs_dry_before(slot: Slot[Any], time_s: float) -> bool:
    job = slot.job
    return job is not None and job.is_paced and (job.runs_dry_s is None or job.runs_dry_s < time_s)


def _slot_priority(slot: Slot[Any]) -> tuple[int, float]:
    assert slot.job is not None, "only owned slots are stepped"
    return _priority(slot.job)


def _num_queued(slot: Slot[Any]) -> int:
    return slot.job.num_queued if slot.job is not None else 0
