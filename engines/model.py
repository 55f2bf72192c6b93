"""The contract between the engine and whatever makes the sound.

A model has `num_slots` rows. A row is conditioned on a segment (`prefill`), advanced a step at a time together with all
other rows that may run (`step`), and given back (`release`). A session speaks many segments, one after the other and
each in whatever row is free; what must run on between them is kept by the session's number until it is over
(`forget`). Only the device thread calls these four, so a model needs no lock of its own; it may own a fixed pool of
threads inside it.

In the order of one step:

    release(slot) ...      rows whose segment has ended, or is no longer wanted
    forget(session) ...    sessions that are over
    prefill(jobs)          newcomers, at most `num_prefills` of them under way at once
    step(slots) -> Made    all rows that may run, newcomers among them
"""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

import msgspec

from engines.types import AudioFormat, Params, Pcm, Segment, Voice, Word

Wake: TypeAlias = Callable[[], None]
"""Tells the engine that a row which was not ready may be ready now. Any thread."""


class Prefill(msgspec.Struct, frozen=True):
    """Condition row `slot` on `segment`, to be spoken by `voice`.

    `session` is the same for all segments of a session, and no other session's. A session has at most one row at a
    time, and comes back to the one that it had last where nobody has had it since.
    """

    slot: int
    segment: Segment
    voice: Voice
    params: Params
    session: int


class StepResult(msgspec.Struct, frozen=True):
    """What one step made of one row.

    `pcm` is (N,) float32 at the model's rate, N at most `frame_samples`; its memory is the model's again when the next
    step begins. `words` became known in this step, their times counted from the first sample of the segment, their
    characters from the start of the session's text. An `error` ends this segment alone. `cut_short` comes with the
    segment's end and says why a guard of the model ended it before its text did: a word or two, the same for all such
    cases.
    """

    slot: int
    pcm: Pcm
    is_segment_end: bool = False
    words: tuple[Word, ...] = ()
    error: Exception | None = None
    cut_short: str = ""


class Made(msgspec.Struct, frozen=True):
    """What one step made of all rows, in any order.

    A row in `not_ready` could not be advanced, and is left out of steps until the model calls `wake`. A row that is in
    neither has advanced and has nothing to hand out yet. No row is in both, and a row has at most one result.
    """

    results: Sequence[StepResult] = ()
    not_ready: Sequence[int] = ()


class Model(Protocol):
    """What the engine steps. Device thread only, except the attributes, which never change, and what says otherwise."""

    @property
    def name(self) -> str: ...
    @property
    def format(self) -> AudioFormat: ...
    @property
    def voices(self) -> Sequence[Voice]: ...
    @property
    def languages(self) -> Sequence[str]:
        """Primary language subtags (BCP 47) that every voice speaks, the default first."""
        ...

    @property
    def speeds(self) -> tuple[float, float]:
        """The slowest and the fastest that it speaks by itself, in times its own pace. A segment whose `speed` lies
        outside is made at the nearer of the two.
        """
        ...

    @property
    def num_slots(self) -> int: ...
    @property
    def num_prefills(self) -> int:
        """How many rows may be in prefill at once, so that no listener waits behind a crowd of them."""
        ...

    @property
    def step_width(self) -> int:
        """The most rows one step advances: all of them where a batch costs one, few where each row costs."""
        ...

    def is_speakable(self, char: str, language: str) -> bool:
        """Whether this letter or digit can be pronounced in this language. Any thread."""
        ...

    def max_segment_chars(self, language: str) -> int:
        """The longest segment of this language that is sure to fit. Any thread."""
        ...

    def prefill(self, jobs: Sequence[Prefill]) -> None:
        """Condition rows. May return before they are ready: `step` then says so, and `wake` is called later."""
        ...

    def step(self, slots: Sequence[int]) -> Made:
        """Advance these rows by one frame each, and hand out what there is to hear."""
        ...

    def release(self, slot: int) -> None:
        """Forget what row `slot` held, finished or not. What its session needs for its next segment may stay."""
        ...

    def forget(self, session: int) -> None:
        """The session is over, its rows are released, and its number does not come again: what was kept for it may go.

        Called once for every session that was ever prefilled.
        """
        ...

    def close(self) -> None:
        """Give threads and memory back. The model is not used afterwards."""
        ...


Loader: TypeAlias = Callable[[Wake], Model]
"""Loads and warms a model. Called once, on the device thread."""
