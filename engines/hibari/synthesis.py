"""From what the network predicts to a waveform, window by window, sample for sample what `hibari.dsp.synth` makes at
once.

hibari's synthesis is local: an output sample depends on the spectrum of four frames around it. What is not local, the
phase of the pulse train and the order in which noise is drawn, is made once for the whole segment; a window then
needs its own frames and a halo. Legend: F frames of 300 samples, B = 601 frequency bins.

Source: hibari-tts 0.2.1, hibari/dsp.py.
"""

from typing import Final

import msgspec
import numpy as np
from hibari import dsp
from numpy.typing import NDArray

from engines.types import Pcm

Floats = NDArray[np.float32]

SAMPLE_RATE_HZ: Final = dsp.SR
HOP: Final = dsp.HOP
NUM_BINS: Final = dsp.N_FFT // 2 + 1
WINDOW_FRAMES: Final = 16
_HALO: Final = 4  # frames; the overlap of an inverse transform of 4 hops
_EDGE: Final = dsp.N_FFT // 2


class Spectrum(msgspec.Struct, frozen=True):
    """A segment ready to be synthesised: (B, F) float32 parts, the padded pulse train, and complex64 noise (B, F)."""

    harmonic: Floats
    phase: Floats
    noise_level: Floats
    free_level: Floats
    free_phase: Floats
    pulses: Floats
    noise: NDArray[np.complex64]
    num_frames: int

    def window(self, first: int, last: int) -> Pcm:
        """Samples of frames `first` to `last`: ((last - first) * 300,) float32."""
        low, high = max(0, first - _HALO), min(self.num_frames, last + _HALO)
        spectrum = self._source(low, high)
        spectrum *= _polar(dsp.ex(self.harmonic[:, low:high]), np.tanh(self.phase[:, low:high]) * np.float32(np.pi))
        spectrum += self.noise[:, low:high] * dsp.ex(self.noise_level[:, low:high])
        spectrum += _polar(dsp.ex(self.free_level[:, low:high]), self.free_phase[:, low:high])
        return _overlap_add(spectrum, low, self.num_frames)[(first - low) * HOP : (last - low) * HOP]

    def _source(self, low: int, high: int) -> NDArray[np.complex64]:
        """Short-time spectrum of the pulse train, frames `low` to `high`."""
        span = self.pulses[low * HOP : (high - 1) * HOP + dsp.N_FFT]
        frames = np.lib.stride_tricks.sliding_window_view(span, dsp.N_FFT)[::HOP] * dsp.WIN_SRC
        return np.ascontiguousarray(dsp.rfft(frames, 1).T)


class Noise:
    """Complex noise by seed, the same that hibari draws for a sentence. Any thread.

    A draw is a good part of a prefill. All sessions that ask for no seed of their own share one, which is drawn once
    and is one piece of memory under all their slots.
    """

    def __init__(self, kept_seed: int, num_frames: int) -> None:
        self._kept_seed = kept_seed
        self._kept = _draw(kept_seed, num_frames).reshape(-1)

    def draw(self, seed: int, num_frames: int) -> NDArray[np.complex64]:
        """(B, num_frames) complex64, of unit variance in either part; read only."""
        num_values = NUM_BINS * num_frames
        if seed == self._kept_seed and num_values <= len(self._kept):
            return self._kept[:num_values].reshape(NUM_BINS, num_frames)
        return _draw(seed, num_frames)


def _draw(seed: int, num_frames: int) -> NDArray[np.complex64]:
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((NUM_BINS, 2 * num_frames), dtype=np.float32).view(np.complex64)
    noise.flags.writeable = False
    return noise


def prepare(outputs: list[Floats], noise: NDArray[np.complex64]) -> Spectrum:
    """A spectrum from the network's outputs, (1, B, F) each and f0 (1, F), and as much noise, (B, F)."""
    harmonic, phase, noise_level, free_level, free_phase, f0 = (output[0] for output in outputs)
    num_frames = harmonic.shape[1]
    pulses = np.pad(dsp.pulses(f0), _EDGE, mode="reflect")
    return Spectrum(harmonic, phase, noise_level, free_level, free_phase, pulses, noise, num_frames)


def _polar(magnitude: Floats, angle: Floats) -> NDArray[np.complex64]:
    out = np.empty(angle.shape, np.complex64)
    np.cos(angle, out=out.real)
    np.sin(angle, out=out.imag)
    out *= magnitude
    return out


def _overlap_add(spectrum: NDArray[np.complex64], low: int, num_frames: int) -> Pcm:
    """`dsp.ola` of frames `low` and on, with the window norm that they have within the whole segment."""
    overlap = dsp.N_FFT // HOP
    frames = dsp.irfft(spectrum.T, dsp.N_FFT, 1)
    frames *= dsp.WIN
    blocks = frames.reshape(-1, overlap, HOP)
    out = np.zeros((len(blocks) + overlap - 1, HOP), np.float32)
    for k in range(overlap):
        out[k : k + len(blocks)] += blocks[:, k]
    out *= dsp._ola_norm(num_frames)[low : low + len(out)]  # pyright: ignore[reportPrivateUsage]
    return out.reshape(-1)[_EDGE : _EDGE + len(blocks) * HOP]
