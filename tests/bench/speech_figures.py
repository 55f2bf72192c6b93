"""What the benchmark of the speech server makes of what listeners heard: shares, RTF, underruns, throughput."""

from collections.abc import Iterable, Sequence

import msgspec
import numpy as np

from tests.listening import Heard, first_audible_s, underrun_s


class Shares(msgspec.Struct, frozen=True):
    """Percentiles of some values, in their unit. Between two values they are interpolated."""

    p50: float
    p95: float
    p99: float
    max: float


class Told(msgspec.Struct, frozen=True):
    """What one listener tells of one stream, counted from the sending of its text.

    `first_ms` is the arrival of the first audible sample, `took_s` that of the last of all; `underrun_s` is silence
    that a listener meets who plays from the first audio on.
    """

    first_ms: float
    took_s: float
    audio_s: float
    underrun_s: float

    @property
    def rtf(self) -> float:
        """Seconds of wall time for each second of audio."""
        return self.took_s / self.audio_s


def shares(values: Iterable[float], *, digits: int = 2) -> Shares:
    """The percentiles of at least one value, rounded.

    Raises:
        ValueError: there is none.
    """
    found = list(values)
    if not found:
        raise ValueError("no values, no percentiles")
    return Shares(*(round(float(one), digits) for one in np.percentile(found, (50, 95, 99, 100))))


def told_of(heard: Heard) -> Told:
    """One stream in figures.

    Raises:
        ValueError: all of it is silence.
    """
    took_s = max(chunk.arrived_s for chunk in heard.chunks if chunk.pcm.size)
    return Told(first_audible_s(heard) * 1000, took_s, heard.duration_s, underrun_s(heard))


def throughput(told: Sequence[Told], took_s: float) -> float:
    """Seconds of audio that came in a second of wall time, over all listeners."""
    return sum(one.audio_s for one in told) / took_s


def percent(cpu_s: float, took_s: float) -> float:
    """Of one core: 200 is two cores, busy all the time."""
    return 100 * cpu_s / took_s
