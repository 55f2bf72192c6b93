"""Who is stepped next: slots, the waiting queue, and the only lock of the engine.

The lock guards the slot table and the queue, nothing else, and is never held over a device call, an `await`, a
callback, an encode or a log line. The device thread takes it twice a step:

    step = scheduler.next_step()        lock: admit, snapshot the runnable slots; waits while there are none
    made = model.step(step.slots)       no lock
    scheduler.finish_step(step, ...)    lock: count what was made, retire finished slots

Whoever submits, consumes or cancels takes it for the length of a few assignments.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, Generic

import msgspec

from engines.jobs import Job, Key, priority
from engines.model import Prefill, StepResult
from engines.places import Places
from engines.types import Params, Segment, Voice

COMFORT_S: Final = 1.0
"""So far ahead of its listener a session can rest for the length of a prefill, although not all that was made has been
sent yet."""

NEWCOMERS_BESIDE: Final = 8
"""So many newcomers are admitted at once beside running segments, which wait while the host sees to them: about 0.1 ms
each."""


class Slot(Generic[Key]):
    """A row of the batch. Guarded by the scheduler's lock.

    A result that carries an older generation than the slot is of a segment that has gone, and is dropped.
    """

    def __init__(self, index: int) -> None:
        self.index = index
        self.generation = 0
        self.job: Job[Key] | None = None
        self.session: int | None = None  # whose segment it holds, or held last
        self.is_waiting_for_model = False  # said "not ready" and has not woken us since


class Step(msgspec.Struct, Generic[Key]):
    """What the device thread does next, in this order."""

    releases: list[int]
    forgets: list[int]
    prefills: list[Prefill]
    rows: dict[int, tuple[Job[Key], int]]  # slot -> whose it is, and in which generation
    num_wakes: int
    waits_s: list[float]  # of the newcomers, for a slot

    @property
    def slots(self) -> list[int]:
        return list(self.rows)


class Scheduler(Generic[Key]):
    """Slots, queue and lock. Any thread, except `next_step` and `finish_step`: device thread only.

    `clock` gives seconds, monotonic. `max_queued` is the credit of a session: samples made and not yet consumed, above
    which its slot is left out of the next step. A step advances at most `step_width` slots, the most pressing ones.
    `max_line` sessions may be let in beyond the number of slots; None: any number.
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
        max_line: int | None = None,
    ) -> None:
        self._condition = threading.Condition(threading.Lock())
        self._slots: list[Slot[Key]] = [Slot(index) for index in range(num_slots)]
        self._free = OrderedDict.fromkeys(self._slots)  # the next to be given away first
        self._prefilling: set[Slot[Key]] = set()  # given away, and not advanced yet
        self._waiting: dict[Job[Key], None] = {}
        self._releases: list[int] = []  # slots that the model has not been told of yet
        self._forgets: list[int] = []  # sessions, likewise
        self._waits_s: list[float] = []  # that nobody has been told of yet
        self._places = Places[Key](None if max_line is None else num_slots + max_line, clock)
        self._num_prefills = num_prefills
        self._step_width = step_width
        self._sample_rate_hz = sample_rate_hz
        self._max_queued = max_queued
        self._clock = clock
        self._num_arrivals = 0
        self._num_wakes = 0
        self._num_steps = 0
        self._is_in_step = False
        self._is_closed = False

    # -- any thread ------------------------------------------------------------------------------------------------

    def open_job(self, owner: Key, voice: Voice, params: Params, *, is_paced: bool) -> Job[Key]:
        """A session's place in the order of arrival. It costs nothing until a segment is submitted."""
        with self._condition:
            self._num_arrivals += 1
            return Job(owner, voice, params, arrival=self._num_arrivals, is_paced=is_paced)

    def take_place(self, job: Job[Key]) -> bool:
        """Let a session in, before its text. False: it has its place already.

        Raises:
            CapacityError: there is no place.
        """
        with self._condition:
            return self._places.take(job)

    def check_room(self, num_expected: int) -> None:
        """Return where one more session would find a place, when so many have come that are on their way.

        Raises:
            CapacityError: it would not.
        """
        with self._condition:
            self._places.check(num_expected)

    def is_waiting(self, job: Job[Key]) -> bool:
        """Whether it has a segment and no slot."""
        with self._condition:
            return job in self._waiting

    def submit(self, job: Job[Key], segment: Segment, *, params: Params | None = None, is_urgent: bool = False) -> None:
        """Ask for a segment. The one before must have ended. `params`: other ones, from now on."""
        with self._condition:
            assert job.segment is None, "one segment of a session at a time"
            if job.is_closed or self._is_closed:
                return
            job.segment, job.params, job.is_urgent = segment, params or job.params, is_urgent
            job.asked_s = self._clock()
            self._waiting[job] = None
            self._condition.notify()

    def consume(self, job: Job[Key], num_samples: int) -> None:
        """The session's reader has taken this much: its credit grows."""
        with self._condition:
            was_held_up = job.is_held_up
            job.num_queued -= num_samples
            self._note_credit(job)
            if was_held_up and not job.is_held_up:
                job.asked_s = self._clock()
                self._condition.notify()

    def close_job(self, job: Job[Key]) -> None:
        """Nothing more is wanted: at the next step its slot is free again, and the model forgets the session."""
        with self._condition:
            if job.is_closed:
                return
            job.is_closed = True
            self._waiting.pop(job, None)
            self._places.leave(job)
            if job.slot is not None:
                self._retire(job.slot)
            if job.last_slot is not None:
                self._forget(job, job.last_slot)
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
            return len(self._slots) - len(self._free) + len(self._releases)

    @property
    def num_waiting(self) -> int:
        """Sessions that have a segment and no slot."""
        with self._condition:
            return len(self._waiting)

    @property
    def num_in_line(self) -> int:
        """Those of them that only want for a slot: their readers have room."""
        with self._condition:
            waiting = tuple(self._waiting)
        return sum(not job.is_held_up for job in waiting)

    @property
    def progress(self) -> int | None:
        """Steps so far, one that is being taken left out. None: none is, and nobody waits for one."""
        with self._condition:
            return self._num_steps if self._is_in_step or self._has_work() else None

    # -- device thread ---------------------------------------------------------------------------------------------

    def next_step(self) -> Step[Key] | None:
        """What to do next; waits while there is nothing. None: closed."""
        with self._condition:
            self._num_steps += self._is_in_step
            self._is_in_step = False
            while not self._is_closed:
                prefills = self._admit()
                runnable = self._runnable()
                if self._releases or self._forgets or prefills or runnable:
                    self._is_in_step = True
                    return self._step(prefills, runnable)
                self._condition.wait()
            return None

    def finish_step(
        self, step: Step[Key], results: Iterable[StepResult], not_ready: Sequence[int] = ()
    ) -> list[tuple[Job[Key], StepResult]]:
        """Count what was made; the results that are still wanted, with whose they are."""
        wanted: list[tuple[Job[Key], StepResult]] = []
        now_s = self._clock()
        with self._condition:
            self._note_not_ready(step, set(not_ready))
            for result in results:
                slot, (job, generation) = self._slots[result.slot], step.rows[result.slot]
                if slot.generation == generation:
                    job.count(len(result.pcm), now_s, self._sample_rate_hz)
                    self._note_credit(job)
                    wanted.append((job, result))
                    if result.is_segment_end or result.error is not None:
                        self._retire(slot)
        return wanted

    # -- under the lock --------------------------------------------------------------------------------------------

    def _has_work(self) -> bool:
        """Whether a session waits for anything that its reader has not kept from being made."""
        owned = (slot.job for slot in self._slots if slot.job is not None)
        return any(True for _ in self._in_line()) or any(not job.is_held_up for job in owned)

    def _admit(self) -> list[Prefill]:
        prefills: list[Prefill] = []
        if not self._free:
            return prefills
        is_stepping = len(self._slots) - len(self._free) > len(self._prefilling)
        most = NEWCOMERS_BESIDE if is_stepping else self._num_prefills
        for job in sorted(self._in_line(), key=priority):
            if len(prefills) == most or not self._has_slot_for(job) or not self._has_prefill_for(job):
                break
            del self._waiting[job]
            prefills.append(self._give(self._slot_for(job), job))
        return prefills

    def _in_line(self) -> Iterator[Job[Key]]:
        """Who may be admitted. A session whose reader has not taken what it has waits until it does."""
        return (job for job in self._waiting if not job.is_held_up)

    def _has_slot_for(self, job: Job[Key]) -> bool:
        """Unpaced work takes what is left: the last slot stays open for a listener."""
        return len(self._free) > (0 if job.is_paced or len(self._slots) == 1 else 1)

    def _has_prefill_for(self, job: Job[Key]) -> bool:
        """As with slots: the last place in prefill stays open."""
        num_open = self._num_prefills - len(self._prefilling)
        return num_open > (0 if job.is_paced or self._num_prefills == 1 else 1)

    def _slot_for(self, job: Job[Key]) -> Slot[Key]:
        """The slot that this session had last, if nobody has had it since: the model may hold in it what runs on. Else
        one whose session is over, else the one that has been free for longest."""
        last = job.last_slot
        return last if last is not None and last.session == job.arrival else next(iter(self._free))

    def _give(self, slot: Slot[Key], job: Job[Key]) -> Prefill:
        assert job.segment is not None, "a waiting session has a segment"
        slot.generation += 1
        slot.job, slot.session = job, job.arrival
        job.slot = job.last_slot = slot
        del self._free[slot]
        self._waits_s.append(self._clock() - job.asked_s)
        self._prefilling.add(slot)
        return Prefill(slot.index, job.segment, job.voice, job.params, job.arrival)

    def _runnable(self) -> list[Slot[Key]]:
        within: list[Slot[Key]] = []
        held_up: list[Slot[Key]] = []
        for slot in self._slots:
            if slot.job is not None and not slot.is_waiting_for_model:
                (held_up if slot.job.is_held_up else within).append(slot)
        if held_up and self._is_slot_wanted():
            # Readers that have stopped must not keep all slots: one held-up segment at a time is made to its end into
            # its session's queue (a segment is bounded) and gives its slot to who waits.
            within.append(max(held_up, key=_num_queued))
        if self._step_width >= len(self._slots):
            return within
        return sorted(self._pressing(within), key=_slot_priority)[: self._step_width]

    def _is_slot_wanted(self) -> bool:
        """Whether who is next in line finds no slot."""
        job = min(self._in_line(), key=priority, default=None)
        return job is not None and not self._has_slot_for(job)

    def _pressing(self, slots: list[Slot[Key]]) -> list[Slot[Key]]:
        """Where each row costs: while a listener who hears nothing yet is in prefill, the processor is theirs, and
        whoever has enough to hear until that is over is not stepped. Prefill is bounded and ends with a wake.
        """
        if not any(slot.job is not None and slot.job.is_unheard for slot in self._prefilling):
            return slots
        until_s = self._clock() + COMFORT_S
        return [
            slot
            for slot in slots
            if slot in self._prefilling or (slot.job is not None and slot.job.runs_dry_before(until_s))
        ]

    def _note_credit(self, job: Job[Key]) -> None:
        job.is_held_up = job.is_paced and job.num_queued > self._max_queued

    def _step(self, prefills: list[Prefill], runnable: Sequence[Slot[Key]]) -> Step[Key]:
        releases, self._releases = self._releases, []
        forgets, self._forgets = self._forgets, []
        waits_s, self._waits_s = self._waits_s, []
        rows = {slot.index: (slot.job, slot.generation) for slot in runnable if slot.job is not None}
        return Step(releases, forgets, prefills, rows, self._num_wakes, waits_s)

    def _note_not_ready(self, step: Step[Key], not_ready: set[int]) -> None:
        """Who of a step waits for the model, unless that has woken us since. Who does not is past prefill."""
        is_asleep = self._num_wakes == step.num_wakes
        for index in not_ready:
            _, generation = step.rows[index]
            if self._slots[index].generation == generation:
                self._slots[index].is_waiting_for_model = is_asleep
        self._prefilling = {slot for slot in self._prefilling if slot.index in not_ready or slot.index not in step.rows}

    def _retire(self, slot: Slot[Key]) -> None:
        assert slot.job is not None, "only an owned slot is retired"
        slot.job.slot = slot.job.segment = None
        slot.job = None
        slot.generation += 1
        slot.is_waiting_for_model = False
        self._free[slot] = None
        self._prefilling.discard(slot)
        self._releases.append(slot.index)

    def _forget(self, job: Job[Key], last: Slot[Key]) -> None:
        self._forgets.append(job.arrival)
        if last.session == job.arrival:
            self._free.move_to_end(last, last=False)


def _slot_priority(slot: Slot[Any]) -> tuple[int, float]:
    assert slot.job is not None, "only owned slots are stepped"
    return priority(slot.job)


def _num_queued(slot: Slot[Any]) -> int:
    return slot.job.num_queued if slot.job is not None else 0
