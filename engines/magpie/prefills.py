"""Newcomers on their way into slots: batched, padded to a few sizes, on a stream of their own beside the steps.

A batch is bounded, so running streams wait for no crowd, and those in the first batch need not wait for the last. A
request's codes depend neither on the batch it came in nor on the padding.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeAlias

import msgspec
import numpy as np
import torch
from torch import Tensor

from engines.magpie.decoder import Newcomers
from engines.magpie.graphs import Launcher, mark

TEXT_BUCKETS: Final = (64, 128, 192, 256, 512)
"""Tokens that a text is padded to. The last is the longest text."""

WIDTHS: Final = (1, 4, 16)
"""Newcomers that a batch is filled up to: one takes 1.4 ms on an H200, sixteen 4 ms."""

_NUM_NUMBERS: Final = 7  # slot, length, voice, seed, top-k, floats, slot to silence: in front of a row's ids
_FLOATS: Final = 5  # two float32 in the place of one number: temperature, guidance
_NUM_STAGED: Final = 16  # batches on their way to the device


Bucket: TypeAlias = tuple[int, int]
"""Newcomers and tokens."""


class Request(msgspec.Struct, frozen=True):
    """One slot's segment, ready for the device. `is_fresh`: its sound goes on from silence."""

    slot: int
    ids: tuple[int, ...]
    voice: int
    seed: int
    top_k: int
    temperature: float
    cfg_scale: float
    is_fresh: bool = True


class Prefills:
    """Device thread only. `stream` None runs at once, one by one: on a CPU.

    `silence` is given slots, (n,) int64 on the device, whose sound begins anew. A launch is few calls into the library:
    each gives Python's lock away, and whoever steps waits to get it back.
    """

    def __init__(
        self,
        prefill: Callable[[Newcomers], None],
        silence: Callable[[Tensor], None],
        max_tokens: int,
        spare: int,
        device: torch.device,
        launcher: Launcher,
        stream: torch.cuda.Stream | None,
    ) -> None:
        self._prefill = prefill
        self._silence = silence
        self._spare = spare
        self._launcher = launcher
        self._stream = stream
        lengths = (*(size for size in TEXT_BUCKETS if size < max_tokens), max_tokens)
        widths = WIDTHS if stream is not None else (1,)
        self._buckets = tuple((width, length) for length in lengths for width in widths)
        self._numbers = {
            bucket: torch.zeros(_shape_of(bucket), dtype=torch.int64, device=device) for bucket in self._buckets
        }
        self._staged = [_Staged(self._buckets, is_pinned=stream is not None) for _ in range(_NUM_STAGED)]
        self._num_staged = 0
        self._launches: dict[Bucket, Callable[[], None]] = {}

    @property
    def buckets(self) -> Sequence[Bucket]:
        return self._buckets

    def capture(self, bucket: Bucket) -> None:
        """Make ready for batches of this size, one of `buckets`."""
        self._send(bucket, ())
        self._launches[bucket] = self._launcher.prepare(lambda: self._run(bucket))

    def launch(self, requests: Sequence[Request]) -> list[tuple[Sequence[Request], torch.cuda.Event | None]]:
        """Queue these prefills, in the order of their texts' length. Each batch's event comes when it is done; None: it
        is.
        """
        queued: list[tuple[Sequence[Request], torch.cuda.Event | None]] = []
        with torch.cuda.stream(self._stream):  # without effect on a CPU
            for some, bucket in self._batches(requests):
                staged = self._send(bucket, some)
                self._launches[bucket]()
                staged.sent = None if self._stream is None else mark(self._stream)
                queued.append((some, staged.sent))
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

    def _send(self, bucket: Bucket, requests: Sequence[Request]) -> "_Staged":
        """Bring a batch to where its graph reads it. Rows without a request prefill the spare slot."""
        staged = self._staged[self._num_staged % _NUM_STAGED]
        self._num_staged += 1
        self._numbers[bucket].copy_(staged.fill(bucket, requests, self._spare), non_blocking=True)
        return staged

    def _run(self, bucket: Bucket) -> None:
        numbers = self._numbers[bucket]
        slots, text_len, voice, seed, top_k, _, silent = numbers[:, :_NUM_NUMBERS].unbind(1)
        temperature, cfg_scale = numbers[:, _FLOATS : _FLOATS + 1].view(torch.float32).unbind(1)
        ids = numbers[:, _NUM_NUMBERS:]
        self._prefill(Newcomers(slots, ids, text_len, voice, seed, top_k, temperature, cfg_scale))
        self._silence(silent)


class _Staged:
    """Room for one batch, on the host. `sent` comes when the device has read it.

    Behind a text stands whatever the last one left there.
    """

    def __init__(self, buckets: Sequence[Bucket], *, is_pinned: bool) -> None:
        self._tensors = {
            bucket: torch.zeros(_shape_of(bucket), dtype=torch.int64, pin_memory=is_pinned) for bucket in buckets
        }
        self.sent: torch.cuda.Event | None = None

    def fill(self, bucket: Bucket, requests: Sequence[Request], spare: int) -> Tensor:
        """The batch, as `Prefills` sends it."""
        if self.sent is not None:
            self.sent.synchronize()
        numbers = self._tensors[bucket].numpy()
        numbers[:, :_NUM_NUMBERS] = (spare, 1, 0, 0, 1, 0, spare)
        floats = numbers.view(np.float32)[:, 2 * _FLOATS : 2 * _FLOATS + 2]
        floats.fill(1.0)
        for row, asked in enumerate(requests):
            numbers[row, :_FLOATS] = (asked.slot, len(asked.ids), asked.voice, asked.seed, asked.top_k)
            numbers[row, _FLOATS + 1] = asked.slot if asked.is_fresh else spare
            numbers[row, _NUM_NUMBERS : _NUM_NUMBERS + len(asked.ids)] = asked.ids
            floats[row] = asked.temperature, asked.cfg_scale
        return self._tensors[bucket]


def _shape_of(bucket: Bucket) -> tuple[int, int]:
    rows, num_tokens = bucket
    return rows, _NUM_NUMBERS + num_tokens
