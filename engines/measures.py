"""What an engine has done, in plain numbers.

Each of them is written by one thread, as said where it stands, and read by any: a reader may find a step counted whose
time is not, never half a number. Nothing here waits or locks, so that a step can be counted in well under a microsecond
(`python -m tests.bench.counting`). Labels are few: modes, outcomes and codes, never what a client has made up.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

Tally: TypeAlias = defaultdict[tuple[str, ...], float]
"""Counts, by the values of their labels."""

STEP_S: Final = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.04644, 0.07, 0.09288, 0.15,
                 0.25, 0.5, 1.0)  # fmt: skip
"""Around the frame budget: 46.44 ms is a frame, 92.88 ms two of them stacked. Source: Magpie's codec, 1024 samples at
22 050 Hz."""

FIRST_S: Final = (0.005, 0.01, 0.02, 0.03, 0.04, 0.06, 0.08, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 5.0, 10.0)
"""Around what a listener takes for an answer at once, and far beyond."""

WAIT_S: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

REAL_TIME_FACTORS: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1.0, 1.2, 1.5, 2.0, 5.0)
"""Around 1: as long to make as to hear."""


OUTCOMES: Final = ("done", "cancelled", "failed")
"""Of a session."""

CHUNKS: Final = ("first", "later")
"""The first of a text session has its prompt read."""


class Distribution:
    """How often values lay below or at each bound, and above the last."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


class Distributions(defaultdict[tuple[str, ...], Distribution]):
    """By the values of their labels."""

    def __init__(self, bounds: Sequence[float]) -> None:
        make: Callable[[], Distribution] = lambda: Distribution(bounds)  # noqa: E731 - what it makes is part of its type
        super().__init__(make)


def tally() -> Tally:
    return defaultdict(float)


class SpeechMeasures:
    """Of the speech engine. Times in seconds; `mode` is the first label where there is one."""

    def __init__(self) -> None:
        # device thread
        self.steps = Distribution(STEP_S)
        self.num_rows = 0
        self.waits = Distribution(WAIT_S)
        self.cut_short = tally()  # by reason
        self.num_failed_segments = 0
        # event loop
        self.characters = tally()
        self.segments = tally()
        self.made_s = tally()
        self.sent_s = tally()
        self.underruns = tally()
        self.underrun_s = tally()
        self.first_audio_s = Distributions(FIRST_S)
        self.real_time_factors = Distributions(REAL_TIME_FACTORS)
        self.streams = tally()  # by mode and outcome

    def expect(self, modes: Sequence[str]) -> None:
        """Begin to count at 0 for these: what is not there cannot be seen to grow from nothing to one."""
        tallies = (self.characters, self.segments, self.made_s, self.sent_s, self.underruns, self.underrun_s)
        for mode in modes:
            for counts in (*tallies, self.first_audio_s, self.real_time_factors):
                counts[mode,]
            for outcome in OUTCOMES:
                self.streams[mode, outcome]

    def stepped(self, duration_s: float, num_rows: int, waits_s: Sequence[float]) -> None:
        """A step was taken, for so many rows; newcomers have waited so long. Device thread only."""
        self.steps.observe(duration_s)
        self.num_rows += num_rows
        for wait_s in waits_s:
            self.waits.observe(wait_s)


class TextMeasures:
    """Of the text engine. Times in seconds; `mode` is the first label where there is one."""

    def __init__(self) -> None:
        # device thread
        self.steps = Distribution(STEP_S)
        self.num_rows = 0
        self.num_drawn = 0  # tokens
        self.num_preempted = 0
        # event loop
        self.evaluated = tally()  # tokens of prompts
        self.cached = tally()
        self.first_token_s = Distributions(FIRST_S)  # by mode, and whether the chunk is a session's first
        self.streams = tally()  # by mode and outcome

    def expect(self, modes: Sequence[str]) -> None:
        """As `SpeechMeasures.expect`."""
        for mode in modes:
            for counts in (self.evaluated, self.cached):
                counts[mode,]
            for chunk in CHUNKS:
                self.first_token_s[mode, chunk]
            for outcome in OUTCOMES:
                self.streams[mode, outcome]

    def stepped(self, duration_s: float, num_rows: int) -> None:
        """A step was taken, for so many rows. Device thread only."""
        self.steps.observe(duration_s)
        self.num_rows += num_rows
