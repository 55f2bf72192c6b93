"""Who writes next: slots, the line for them, and the only lock of the text engine.

The lock guards the slot table and the line, nothing else, and is never held over a device call, an `await`, a callback
or a log line. The device thread takes it twice a step:

    step = scheduler.next_step()     lock: admit, and say what is to be evaluated; waits while there is nothing
    stepper.evaluate(...)            no lock
    scheduler.finish_step(over)      lock: whose chunk is over writes no longer

or `relieve` in place of the last, where the cells did not suffice. A long prompt beside others is read *aside*: its
`reading` takes as long as many steps, in the middle of which `poll_step` says what is to be done for the others. A
session is one job for all its life, and slots are given away in `next_step` and `poll_step` alone, between steps: what
a step makes for a session that has gone meets no other.
"""

import threading
from collections.abc import Iterable, Sequence
from typing import Generic

from engines.llm.jobs import Copy, Job, Key, Reading, Row, Step
from engines.llm.prefill_budget import PrefillBudget
from engines.llm.slots import Slots


class Scheduler(Generic[Key]):
    """Slots, line and lock. Any thread, except what is marked: device thread only.

    A step has the last token of everybody who writes, and of prompts as much as `budget` allows where others write or
    are about to go on, else the batch: what is written on an idle server does not depend on the clock. With
    `reads_aside`, a prompt of more than a batch is not among them there.
    """

    def __init__(
        self, num_slots: int, batch_size: int, budget: PrefillBudget, *, num_remembered: int, reads_aside: bool = False
    ) -> None:
        assert num_slots <= batch_size, "a step has room for everybody who writes"
        self._condition = threading.Condition(threading.Lock())
        self._slots = Slots[Key](num_slots, num_remembered=num_remembered)
        self._line: dict[Job[Key], None] = {}  # who would write and has no slot
        self._stops: dict[Job[Key], None] = {}
        self._forgets: list[Job[Key]] = []
        self._batch_size = batch_size
        self._budget = budget
        self._reads_aside = reads_aside
        self._aside: Job[Key] | None = None  # whose prompt is being read there, a piece after the other
        self._is_reading = False  # the device is in the middle of a piece
        self._is_full = False  # of cells: the line waits until somebody stops
        self._num_events = 0
        self._num_steps = 0
        self._is_in_step = False
        self._is_closed = False

    # -- any thread ------------------------------------------------------------------------------------------------

    def open_job(self, owner: Key, tokens: Sequence[int], *, is_remembered: bool = False) -> Job[Key]:
        """A session that goes on from these tokens. It costs nothing until a chunk is submitted."""
        return Job(owner, tokens, is_remembered=is_remembered)

    def submit(self, job: Job[Key]) -> None:
        """Ask for a chunk. The one before must be over."""
        with self._condition:
            assert not self._is_writing(job), "one chunk of a session at a time"
            if job.is_closed or self._is_closed:
                return
            job.asked = self._now()
            if job.slot is None:
                self._line[job] = None
            else:
                self._admit(job)
            self._condition.notify()

    def is_waiting(self, job: Job[Key]) -> bool:
        """Whether it would write and has no slot."""
        with self._condition:
            return job in self._line

    def stop(self, job: Job[Key]) -> None:
        """End its chunk behind the token that is being made, if one is."""
        with self._condition:
            if self._is_writing(job):
                self._stops[job] = None
                self._condition.notify()

    def rewrite(self, job: Job[Key], tokens: Sequence[int]) -> None:
        """Go on from these tokens instead. Between chunks."""
        with self._condition:
            assert not self._is_writing(job), "the device reads what it has"
            job.sequence.rewrite(tokens)

    def close_job(self, job: Job[Key]) -> None:
        """Nothing more is wanted. At the next step its slot and its cells are free, or remembered."""
        with self._condition:
            if job.is_closed:
                return
            self._end_chunk(job)
            job.is_closed = True
            self._forgets.append(job)
            if job.slot is not None:
                self._slots.leave(job)
            self._condition.notify()

    def close(self) -> None:
        """Let `next_step` return None."""
        with self._condition:
            self._is_closed = True
            self._condition.notify()

    @property
    def num_busy_slots(self) -> int:
        """Slots that a session has, or that hold what the device has not been told to put away yet."""
        with self._condition:
            return self._slots.num_busy

    @property
    def jobs(self) -> list[Job[Key]]:
        """Who has a slot, those included that are over and remembered."""
        with self._condition:
            return self._slots.jobs

    @property
    def line(self) -> list[Job[Key]]:
        """Who would write and has no slot."""
        with self._condition:
            return list(self._line)

    @property
    def num_running(self) -> int:
        """Sessions that write or would write."""
        with self._condition:
            return len(self._slots.running) + len(self._line)

    @property
    def progress(self) -> int | None:
        """Steps so far, one that is being taken left out. None: none is, and nobody waits for one."""
        with self._condition:
            return self._num_steps if self._is_in_step or self._slots.running or self._line else None

    # -- device thread ---------------------------------------------------------------------------------------------

    def next_step(self) -> Step[Key] | None:
        """What to do next; waits while there is nothing. None: closed."""
        with self._condition:
            self._num_steps += self._is_in_step
            self._is_in_step = False
            while not self._is_closed:
                step = self._plan()
                if not step.is_empty:
                    self._is_in_step = True
                    return step
                self._condition.wait()
            return None

    def poll_step(self) -> Step[Key] | None:
        """What to do in the middle of a reading. None: nothing."""
        with self._condition:
            self._num_steps += 1  # the device gets on
            step = None if self._is_closed else self._plan()
            return None if step is None or step.is_empty else step

    def note_read(self, reading: Reading[Key]) -> bool:
        """A piece was read, of what may have been rewritten meanwhile. True: all of the prompt has been, but for its
        last token. Until `finish_reading` its job is still in the middle of it.
        """
        with self._condition:
            reading.job.sequence.note_read(reading.run)
            return reading.job.sequence.num_missing == 1

    def finish_reading(self, reading: Reading[Key]) -> None:
        """Whoever has been read to the end writes from now on, and another may be read."""
        with self._condition:
            self._is_reading = False
            if reading.job.sequence.num_missing == 1 or reading.job.is_closed:
                self._aside = None

    def finish_step(self, over: Iterable[Job[Key]]) -> None:
        """The step was taken; the chunks of these are over."""
        with self._condition:
            for job in over:
                self._end_chunk(job)

    def note_back(self, job: Job[Key]) -> None:
        """What was put aside of a job is in its slot again."""
        with self._condition:
            job.is_aside = False

    def relieve(self) -> Job[Key] | None:
        """There was no room in the cells: make some for the next step. Who is remembered goes first, then who is
        paused, then who was admitted last waits until somebody stops. Returns who has to end, having filled the cells
        alone.
        """
        with self._condition:
            running = self._slots.running
            if self._slots.has_changes or self._slots.make_room() or not running:
                return None
            last = max(running, key=lambda job: job.admitted)
            if len(running) == 1:
                self._end_chunk(last)
                return last
            self._slots.preempt(last)
            last.is_running = False
            self._line[last] = None
            self._is_full = True
            return None

    # -- under the lock --------------------------------------------------------------------------------------------

    def _now(self) -> int:
        self._num_events += 1
        return self._num_events

    def _is_writing(self, job: Job[Key]) -> bool:
        return job.is_running or job in self._line

    def _end_chunk(self, job: Job[Key]) -> None:
        job.is_running = False
        job.used = self._now()
        self._line.pop(job, None)
        self._stops.pop(job, None)
        self._is_full = False

    def _admit(self, job: Job[Key]) -> None:
        job.is_running = True
        job.admitted = self._now()

    def _plan(self) -> Step[Key]:
        stops = list(self._stops)
        for job in stops:
            self._end_chunk(job)
        self._admit_line()
        rows, reading, copies = self._rows()
        forgets, self._forgets = self._forgets, []
        saves, releases = self._slots.take_changes()
        return Step(saves, releases, forgets, copies, stops, rows, reading)

    def _admit_line(self) -> None:
        for job in sorted(self._line, key=_asked):
            if self._is_full or not self._slots.give(job):
                return
            del self._line[job]
            self._admit(job)

    def _rows(self) -> tuple[list[Row[Key]], Reading[Key] | None, list[Copy]]:
        running = self._slots.running
        writers = [job for job in running if job.has_begun and job.sequence.num_missing == 1 and job is not self._aside]
        rows = [_row(job, 1) for job in writers]
        prompts = [job for job in running if job not in writers]
        room = self._batch_size - len(writers)
        is_beside_others = bool(writers or self._slots.paused)
        if is_beside_others:
            room = min(room, self._budget.num_tokens)
        reading, copies = self._read_aside(prompts, may_begin=is_beside_others)
        pieces, more = self._pieces([job for job in prompts if job is not self._aside], room)
        return rows + pieces, reading, copies + more

    def _read_aside(self, prompts: Sequence[Job[Key]], *, may_begin: bool) -> tuple[Reading[Key] | None, list[Copy]]:
        """The next piece of the prompt that is read aside; of those who wait for that, the one that has for longest.
        What has begun so is read so to its end.
        """
        copies: list[Copy] = []
        if self._is_reading or not self._reads_aside:
            return None, copies
        if self._aside not in prompts:
            self._aside = None
        for job in sorted(prompts, key=_asked):
            if self._aside is None and may_begin and job.sequence.num_missing > self._batch_size:
                copies += self._begin(job)
                self._aside = job if job.sequence.num_missing > self._batch_size else None
        return (None if self._aside is None else self._piece_aside(self._aside)), copies

    def _piece_aside(self, job: Job[Key]) -> Reading[Key]:
        """The last token stays for the batch of those who write: what follows it is drawn there."""
        is_first, job.is_aside = not job.is_aside, True
        self._is_reading = True
        return Reading(job, _row(job, min(self._batch_size, job.sequence.num_missing - 1)).run, is_first)

    def _pieces(self, prompts: Sequence[Job[Key]], room: int) -> tuple[list[Row[Key]], list[Copy]]:
        """The shortest first: a question does not wait for a book. Half is kept for who asked first, so that a book is
        read among questions.
        """
        rows: list[Row[Key]] = []
        copies: list[Copy] = []
        first = min(prompts, key=_asked, default=None)
        kept = room // 2
        for job in sorted(prompts, key=lambda job: (job.sequence.num_missing, job.asked)):
            kept = 0 if job is first else kept
            if room > kept:
                copies += self._begin(job)
                rows.append(_row(job, room - kept))
                room -= len(rows[-1].run.tokens)
        return rows, copies

    def _begin(self, job: Job[Key]) -> list[Copy]:
        """Before anything of a prompt is evaluated, others may have read the same."""
        if job.has_begun:
            return []
        copy = self._slots.share(job)
        job.has_begun = True
        job.num_cached = job.sequence.num_evaluated
        return [] if copy is None else [copy]


def _asked(job: Job[Key]) -> int:
    return job.asked


def _row(job: Job[Key], most: int) -> Row[Key]:
    assert job.slot is not None, "who runs has a slot"
    return Row(job, job.sequence.run(job.slot, most))
