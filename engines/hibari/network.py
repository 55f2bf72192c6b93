"""The voice's neural network: phoneme ids to spectra, and when each id sounds."""

import logging
from pathlib import Path
from typing import Final

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from engines.hibari.reading import PAD
from engines.hibari.synthesis import Floats

DURATIONS: Final = "/Clip_output_0"
"""The graph's inner tensor of durations, one per id and pad, in units of 25 ms."""

DURATION_MS: Final = 25.0

logger = logging.getLogger("tiding.hibari")


class Network:
    """An onnxruntime session of one thread. Any thread; several runs may go on at once."""

    def __init__(self, path: Path) -> None:
        self._has_durations = True
        model = path.read_bytes()
        try:
            self._session = _open(model + graph_output(DURATIONS))
        except Exception as error:
            logger.warning("no word times: the network's durations cannot be read (%s)", error)
            self._session, self._has_durations = _open(model), False

    def run(self, ids: list[int], speed: float = 1.0) -> tuple[list[Floats], NDArray[np.float64] | None]:
        """Spectra, (1, B, F) each and f0 (1, F); and the ms at which each of L ids begins, with the end of the last:
        (L + 1,) float64, or None where durations are not to be had."""
        inputs = {"ids": np.asarray([[PAD, *ids, PAD]], np.int64), "speed": np.asarray([speed], np.float32)}
        outputs = self._session.run(None, inputs)
        if not self._has_durations:
            return outputs, None
        *spectra, durations = outputs
        return spectra, np.cumsum(durations[:-1], dtype=np.float64) * DURATION_MS


def _open(model: bytes) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Texts differ in length, and onnxruntime would keep a plan of its memory for each: 50 MB after 500 texts, and still
    # growing, for no gain in time.
    options.enable_mem_pattern = False
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def graph_output(name: str) -> bytes:
    """Bytes that, appended to a serialised model, make an inner tensor one of its outputs.

    Source: protobuf encoding: concatenated messages merge, repeated fields append. onnx.proto: ModelProto.graph = 7,
    GraphProto.output = 12, ValueInfoProto.name = 1.
    """
    return _field(7, _field(12, _field(1, name.encode())))


def _field(number: int, payload: bytes) -> bytes:
    assert len(payload) < 128, "a length of one byte"
    return bytes([number << 3 | 2, len(payload)]) + payload
