"""The sizes in a WAV file that was written as its samples came, put right when all of them are there.

Source: Microsoft/IBM, Multimedia Programming Interface and Data Specifications 1.0 (RIFF, WAVE).
"""

import os
import struct
from typing import BinaryIO, Final

_UNKNOWN: Final = 0xFFFFFFFF
_RIFF: Final = struct.Struct("<4sI4s")
_CHUNK: Final = struct.Struct("<4sI")
_BLOCK_ALIGN: Final = struct.Struct("<H")
_BLOCK_ALIGN_AT: Final = 12  # in the body of "fmt "
_SIZE_AT: Final = 4  # in a chunk, and in the file


def state_sizes(file: BinaryIO) -> None:
    """Write the exact sizes into a WAV file whose last chunk is its samples. Nothing else in it changes, but for the
    zero byte that an odd number of bytes is followed by. One of 4 GiB and more keeps its sizes unknown, which players
    take for "until it ends".
    """
    num_bytes = file.seek(0, os.SEEK_END)
    chunks = _chunks(file)
    num_data_bytes = num_bytes - chunks[b"data"] - _CHUNK.size
    pad = num_data_bytes % 2
    if num_bytes + pad - _CHUNK.size >= _UNKNOWN:
        return
    file.seek(num_bytes)
    file.write(b"\0" * pad)
    _put(file, _SIZE_AT, num_bytes + pad - _CHUNK.size)
    _put(file, chunks[b"data"] + _SIZE_AT, num_data_bytes)
    if b"fact" in chunks:
        file.seek(chunks[b"fmt "] + _CHUNK.size + _BLOCK_ALIGN_AT)
        (num_bytes_of_sample,) = _BLOCK_ALIGN.unpack(file.read(_BLOCK_ALIGN.size))
        _put(file, chunks[b"fact"] + _CHUNK.size, num_data_bytes // num_bytes_of_sample)


def _chunks(file: BinaryIO) -> dict[bytes, int]:
    """Where each chunk begins, up to the samples."""
    places: dict[bytes, int] = {}
    place = _RIFF.size
    while b"data" not in places:
        file.seek(place)
        name, num_bytes = _CHUNK.unpack(file.read(_CHUNK.size))
        places[name] = place
        place += _CHUNK.size + num_bytes + num_bytes % 2
    return places


def _put(file: BinaryIO, place: int, number: int) -> None:
    file.seek(place)
    file.write(struct.pack("<I", number))
