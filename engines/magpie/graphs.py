"""CUDA graphs: a step or a prefill as one launch, for a few sizes of batch; and the same without graphs.

A decoder step is some two hundred kernels of a few microseconds; launched one by one they would cost more than they
take. A graph is captured for each bucket of batch sizes; a batch is filled up with the spare slot. What the host gives
and gets travels inside the graph: slots in from pinned memory, a small report out into pinned memory.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, Generic, TypeVar

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Row = TypeVar("Row")

STEP_BUCKETS: Final = (1, 2, 4, 8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
_NUM_WARM_UPS: Final = 2  # compiles kernels and lets libraries allocate what they must not during a capture


def mark(stream: torch.cuda.Stream) -> torch.cuda.Event:
    """An event that comes when what is queued on `stream` so far is done."""
    event = torch.cuda.Event()
    event.record(stream)
    return event


def buckets_up_to(num_slots: int) -> tuple[int, ...]:
    """The batch sizes to have graphs of: the last one holds all slots."""
    return (*(size for size in STEP_BUCKETS if size < num_slots), num_slots)


class Launcher:
    """Runs work that has been captured, or captures nothing and runs it as it is. Device thread only.

    `pool` is the memory that graphs share which never run at the same time.
    """

    def __init__(self, stream: torch.cuda.Stream | None) -> None:
        self._stream = stream
        self._pool = torch.cuda.graph_pool_handle() if stream is not None else None

    def prepare(self, work: Callable[[], None]) -> Callable[[], None]:
        """What runs `work` from now on. `work` reads and writes fixed tensors only, and returns nothing."""
        if self._stream is None:
            return work
        with torch.cuda.stream(self._stream):
            for _ in range(_NUM_WARM_UPS):
                work()
            self._stream.synchronize()
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, pool=self._pool, stream=self._stream):
                work()
        return graph.replay


class Flight(Generic[Row]):
    """A step on its way: whose it is, and what it says of them once it has landed."""

    def __init__(self, rows: Sequence[Row], report: NDArray[np.int32], landed: torch.cuda.Event | None) -> None:
        self.rows = rows
        self._report = report
        self._landed = landed

    def wait(self) -> NDArray[np.int32]:
        """What the step says of its rows (B, W), when the device is through with it."""
        if self._landed is not None:
            self._landed.synchronize()
        return self._report.copy()

    def hold(self, stream: torch.cuda.Stream | None) -> None:
        """Let what is queued on `stream` from now on wait for this step."""
        if stream is not None and self._landed is not None:
            stream.wait_event(self._landed)


class Stepper(Generic[Row]):
    """Steps any of the slots together. Device thread only.

    `step` is given slots on the device (B,) int64 and returns a report on the device (B, W) int32. Two steps may be on
    their way at once, each with buffers and a graph of its own.
    """

    def __init__(
        self,
        step: Callable[[Tensor], Tensor],
        num_slots: int,
        report_width: int,
        device: torch.device,
        launcher: Launcher,
        stream: torch.cuda.Stream | None,
    ) -> None:
        is_cuda = stream is not None
        self._spare = num_slots
        self._buckets = buckets_up_to(num_slots) if is_cuda else (num_slots,)
        self._buffers = [
            _Buffers(
                rows=torch.full((num_slots,), num_slots, dtype=torch.int64, pin_memory=is_cuda),
                device_rows=torch.zeros(num_slots, dtype=torch.int64, device=device),
                report=torch.zeros(num_slots, report_width, dtype=torch.int32, pin_memory=is_cuda),
            )
            for _ in range(2 if is_cuda else 1)
        ]
        self._step = step
        self._launcher = launcher
        self._stream = stream
        self._num_launches = 0
        self._launches: dict[tuple[int, int], Callable[[], None]] = {}

    @property
    def buckets(self) -> Sequence[int]:
        return self._buckets

    def capture(self, size: int) -> None:
        """Make ready for batches of up to `size`, one of `buckets`."""
        for index, buffers in enumerate(self._buffers):
            self._launches[size, index] = self._launcher.prepare(partial(self._run, buffers, size))

    def launch(self, slots: Sequence[int], rows: Sequence[Row]) -> Flight[Row]:
        """Queue a step of these slots. `rows` are whatever the caller knows them by."""
        size = next(size for size in self._buckets if size >= len(slots))
        index = self._num_launches % len(self._buffers)
        buffers = self._buffers[index]
        places = buffers.rows.numpy()
        places[: len(slots)] = slots
        places[len(slots) : size] = self._spare
        self._launches[size, index]()
        self._num_launches += 1
        landed = mark(self._stream) if self._stream is not None else None
        return Flight(rows, buffers.report.numpy()[: len(slots)], landed)

    def _run(self, buffers: "_Buffers", size: int) -> None:
        rows = buffers.device_rows[:size]
        rows.copy_(buffers.rows[:size], non_blocking=True)
        buffers.report[:size].copy_(self._step(rows), non_blocking=True)


class _Buffers(msgspec.Struct, frozen=True):
    """Where a step's slots go in, (S,) int64 pinned and on the device, and its report comes out, (S, W) int32."""

    rows: Tensor
    device_rows: Tensor
    report: Tensor
