"""The exact streaming codec: codes of many slots to samples, frame by frame, each slot with its own state.

Every convolution of the decoder is causal, so a decoder that keeps each layer's last inputs makes, for any split of the
frames, the samples that it would have made of all of them at once.
"""

import importlib.util
import os
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Final, Protocol

import msgspec
import torch
from torch import Tensor

from engines.magpie.codec_plain import PlainPath, decode_whole, exact_products
from engines.magpie.codec_weights import CodecWeights

__all__ = ["PRECISIONS", "CodecWeights", "StreamingCodec", "decode_whole"]

PRECISIONS: Final = {
    "float32": torch.float32,
    "tf32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}


class Path(Protocol):
    """One way of decoding, with the state of every slot."""

    def decode(self, codes: Tensor, slots: Tensor, out: Tensor) -> None: ...
    def reset(self, slots: Tensor) -> None: ...
    def save(self, slot: int) -> Sequence[Tensor]: ...
    def load(self, slot: int, saved: Sequence[Tensor]) -> None: ...
    @property
    def state_bytes_per_slot(self) -> int: ...


class _Bucket(msgspec.Struct):
    """Fixed tensors for some number of rows and frames, and the graph that goes from the first two to the third."""

    codes: Tensor  # (B, F, K) int64
    slots: Tensor  # (B,) int64
    out: Tensor  # (B, F * samples a frame) float32
    graph: torch.cuda.CUDAGraph | None = None


class StreamingCodec:
    """Decodes the next frames of up to `num_slots` slots. Used by one thread.

    `precision` is that of weights, states and products: float32, tf32 (float32 with TF32 products), float16 or
    bfloat16; on a CPU float32 only. `path`: "fused" (Triton kernels), "plain" (PyTorch's own), or "auto", which is
    fused where Triton and a GPU are and the kernels know the decoder, except for float32, which is then cuDNN's.
    """

    def __init__(
        self,
        weights: CodecWeights,
        num_slots: int,
        *,
        device: torch.device | str,
        precision: str = "float32",
        frame_counts: Sequence[int] = (1, 2, 4, 8),
        row_counts: Sequence[int] = (1, 2, 4, 8, 16, 32),
        path: str = "auto",
    ) -> None:
        self._device = torch.device(device)
        self._check(precision, frame_counts, row_counts)
        self._frame_counts, self._row_counts = sorted(frame_counts, reverse=True), sorted(row_counts)
        self._samples_per_frame, self._num_codebooks = weights.samples_per_frame, weights.num_codebooks
        self._spare = num_slots
        self._precision = precision
        self.path_name = choose_path(weights, self._device, precision) if path == "auto" else path
        self._path = self._make_path(weights)
        self._buckets: dict[tuple[int, int], _Bucket] = {}

    @property
    def state_bytes_per_slot(self) -> int:
        return self._path.state_bytes_per_slot

    def decode(self, codes: Tensor, slots: Tensor) -> Tensor:
        """Samples (B, F * samples a frame) float32 of the next F frames, codes (B, F, K), of these slots, (B,) int64,
        all different. Advances their states. No host sync.

        The result is a view of a fixed tensor where B and F fit one bucket: it holds until the next `decode`.
        """
        rows, frames = codes.shape[:2]
        pieces = _pieces(frames, self._frame_counts)
        if len(pieces) == 1 and rows <= self._row_counts[-1]:
            return self._decode_piece(codes, slots)
        size = self._samples_per_frame
        out = torch.empty(rows, frames * size, device=self._device)
        for low in range(0, rows, self._row_counts[-1]):
            some = slice(low, low + self._row_counts[-1])
            start = 0
            for count in pieces:
                part = self._decode_piece(codes[some, start : start + count], slots[some])
                out[some, start * size : (start + count) * size].copy_(part)
                start += count
        return out

    def reset(self, slots: Tensor) -> None:
        """Forget what these slots, (N,) int64 on the device, have decoded: their next frame is a first one."""
        self._path.reset(slots)

    def save_state(self, slot: int) -> Sequence[Tensor]:
        """A copy of a slot's state, for `load_state` of this codec."""
        return self._path.save(slot)

    def load_state(self, slot: int, saved: Sequence[Tensor]) -> None:
        self._path.load(slot, saved)

    def copy_state(self, source: int, target: int) -> None:
        """Let one slot go on where another is."""
        self._path.load(target, self._path.save(source))

    @torch.no_grad()
    def capture(self) -> None:
        """Make a CUDA graph of every bucket, in one pool of memory, and reset all slots. On a CPU this does nothing."""
        if self._device.type != "cuda":
            return
        pool = torch.cuda.graph_pool_handle()
        for rows in reversed(self._row_counts):  # the largest first: the others find its memory free
            for frames in self._frame_counts:
                bucket = self._bucket(rows, frames)
                self._warm_up(bucket)
                bucket.graph = torch.cuda.CUDAGraph()
                with torch.cuda.graph(bucket.graph, pool=pool):
                    self._run(bucket)
        self.reset(torch.arange(self._spare + 1, device=self._device))

    def _warm_up(self, bucket: _Bucket) -> None:
        side = torch.cuda.Stream(self._device)
        side.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(side):
            for _ in range(2):
                self._run(bucket)
        torch.cuda.current_stream(self._device).wait_stream(side)

    @torch.no_grad()
    def _decode_piece(self, codes: Tensor, slots: Tensor) -> Tensor:
        rows, frames = codes.shape[:2]
        bucket = self._bucket(next(count for count in self._row_counts if count >= rows), frames)
        bucket.codes[:rows].copy_(codes)
        bucket.slots[:rows].copy_(slots)
        if rows < len(bucket.slots):
            bucket.slots[rows:].fill_(self._spare)
        if bucket.graph is not None:
            bucket.graph.replay()
        else:
            self._run(bucket)
        return bucket.out[:rows]

    def _run(self, bucket: _Bucket) -> None:
        with exact_products(self._precision == "tf32") if self._device.type == "cuda" else nullcontext():
            self._path.decode(bucket.codes, bucket.slots, bucket.out)

    def _bucket(self, rows: int, frames: int) -> _Bucket:
        if (rows, frames) not in self._buckets:
            codes = torch.zeros(rows, frames, self._num_codebooks, dtype=torch.int64, device=self._device)
            slots = torch.full((rows,), self._spare, dtype=torch.int64, device=self._device)
            out = torch.zeros(rows, frames * self._samples_per_frame, device=self._device)
            self._buckets[rows, frames] = _Bucket(codes, slots, out)
        return self._buckets[rows, frames]

    def _make_path(self, weights: CodecWeights) -> Path:
        if self.path_name == "plain":
            return PlainPath(weights, self._spare + 1, self._device, PRECISIONS[self._precision])
        from engines.magpie.codec_fused import FusedPath, why_not

        if reason := why_not(weights):
            raise ValueError(f"the codec's kernels cannot do this decoder: {reason}")
        most = (self._row_counts[-1], self._frame_counts[0])
        return FusedPath(weights, self._spare + 1, self._device, self._precision, most)

    def _check(self, precision: str, frame_counts: Sequence[int], row_counts: Sequence[int]) -> None:
        if precision not in PRECISIONS:
            raise ValueError(f"the codec's precision is {precision!r}; known are {', '.join(PRECISIONS)}")
        if self._device.type == "cpu" and precision != "float32":
            raise ValueError(f"the codec's precision on a CPU is float32, not {precision}")
        if 1 not in frame_counts or min(frame_counts) < 1 or min(row_counts) < 1:
            raise ValueError("counts of frames and rows are positive, and frames may come one by one")


def choose_path(weights: CodecWeights, device: torch.device, precision: str) -> str:
    """The name of the path that "auto" means; see `StreamingCodec`."""
    if device.type != "cuda" or precision == "float32" or os.environ.get("TRITON_INTERPRET") == "1":
        return "plain"
    if importlib.util.find_spec("triton") is None:
        return "plain"
    from engines.magpie.codec_fused import why_not

    return "plain" if why_not(weights) else "fused"


def _pieces(frames: int, counts: Sequence[int]) -> list[int]:
    """`frames` as a sum of `counts`, the largest first: 7 is 4 + 2 + 1."""
    pieces: list[int] = []
    for count in counts:
        pieces += [count] * (frames // count)
        frames %= count
    return pieces
