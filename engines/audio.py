"""Arithmetic on audio: fades, integers, telephone companding, resampling, and the silence around a segment.

Shapes: N samples in, M samples out, mono. `Pcm` is (N,) float32 in -1..1. Functions return new arrays.
"""

from functools import lru_cache

import numpy as np
import soxr
from numpy.typing import NDArray

from engines.types import Pcm

_NOTHING: Pcm = np.zeros(0, np.float32)
_ONE = np.float32(1)
_FULL_SCALE = np.float32(32767)
_BLOCK_MS = 5.0

# Why -60: hibari speaks at -15 to -18 dB (RMS of 5 ms blocks; 12 sentences that begin and end in f, s, h,
# sh or th). Its softest beginning ("Thin") lies at -60 to -54 dB for 40 ms, of which -55 would drop 25; its
# softest endings ("laugh", "off") fade evenly down to -58. Below -60 the level runs down to -75 in 15 to
# 35 ms: nothing of the sound is left there, and -70 would only begin up to 25 ms earlier.
_THRESHOLD_DB = -60.0


def silence(duration_ms: float, sample_rate_hz: int) -> Pcm:
    """Zeros, (N,) float32, for this long; rounded to the nearest sample."""
    return np.zeros(round(duration_ms * sample_rate_hz / 1000), np.float32)


@lru_cache(maxsize=64)
def _ramp(num_samples: int) -> Pcm:
    """(N,) raised cosine from exactly 0 to exactly 1; it and its mirror image add up to 1."""
    ramp = (0.5 - 0.5 * np.cos(np.linspace(0.0, np.pi, num_samples))).astype(np.float32)
    ramp.flags.writeable = False
    return ramp


def fade_in(pcm: Pcm, num_samples: int) -> Pcm:
    """A copy, (N,) float32, whose first `num_samples` (at most all) rise from zero on a raised cosine."""
    faded = pcm.copy()
    num_samples = min(num_samples, pcm.size)
    faded[:num_samples] *= _ramp(num_samples)
    return faded


def fade_out(pcm: Pcm, num_samples: int) -> Pcm:
    """A copy, (N,) float32, whose last `num_samples` (at most all) fall to zero on a raised cosine."""
    faded = pcm.copy()
    num_samples = min(num_samples, pcm.size)
    faded[pcm.size - num_samples :] *= _ramp(num_samples)[::-1]
    return faded


def to_int16(pcm: Pcm) -> NDArray[np.int16]:
    """(N,) int16, -32767..32767: 1.0 is 32767, halves go to even, the excess is clipped, NaN is 0."""
    # In place, and by bare ufuncs: np.clip and any() cost more than the arithmetic on a message of audio.
    scaled = np.minimum(pcm, _ONE)
    np.maximum(scaled, -_ONE, out=scaled)
    np.multiply(scaled, _FULL_SCALE, out=scaled)
    np.rint(scaled, out=scaled)
    if np.isnan(np.dot(scaled, scaled)):  # as one of the samples is
        np.nan_to_num(scaled, copy=False)
    return scaled.astype(np.int16)


@lru_cache(maxsize=1)
def _mulaw_table() -> NDArray[np.uint8]:
    """(65536,) uint8 by the sample's bits as uint16. Source: ITU-T G.711 (11/88), table 2 (14-bit input)."""
    linear = np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.int32) >> 2
    magnitude = np.minimum(np.abs(linear) + 33, 8191)
    chord = np.searchsorted((64 << np.arange(8)) - 1, magnitude)
    code = chord << 4 | magnitude >> (chord + 1) & 0xF
    return (code ^ np.where(linear < 0, 0x7F, 0xFF)).astype(np.uint8)


@lru_cache(maxsize=1)
def _alaw_table() -> NDArray[np.uint8]:
    """(65536,) uint8 by the sample's bits as uint16. Source: ITU-T G.711 (11/88), table 1 (13-bit input)."""
    linear = np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.int32) >> 3
    magnitude = np.where(linear < 0, ~linear, linear)
    chord = np.searchsorted((32 << np.arange(8)) - 1, magnitude)
    code = chord << 4 | magnitude >> np.maximum(chord, 1) & 0xF
    return (code ^ np.where(linear < 0, 0x55, 0xD5)).astype(np.uint8)


def mulaw(pcm16: NDArray[np.int16]) -> NDArray[np.uint8]:
    """(N,) uint8 mu-law codes of (N,) int16 samples. Source: ITU-T G.711, table 2."""
    return _mulaw_table()[pcm16.view(np.uint16)]


def alaw(pcm16: NDArray[np.int16]) -> NDArray[np.uint8]:
    """(N,) uint8 A-law codes, even bits inverted, of (N,) int16 samples. Source: ITU-T G.711, table 1."""
    return _alaw_table()[pcm16.view(np.uint16)]


def mulaw_to_int16(codes: NDArray[np.uint8]) -> NDArray[np.int16]:
    """(N,) int16 samples, -32124..32124, of (N,) uint8 mu-law codes. Source: ITU-T G.711, table 2."""
    bits = ~codes.astype(np.int32)
    magnitude = (((bits & 0xF) << 3) + 132 << (bits >> 4 & 7)) - 132
    return np.where(bits & 0x80, -magnitude, magnitude).astype(np.int16)


def alaw_to_int16(codes: NDArray[np.uint8]) -> NDArray[np.int16]:
    """(N,) int16 samples, -32256..32256, of (N,) uint8 A-law codes. Source: ITU-T G.711, table 1."""
    bits = codes.astype(np.int32) ^ 0x55
    chord = bits >> 4 & 7
    magnitude = ((bits & 0xF) << 4) + np.where(chord == 0, 8, 264) << np.maximum(chord - 1, 0)
    return np.where(bits & 0x80, magnitude, -magnitude).astype(np.int16)


class Resampler:
    """One signal at another rate as it comes in, band-limited; unchanged where the rates are equal.

    M is N * out_hz / in_hz, rounded, over a whole signal; one call may give none. Any thread, one at a time.

    Raises:
        ValueError: a rate is not above zero.

    Source: libsoxr, recipe HQ (20-bit precision, linear phase, no delay in the output).
    """

    def __init__(self, in_hz: int, out_hz: int) -> None:
        if min(in_hz, out_hz) <= 0:
            raise ValueError(f"sample rates must be above zero: from {in_hz} to {out_hz} Hz")
        self._stream = None if in_hz == out_hz else soxr.ResampleStream(in_hz, out_hz, 1, quality="HQ")

    def process(self, pcm: Pcm) -> Pcm:
        """What is ready of the signal so far: (M,) float32."""
        return pcm if self._stream is None else self._stream.resample_chunk(pcm)

    def flush(self) -> Pcm:
        """The tail, (M,) float32; afterwards the resampler is ready for a fresh signal."""
        if self._stream is None:
            return _NOTHING
        tail = self._stream.resample_chunk(_NOTHING, last=True)
        self._stream.clear()
        return tail


class SilenceTrimmer:
    """One segment, as it comes in, without the silence around it. Any thread, one at a time; one a segment.

    A block of 5 ms, counted from the segment's first sample, is silent where its RMS is below `threshold_db`
    of full scale. In front at most `lead_ms` of silence stay, behind at most `tail_ms`; both ends fade over
    `fade_ms`, in the silence where there is enough of it. Between them nothing changes. All silence gives
    nothing.
    """

    def __init__(
        self,
        sample_rate_hz: int,
        *,
        threshold_db: float = _THRESHOLD_DB,
        lead_ms: float = 10.0,
        tail_ms: float = 50.0,
        fade_ms: float = 5.0,
    ) -> None:
        per_ms = sample_rate_hz / 1000
        self._block, self._lead = round(_BLOCK_MS * per_ms), round(lead_ms * per_ms)
        self._tail, self._fade = round(tail_ms * per_ms), round(fade_ms * per_ms)
        self._min_power = 10.0 ** (threshold_db / 10.0)
        self._partial = _NOTHING  # not yet a whole block
        self._held: list[Pcm] = []  # the last `fade_ms` of sound, which may be the end, and silence behind it
        self._num_silent = 0  # samples of silence at the end of what is held
        self._num_trimmed_lead = 0
        self._is_leading = True

    @property
    def num_trimmed_lead(self) -> int:
        """Samples dropped in front so far: by so much everything in the segment sounds earlier."""
        return self._num_trimmed_lead

    def process(self, pcm: Pcm) -> Pcm:
        """What is now known not to be trimmed: (M,) float32. Nothing of `pcm` itself is kept."""
        end = pcm.size - (self._partial.size + pcm.size) % self._block
        if not self._is_leading and self._is_clearly_audible(pcm[max(0, end - self._block) : end]):
            return self._run_on(pcm, end)
        fresh = np.concatenate((self._partial, pcm))
        num_whole = fresh.size - fresh.size % self._block
        self._partial = fresh[num_whole:]
        return self._take(fresh[:num_whole].reshape(-1, self._block))

    def flush(self) -> Pcm:
        """The end of the segment: (M,) float32."""
        rest = self._take(self._partial.reshape(1, -1))
        held = np.concatenate((_NOTHING, *self._held))
        self._partial, self._held = _NOTHING, []
        if self._is_leading:
            self._num_trimmed_lead += held.size
            return _NOTHING
        num_kept = held.size - max(0, self._num_silent - self._tail)
        return np.concatenate((rest, fade_out(held[:num_kept], self._fade)))

    def _is_clearly_audible(self, block: Pcm) -> bool:
        """A whole block, and so far above the threshold that no order of summation makes it silent."""
        return block.size == self._block and float(np.dot(block, block)) > 2 * self._min_power * self._block

    def _run_on(self, pcm: Pcm, end: int) -> Pcm:
        """What `_take` gives in the usual case, in a third of the time: the segment has begun, and the block that ends
        at `end` is audible, whatever those before it are.
        """
        sound = np.concatenate((*self._held, self._partial, pcm[:end]))
        num_sure = max(0, sound.size - self._fade)
        self._partial, self._held, self._num_silent = pcm[end:].copy(), [sound[num_sure:]], 0
        return sound[:num_sure]

    def _take(self, blocks: Pcm) -> Pcm:
        """`blocks` is (num_blocks, samples a block)."""
        if not blocks.size:
            return _NOTHING
        size = blocks.shape[1]
        audible = np.flatnonzero(np.einsum("ij,ij->i", blocks, blocks) >= self._min_power * size)
        self._held.append(blocks.ravel())
        if not audible.size:
            self._hold(blocks.size)
            return _NOTHING
        pcm = np.concatenate(self._held)
        if self._is_leading:
            pcm = self._begin(pcm, pcm.size - blocks.size + int(audible[0]) * size, size)
        self._num_silent = blocks.size - (int(audible[-1]) + 1) * size
        num_sure = max(0, pcm.size - self._num_silent - self._fade)
        self._held = [pcm[num_sure:]]
        return pcm[:num_sure]

    def _hold(self, num_silent: int) -> None:
        self._num_silent += num_silent
        if self._is_leading:
            pcm = np.concatenate(self._held)
            self._held = [self._drop(pcm, pcm.size)]

    def _begin(self, pcm: Pcm, onset: int, size: int) -> Pcm:
        """`onset`: where the first audible block begins, in `pcm`; `size`: how long it is."""
        self._is_leading = False
        kept = self._drop(pcm, onset)
        return fade_in(kept, min(self._fade, kept.size - (pcm.size - onset) + size))

    def _drop(self, pcm: Pcm, num_silent: int) -> Pcm:
        """Without the first samples, so that `lead_ms` at most stay of the silence it begins with."""
        num_dropped = max(0, num_silent - self._lead)
        self._num_trimmed_lead += num_dropped
        return pcm[num_dropped:]
