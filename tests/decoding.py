"""What a player makes of compressed audio: decoded by ffmpeg's libraries, and compared with what was encoded."""

import io

import av
import numpy as np

from engines.types import Pcm


def decoded(data: bytes) -> tuple[Pcm, int]:
    """(N,) float32 samples of a file, and their rate in Hz. ffmpeg guesses the format, as a player does."""
    with av.open(io.BytesIO(data)) as file:
        stream = file.streams.audio[0]
        to_float = av.AudioResampler(format="flt", layout="mono", rate=stream.rate)
        frames = [made for frame in file.decode(stream) for made in to_float.resample(frame)]
        pcm = [frame.to_ndarray().reshape(-1) for frame in frames]
        return np.concatenate([np.zeros(0, np.float32), *pcm]), stream.rate


def similarity(pcm: Pcm, reference: Pcm) -> tuple[float, int]:
    """How alike two signals are where they fit best, 1 being the same but for loudness, and by how many samples the
    first is late.
    """
    size = 1 << (len(pcm) + len(reference)).bit_length()
    product = np.fft.irfft(np.fft.rfft(pcm, size) * np.conj(np.fft.rfft(reference, size)))
    late = int(np.argmax(product))
    late -= size if late > size // 2 else 0
    shifted = pcm[late:] if late >= 0 else np.concatenate((np.zeros(-late, np.float32), pcm))
    length = min(len(shifted), len(reference))
    a, b = shifted[:length].astype(np.float64), reference[:length].astype(np.float64)
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b) + 1e-12)), late
