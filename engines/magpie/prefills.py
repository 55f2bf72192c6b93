"""Newcomers on their way into slots: batched, padded to a few sizes, on a stream of their own beside the steps.

A batch is bounded, so running streams wait for no crowd, and those in the first batch need not wait for the last. A
request's codes depend neither on the batch it came in nor on the padding.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeAlias

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engines.magpie.decoder import Newcomers
from engines.magpie.graphs import Launcher, mark

TEXT_BUCKETS: Final = (64, 128, 192, 256, 512)
"""Tokens that a text is padded to. The last is the longest text."""

WIDTHS: Final = (1, 4, 16)
"""Newcomers that a batch is filled up to: one takes 1.4 ms on an H200, sixteen 4 ms."""

_NUM_NUMBERS: Final = 5  # slot, length, voice, seed, top-k: in front of a row's ids


Bucket: TypeAlias = tuple[int, int]
"""Newcomers and tokens."""


class Request(msgspec.Struct, frozen=True):
    """One slot's segment, ready for the device."""

    slot: int
    ids: tuple[int, ...]
    voice: int
    seed: int
    top_k: int
    temperature: float
    cfg_scale: float


class Prefills:
    """Device thread only. `stream` None runs at once, one by one: on a CPU."""

    def __init__(
        self,
        prefill: Callable[[Newcomers], None],
        max_tokens: int,
        spare: int,
        device: torch.device,
        launcher: Launcher,
        stream: torch.cuda.Stream | None,
    ) -> None:
        self._prefill = prefill
        self._spare = spare
        self._device = device
        self._launcher = launcher
        self._stream = stream
        lengths = (*(size for size in TEXT_BUCKETS if size < max_tokens), max_tokens)
        widths = WIDTHS if stream is not None else (1,)
        self._buckets = tuple((width, length) for length in lengths for width in widths)
        self._numbers = {
            bucket: self._zeros(bucket[0], _NUM_NUMBERS + bucket[1], torch.int64) for bucket in self._buckets
        }
        self._floats = {bucket: self._zeros(bucket[0], 2, torch.float32) for bucket in self._buckets}
        self._launches: dict[Bucket, Callable[[], None]] = {}

    @property
    def buckets(self) -> Sequence[Bucket]:
        return self._buckets

    def capture(self, bucket: Bucket) -> None:
        """Make ready for batches of this size, one of `buckets`."""
        self._stage(bucket, ())
        self._launches[bucket] = self._launcher.prepare(lambda: self._run(bucket))

    def launch(self, requests: Sequence[Request]) -> list[tuple[Sequence[Request], torch.cuda.Event | None]]:
        """Queue these prefills, in the order of their texts' length. Each batch's event comes when it is done; None: it
        is.
        """
        queued: list[tuple[Sequence[Request], torch.cuda.Event | None]] = []
        with torch.cuda.stream(self._stream):  # without effect on a CPU
            for some, bucket in self._batches(requests):
                self._stage(bucket, some)
                self._launches[bucket]()
                queued.append((some, None if self._stream is None else mark(self._stream)))
        return queued

    def _batches(self, requests: Sequence[Request]) -> Iterator[tuple[Sequence[Request], Bucket]]:
        """Few batches rather than little padding: a launch costs the host more than padding costs the device."""
        lengths = sorted({length for _, length in self._buckets})
        widths = sorted({width for width, _ in self._buckets})
        left = sorted(requests, key=lambda request: len(request.ids))
        while left:
            some, left = left[: widths[-1]], left[widths[-1] :]
            width = next(width for width in widths if width >= len(some))
            yield some, (width, next(length for length in lengths if length >= len(some[-1].ids)))

    def _stage(self, bucket: Bucket, requests: Sequence[Request]) -> None:
        """Bring a batch to where its graph reads it. Rows without a request prefill the spare slot."""
        width, length = bucket
        numbers = np.zeros((width, _NUM_NUMBERS + length), np.int64)
        numbers[:, :_NUM_NUMBERS] = (self._spare, 1, 0, 0, 1)
        floats = np.ones((width, 2), np.float32)
        for row, request in enumerate(requests):
            numbers[row, :_NUM_NUMBERS] = (request.slot, len(request.ids), request.voice, request.seed, request.top_k)
            numbers[row, _NUM_NUMBERS : _NUM_NUMBERS + len(request.ids)] = request.ids
            floats[row] = request.temperature, request.cfg_scale
        self._send(numbers, self._numbers[bucket])
        self._send(floats, self._floats[bucket])

    def _send(self, array: NDArray[np.int64] | NDArray[np.float32], to: Tensor) -> None:
        staged = torch.tensor(array)
        to.copy_(staged.pin_memory() if self._stream is not None else staged, non_blocking=True)

    def _run(self, bucket: Bucket) -> None:
        slots, text_len, voice, seed, top_k = self._numbers[bucket][:, :_NUM_NUMBERS].unbind(1)
        temperature, cfg_scale = self._floats[bucket].unbind(1)
        ids = self._numbers[bucket][:, _NUM_NUMBERS:]
        self._prefill(Newcomers(slots, ids, text_len, voice, seed, top_k, temperature, cfg_scale))

    def _zeros(self, width: int, length: int, dtype: torch.dtype) -> Tensor:
        return torch.zeros(width, length, dtype=dtype, device=self._device)
