"""The contract between the engine and whatever makes the sound.

A model has `num_slots` rows. A row is conditioned on a segment (`prefill`), advanced a step at a time together with all
other rows that may run (`step`), and given back (`release`). Only the device thread calls these three, so a model
needs no lock of its own; it may own a fixed pool of threads inside it.
"""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

import msgspec

from engines.types import AudioFormat, Params, Pcm, Segment, Voice, Word

Wake: TypeAlias = Callable[[], None]
"""Tells the engine that a row which was not ready may be ready now. Any thread."""


class Prefill(msgspec.Struct, frozen=True):
    """Condition row `slot` on `segment`, to be spoken by `voice`."""

    slot: int
    segment: Segment
    voice: Voice
    params: Params


class StepResult(msgspec.Struct, frozen=True):
    """What one step made of one row.

    `pcm` is (N,) float32 at the model's rate, N at most `frame_samples`. `words` became known in this step, their times
    counted from the first sample of the segment, their characters from the start of the session's text. An `error`
    ends this segment alone.
    """

    slot: int
    pcm: Pcm
    is_segment_end: bool = False
    words: tuple[Word, ...] = ()
    error: Exception | None = None


class Model(Protocol):
    """What the engine steps. Device thread only, except the attributes, which never change, and `is_speakable`."""

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
    def num_slots(self) -> int: ...
    @property
    def num_prefills(self) -> int:
        """How many rows may be in prefill at once, so that no listener waits behind a crowd of them."""
        ...

    @property
    def step_width(self) -> int:
        """The most rows one step advances: all of them where a batch costs one, few where each row costs."""
        ...

    def is_speakable(self, char: str) -> bool:
        """Whether this letter or digit can be pronounced. Any thread."""
        ...

    def prefill(self, jobs: Sequence[Prefill]) -> None:
        """Condition rows. May return before they are ready: `step` then leaves them out, and `wake` is called later."""
        ...

    def step(self, slots: Sequence[int]) -> Sequence[StepResult]:
        """Advance these rows by one frame each. A row missing from the results is not ready yet."""
        ...

    def release(self, slot: int) -> None:
        """Forget what row `slot` held, finished or not."""
        ...

    def close(self) -> None:
        """Give threads and memory back. The model is not used afterwards."""
        ...


Loader: TypeAlias = Callable[[Wake], Model]
"""Loads and warms a model. Called once, on the device thread."""
