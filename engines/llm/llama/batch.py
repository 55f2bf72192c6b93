"""The arrays that one decode reads: filled in place, and read by llama.cpp where they are."""

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np
from llama_cpp import llama_cpp as native
from numpy.typing import NDArray

from engines.llm.model import Run


class Batch:
    """Room for `size` tokens. What is said of a token stands at its place in every array. Device thread only."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._tokens, self._positions, self._slots = (np.zeros(size, np.int32) for _ in range(3))
        self._is_drawn = np.zeros(size, np.int8)
        self._num_slots = np.ones(size, np.int32)  # every token belongs to one
        self._slot_addresses = self._slots.ctypes.data + np.arange(size, dtype=np.uintp) * self._slots.itemsize
        self.native = native.llama_batch(
            n_tokens=0,
            token=_pointer(self._tokens, native.llama_token),
            embd=None,
            pos=_pointer(self._positions, native.llama_pos),
            n_seq_id=_pointer(self._num_slots, ctypes.c_int32),
            seq_id=self._slot_addresses.ctypes.data_as(ctypes.POINTER(ctypes.POINTER(native.llama_seq_id))),
            logits=_pointer(self._is_drawn, ctypes.c_int8),
        )

    def fill(self, runs: Sequence[Run]) -> dict[int, int]:
        """Hold these instead. Returns, for each slot that draws, the place of its last token."""
        places: dict[int, int] = {}
        end = 0
        for run in runs:
            begin, end = end, end + len(run.tokens)
            assert begin < end <= self.size, f"{end} tokens; a batch has room for {self.size}, and a run has some"
            self._tokens[begin:end] = run.tokens
            self._positions[begin:end] = range(run.start, run.start + len(run.tokens))
            self._slots[begin:end] = run.slot
            self._is_drawn[begin:end] = 0
            if run.draws:
                self._is_drawn[end - 1] = 1
                places[run.slot] = end - 1
        self.native.n_tokens = end
        return places


def _pointer(array: NDArray[Any], kind: type[ctypes.c_int32 | ctypes.c_int8]) -> Any:
    return array.ctypes.data_as(ctypes.POINTER(kind))
