"""One session as the scheduler sees it, and which of them goes first."""

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from engines.types import Params, Segment, Voice

if TYPE_CHECKING:
    from engines.scheduler import Slot

Key = TypeVar("Key")


class Job(Generic[Key]):
    """A session: at most one segment of it at a time. Guarded by the scheduler's lock.

    `owner` is whoever the results are for. `arrival` counts sessions, and is what the model knows this one by. Counts
    are in samples at the model's rate.
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
        self.last_slot: Slot[Key] | None = None  # None: was never admitted
        self.asked_s = 0.0  # since when its segment could be admitted
        self.num_queued = 0
        self.num_made = 0
        self.runs_dry_s: float | None = None  # when its listener has heard all that was made; None: hears nothing yet
        self.is_held_up = False  # its reader has more than its credit to take
        self.is_closed = False

    def count(self, num_samples: int, now_s: float, sample_rate_hz: int) -> None:
        """So much more has been made."""
        self.num_made += num_samples
        self.num_queued += num_samples
        if num_samples:
            starts_s = now_s if self.runs_dry_s is None else max(self.runs_dry_s, now_s)
            self.runs_dry_s = starts_s + num_samples / sample_rate_hz

    @property
    def is_unheard(self) -> bool:
        """A listener who hears nothing yet, or is about to hear silence."""
        return self.is_paced and (self.is_urgent or self.runs_dry_s is None)

    def runs_dry_before(self, time_s: float) -> bool:
        return self.is_paced and (self.runs_dry_s is None or self.runs_dry_s < time_s)


def priority(job: Job[Any]) -> tuple[int, float]:
    """Smaller goes first: who hears nothing yet, then who is nearest to under-run, then the rest as they came."""
    if not job.is_paced:
        return 2, job.arrival
    if job.is_unheard:
        return 0, job.arrival
    assert job.runs_dry_s is not None, "else nothing of it was heard"
    return 1, job.runs_dry_s
