"""One session as the scheduler sees it, and what a step does for whom."""

from collections.abc import Sequence
from typing import Generic, TypeVar

import msgspec

from engines.llm.model import Run
from engines.llm.sequences import TokenSequence

Key = TypeVar("Key")


class Job(Generic[Key]):
    """A session. Guarded by the scheduler's lock; its sequence is the device thread's while it runs.

    `owner` is whoever the tokens are for. Of two things, the one with the higher number happened later.
    """

    def __init__(self, owner: Key, tokens: Sequence[int], *, is_remembered: bool) -> None:
        self.owner = owner
        self.sequence = TokenSequence(tokens)
        self.is_remembered = is_remembered  # what it has in the cache outlives it
        self.is_closed = False
        self.is_running = False  # writes, and has a slot
        self.slot: int | None = None
        self.has_begun = False  # to be evaluated
        self.is_aside = False  # what it has in the cache is saved, or being read aside, and in no slot
        self.num_cached = 0  # tokens that were in the cache when it began
        self.asked = 0  # when its last chunk was asked for
        self.admitted = 0  # when that got a slot, or found that it has one
        self.used = 0  # when that ended


class Row(msgspec.Struct, Generic[Key], frozen=True):
    """What a step evaluates for one session."""

    job: Job[Key]
    run: Run


class Reading(msgspec.Struct, Generic[Key], frozen=True):
    """A piece of a long prompt that is read aside. `is_first`: what the job has in the cache so far is still in its
    slot.
    """

    job: Job[Key]
    run: Run
    is_first: bool


class Save(msgspec.Struct, Generic[Key], frozen=True):
    """What `job` has in the cache, the first `length` tokens in `slot`, is put aside."""

    job: Job[Key]
    slot: int
    length: int


class Copy(msgspec.Struct, frozen=True):
    """`target` begins with the first `length` tokens of `source`."""

    source: int
    target: int
    length: int


class Step(msgspec.Struct, Generic[Key], frozen=True):
    """What the device thread does next, in this order."""

    saves: list[Save[Key]]
    releases: list[int]  # slots to be emptied
    forgets: list[Job[Key]]  # sessions that are over
    copies: list[Copy]
    stops: list[Job[Key]]  # their clients want their chunks to end here
    rows: list[Row[Key]]
    reading: Reading[Key] | None = None  # behind all else, and others write in the middle of it

    @property
    def is_empty(self) -> bool:
        return not (self.saves or self.releases or self.forgets or self.stops or self.rows or self.reading)
