"""Speech faster or slower at the same pitch, as it comes in."""

import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Final

import av
import numpy as np
from av.filter import Graph

from engines.types import Pcm

MIN_SPEED: Final = 0.25
MAX_SPEED: Final = 4.0
"""What a client may ask for. Source: OpenAI, API reference, "Create speech", `speed`."""

_BLOCK_S: Final = 0.02
"""What the filter gets at once: what it makes depends on that, and must not on how the signal came."""

_END_S: Final = 0.2
"""Of silence behind the signal: the filter keeps its last stretch to itself."""

_MOST_AT_ONCE: Final = 2.0
"""What ffmpeg's filter does to speech without leaving samples out. Source: ffmpeg-filters, "atempo"."""


class Stretcher:
    """One signal, `tempo` times as fast at its own pitch: by overlapping and adding stretches of it. One thread at a
    time.

    M is N / tempo, rounded. Samples do not depend on how the signal is split.

    Source: ffmpeg's `atempo`, a waveform-similarity overlap-add (Verhelst and Roelands, 1993).
    """

    def __init__(self, tempo: float, sample_rate_hz: int) -> None:
        self._rate_hz = sample_rate_hz
        self._tempo = tempo
        self._block = round(_BLOCK_S * sample_rate_hz)
        self._waiting = np.zeros(0, np.float32)
        self._num_in = 0
        self._num_out = 0
        self._graph = Graph()
        self._source = self._graph.add_abuffer(
            format="flt", sample_rate=sample_rate_hz, layout="mono", time_base=Fraction(1, sample_rate_hz)
        )
        last = self._source
        for part in _parts(tempo):
            stretch = self._graph.add("atempo", repr(part))
            last.link_to(stretch)
            last = stretch
        self._sink = self._graph.add("abuffersink")
        last.link_to(self._sink)
        self._graph.configure()

    def process(self, pcm: Pcm) -> Pcm:
        """What is ready of the signal so far: (M,) float32."""
        waiting = np.concatenate((self._waiting, pcm))
        num_whole = len(waiting) - len(waiting) % self._block
        self._waiting = waiting[num_whole:]
        for start in range(0, num_whole, self._block):
            self._push(waiting[start : start + self._block])
        return self._taken()

    def flush(self) -> Pcm:
        """The tail, (M,) float32. Nothing is processed afterwards."""
        num_given = self._num_out
        num_samples = round((self._num_in + len(self._waiting)) / self._tempo)
        self._push(np.concatenate((self._waiting, np.zeros(round(_END_S * self._rate_hz), np.float32))))
        self._source.push(None)
        return self._taken()[: max(0, num_samples - num_given)]

    def _push(self, pcm: Pcm) -> None:
        frame = av.AudioFrame.from_ndarray(pcm[None], format="flt", layout="mono")
        frame.sample_rate = self._rate_hz
        frame.pts, frame.time_base = self._num_in, Fraction(1, self._rate_hz)
        self._num_in += len(pcm)
        self._source.push(frame)

    def _taken(self) -> Pcm:
        pcm = np.concatenate((np.zeros(0, np.float32), *self._pulled()))
        self._num_out += len(pcm)
        return pcm

    def _pulled(self) -> Iterator[Pcm]:
        while True:
            try:
                yield self._sink.pull().to_ndarray().reshape(-1)
            except (av.BlockingIOError, av.EOFError):  # it wants more, or has given all
                return


def _parts(tempo: float) -> list[float]:
    """Factors of a tempo, each of which the filter does well."""
    num_parts = max(1, math.ceil(abs(math.log2(tempo)) / math.log2(_MOST_AT_ONCE) - 1e-9))
    return [tempo ** (1 / num_parts)] * num_parts
