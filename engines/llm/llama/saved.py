"""A sequence as bytes: out of a context of llama.cpp and into one, exactly."""

import ctypes
from typing import Any

from llama_cpp import llama_cpp as native


def save(context: "native.llama_context_p", slot: int) -> bytes:
    """What a slot of this context holds."""
    saved = bytes(native.llama_state_seq_get_size(context, slot))
    # Megabytes, written where they are: nobody has seen these bytes yet.
    num_bytes = native.llama_state_seq_get_data(context, _pointer(saved), len(saved), slot)
    if num_bytes != len(saved):
        raise RuntimeError(f"llama.cpp has saved {num_bytes} of {len(saved)} bytes; the log says why")
    return saved


def load(context: "native.llama_context_p", slot: int, saved: bytes) -> bool:
    """Let a slot hold what was saved. False: there is no room."""
    return native.llama_state_seq_set_data(context, _pointer(saved), len(saved), slot) > 0


def _pointer(data: bytes) -> Any:
    return ctypes.cast(ctypes.c_char_p(data), ctypes.POINTER(ctypes.c_uint8))
