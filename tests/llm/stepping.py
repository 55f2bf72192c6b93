"""The text scheduler under test: no threads, and a model that is a table of which slot holds which tokens."""

import threading
from collections.abc import Callable, Collection, Sequence

from engines.llm.jobs import Job, Reading, Row, Step
from engines.llm.prefill_budget import PrefillBudget
from engines.llm.scheduler import Scheduler

DRAWN = 1_000
"""The first token that is drawn. Every other one is higher."""


class Idle(Exception):
    """`next_step` would wait."""


class _NeverWaits(threading.Condition):
    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is None, "waiting with a timeout is polling"
        raise Idle


class Bench:
    """Sessions are strings. Whoever is stepped is checked against what its slot holds."""

    def __init__(
        self,
        num_slots: int = 4,
        *,
        num_cells: int = 10_000,
        batch_size: int = 64,
        remembered: int = 8,
        reads_aside: bool = False,
    ) -> None:
        self.budget = PrefillBudget(100.0)
        self.scheduler = Scheduler[str](
            num_slots, batch_size, self.budget, num_remembered=remembered, reads_aside=reads_aside
        )
        self.scheduler._condition = _NeverWaits(threading.Lock())
        self.held: list[list[int]] = [[] for _ in range(num_slots)]
        self.aside: dict[str, list[int]] = {}
        self.reader: list[int] = []
        self.in_reader: Job[str] | None = None
        self.forgotten: list[str] = []
        self.num_cells = num_cells
        self._num_drawn = 0

    def open(self, name: str, tokens: Sequence[int] = (1, 2, 3), *, is_remembered: bool = False) -> Job[str]:
        return self.scheduler.open_job(name, tokens, is_remembered=is_remembered)

    def submit(self, name: str, tokens: Sequence[int] = (1, 2, 3), *, is_remembered: bool = False) -> Job[str]:
        """A new session that asks for a chunk."""
        job = self.open(name, tokens, is_remembered=is_remembered)
        self.scheduler.submit(job)
        return job

    def next(self) -> Step[str]:
        """What `next_step` gives, and all that comes before its rows done.

        Raises:
            Idle: nothing; the device thread would wait.
        """
        step = self.scheduler.next_step()
        assert step is not None, "the scheduler is closed"
        return self._prepared(step)

    def poll(self) -> Step[str] | None:
        """The same, in the middle of a reading; None: nothing."""
        step = self.scheduler.poll_step()
        return None if step is None else self._prepared(step)

    def _prepared(self, step: Step[str]) -> Step[str]:
        for save in step.saves:
            self.aside[save.job.owner] = self.held[save.slot][: save.length]
            self.held[save.slot] = []
        for slot in step.releases:
            self.held[slot] = []
        for job in step.forgets:
            self.aside.pop(job.owner, None)
            if job is self.in_reader:
                self.in_reader = None
            self.forgotten.append(job.owner)
        for copy in step.copies:
            assert len(self.held[copy.source]) >= copy.length, "what is copied is there"
            self.held[copy.target] = self.held[copy.source][: copy.length]
        return step

    def evaluate(self, step: Step[str]) -> bool:
        """As the model would: False where the cells do not suffice."""
        for job, slot in ((row.job, row.run.slot) for row in step.rows):
            if job.is_aside:
                if job is self.in_reader:
                    self._leave_reader()
                if not self._bring_back(job, slot):
                    return False
        for row in step.rows:
            assert len(self.held[row.run.slot]) >= row.run.start, "a run goes on from what the slot holds"
            del self.held[row.run.slot][row.run.start :]
        if self._num_used() + sum(len(row.run.tokens) for row in step.rows) > self.num_cells:
            return False
        for row in step.rows:
            self._add(row)
        return True

    def read(self, reading: Reading[str], breathe: Callable[[], None]) -> None:
        """A piece of a prompt, aside."""
        job, run = reading.job, reading.run
        if job is not self.in_reader:
            self._leave_reader()
            held = self.held[run.slot]
            assert not reading.is_first or len(held) >= run.start, "what is read before is there"
            if reading.is_first:
                self.held[run.slot] = []
            if reading.is_first and run.start:
                self.aside[job.owner] = held[: run.start]
            self.reader, self.in_reader = self.aside.pop(job.owner, []), job
        assert self.reader[: run.start] == job.sequence.tokens[: run.start], "a piece goes on from what was read"
        breathe()
        self.reader[run.start :] = run.tokens
        if self.scheduler.note_read(reading):
            breathe()
            self._leave_reader()
            breathe()
            if job.slot is not None and job.is_aside:
                self._bring_back(job, job.slot)
        self.scheduler.finish_reading(reading)

    def _bring_back(self, job: Job[str], slot: int) -> bool:
        if self._num_used() + len(self.aside[job.owner]) > self.num_cells:
            return False
        assert not self.held[slot], "what comes back finds an empty slot"
        self.held[slot] = self.aside.pop(job.owner)
        self.scheduler.note_back(job)
        return True

    def _leave_reader(self) -> None:
        if (job := self.in_reader) is not None:
            self.in_reader = None
            self.aside[job.owner] = self.reader[: job.sequence.num_evaluated]

    def run(self, *, over: Collection[str] = ()) -> list[str]:
        """Whole steps until one draws tokens, with which the chunks of some end; whose tokens."""
        drew: list[str] = []
        while not drew:
            step = self.next()
            assert self.evaluate(step), "the cells suffice"
            drew = owners(step)
        self.scheduler.finish_step([row.job for row in step.rows if row.job.owner in over])
        return drew

    def _add(self, row: Row[str]) -> None:
        sequence, held = row.job.sequence, self.held[row.run.slot]
        held.extend(row.run.tokens)
        sequence.num_evaluated += len(row.run.tokens)
        assert held == sequence.tokens[: sequence.num_evaluated], "a slot holds what its session has read and written"
        if row.run.draws:
            sequence.tokens.append(DRAWN + self._num_drawn)
            self._num_drawn += 1

    def _num_used(self) -> int:
        return sum(map(len, self.held))


def owners(step: Step[str]) -> list[str]:
    """Who draws a token in a step."""
    return [row.job.owner for row in step.rows if row.run.draws]


def pieces(step: Step[str]) -> dict[str, int]:
    """How much of whom is evaluated."""
    return {row.job.owner: len(row.run.tokens) for row in step.rows}
