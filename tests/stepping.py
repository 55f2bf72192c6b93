"""A scheduler under test: no threads, a clock that is set, and samples that a test hands out as the model would."""

import threading
from collections.abc import Collection

import numpy as np

from engines.jobs import Job
from engines.model import StepResult
from engines.scheduler import Scheduler, Step
from engines.types import Params, Segment, Voice

VOICE = Voice("sine", "en-US")
RATE_HZ = 1000  # a sample is a millisecond


class Idle(Exception):
    """`next_step` would wait."""


class _NeverWaits(threading.Condition):
    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is None, "waiting with a timeout is polling"
        raise Idle


class Bench:
    """Sessions are strings. `now_s` is the clock."""

    def __init__(
        self, num_slots: int = 4, *, num_prefills: int = 99, step_width: int = 99, max_queued: int = 1000
    ) -> None:
        self.now_s = 100.0
        self.scheduler = Scheduler[str](
            num_slots,
            num_prefills,
            step_width,
            sample_rate_hz=RATE_HZ,
            max_queued=max_queued,
            clock=lambda: self.now_s,
        )
        self.scheduler._condition = _NeverWaits(threading.Lock())
        self._ended: set[str] = set()

    def open(self, name: str, *, is_paced: bool = True) -> Job[str]:
        return self.scheduler.open_job(name, VOICE, Params(), is_paced=is_paced)

    def submit(self, name: str, *, is_paced: bool = True) -> Job[str]:
        """A new session with a segment that waits."""
        job = self.open(name, is_paced=is_paced)
        self.scheduler.submit(job, Segment(name, 0))
        return job

    def next(self) -> Step[str]:
        """What `next_step` gives.

        Raises:
            Idle: nothing; the device thread would wait.
        """
        step = self.scheduler.next_step()
        assert step is not None, "the scheduler is closed"
        return step

    def finish(
        self,
        step: Step[str],
        num_samples: int = 100,
        *,
        ends: Collection[str] = (),
        not_ready: Collection[str] = (),
        silent: Collection[str] = (),
        error: Exception | None = None,
    ) -> list[str]:
        """Answer a step as a model would; whose results were still wanted. Who is silent has advanced without one."""
        late = [slot for slot, (job, _) in step.rows.items() if job.owner in not_ready]
        results = [
            StepResult(slot, np.zeros(num_samples, np.float32), is_segment_end=job.owner in ends, error=error)
            for slot, (job, _) in step.rows.items()
            if job.owner not in (*not_ready, *silent)
        ]
        return [job.owner for job, _ in self.scheduler.finish_step(step, results, late)]

    def run(self, num_samples: int = 100, *, ends: Collection[str] = ()) -> list[str]:
        """One whole step; who was stepped, most pressing first."""
        step = self.next()
        self.finish(step, num_samples, ends=ends)
        return owners(step)


def owners(step: Step[str]) -> list[str]:
    return [job.owner for job, _ in step.rows.values()]


def admitted(step: Step[str]) -> list[str]:
    return [prefill.segment.text for prefill in step.prefills]
