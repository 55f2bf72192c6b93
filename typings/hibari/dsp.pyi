from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

SR: Final[int]
HOP: Final[int]
N_FFT: Final[int]
WIN: NDArray[np.float32]
WIN_SRC: NDArray[np.float32]

def ex(x: NDArray[np.float32]) -> NDArray[np.float32]: ...
def pulses(f0: NDArray[np.float32]) -> NDArray[np.float32]: ...
def rfft(x: NDArray[np.float32], axis: int) -> NDArray[np.complex64]: ...
def irfft(x: NDArray[Any], n: int, axis: int) -> NDArray[np.float32]: ...
def _ola_norm(F: int) -> NDArray[np.float32]: ...  # noqa: N803
