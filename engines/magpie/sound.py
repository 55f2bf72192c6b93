"""From drawn codes to samples: which frames of which slots are decoded together, and whose codec state is where.

A session's segments are one sound: the codec's state runs on from one to the next, although each may have another
slot, and others may have had the slot in between.
"""

from collections.abc import Sequence
from itertools import groupby
from operator import attrgetter

import msgspec
import numpy as np
import torch
from torch import Tensor

from engines.magpie.codec import StreamingCodec
from engines.types import Pcm


class Span(msgspec.Struct, frozen=True):
    """Frames of a slot that are due to be heard: `count` of them, from `first` on."""

    slot: int
    first: int
    count: int


class Sound:
    """Device thread only. `frames` (S + 1, M, K) is what the decoder draws into. On a GPU the codec has a stream of its
    own: it works while the next step does. `prefill_stream` is where slots are prepared for their segments, and with
    them their sound: `decode` waits for the device, so nothing of a slot is still being decoded then.
    """

    def __init__(
        self,
        codec: StreamingCodec,
        frames: Tensor,
        max_count: int,
        samples_per_frame: int,
        prefill_stream: torch.cuda.Stream | None = None,
    ) -> None:
        self._codec = codec
        self._frames = frames
        self._samples_per_frame = samples_per_frame
        self._stream = torch.cuda.Stream(priority=-1) if frames.device.type == "cuda" else None
        self._prefill_stream = prefill_stream
        num_slots = len(frames) - 1
        num_samples = num_slots * max_count * samples_per_frame
        self._places = torch.zeros(2, num_slots, dtype=torch.int64, pin_memory=self._stream is not None)
        self._samples = torch.zeros(num_samples, pin_memory=self._stream is not None)
        self._slot_of: dict[int, int] = {}  # session -> the slot that holds its state
        self._session_in: dict[int, int] = {}  # and back
        self._parked: dict[int, Sequence[Tensor]] = {}  # session -> its state, put aside

    # -- whose state is where --------------------------------------------------------------------------------------

    def begin(self, slot: int, session: int) -> bool:
        """From here on `slot` decodes for `session`, going on from where that was. False: it was nowhere, and the slot
        is to be silenced before it is decoded.
        """
        if self._slot_of.get(session) == slot:
            return True
        is_known = session in self._slot_of or session in self._parked
        if is_known or slot in self._session_in:
            with torch.cuda.stream(self._prefill_stream):  # without effect on a CPU
                self._put_aside(slot)
                self._bring(session, slot)
        self._slot_of[session] = slot
        self._session_in[slot] = session
        return is_known

    def silence(self, slots: Tensor) -> None:
        """Let these slots, (N,) int64 on the device, go on from silence. To be called on the prefill stream."""
        self._codec.reset(slots)

    def _bring(self, session: int, slot: int) -> None:
        if session in self._parked:
            self._codec.load_state(slot, self._parked.pop(session))
        elif session in self._slot_of:
            before = self._slot_of[session]
            self._codec.copy_state(before, slot)
            del self._session_in[before]

    def forget(self, session: int) -> None:
        self._parked.pop(session, None)
        slot = self._slot_of.pop(session, None)
        if slot is not None:
            del self._session_in[slot]

    def _put_aside(self, slot: int) -> None:
        session = self._session_in.pop(slot, None)
        if session is not None:
            self._parked[session] = self._codec.save_state(slot)
            del self._slot_of[session]

    @property
    def num_kept(self) -> int:
        """Sessions whose state is kept."""
        return len(self._slot_of) + len(self._parked)

    def capture(self) -> None:
        """Make the codec's graphs, on the stream that they will run on. All states are reset."""
        with torch.cuda.stream(self._stream):
            self._codec.capture()
        if self._stream is not None:
            self._stream.synchronize()

    # -- decoding --------------------------------------------------------------------------------------------------

    def decode(self, spans: Sequence[Span]) -> dict[int, Pcm]:
        """The samples of these spans, by slot, (count * samples a frame,) float32. Waits for the device.

        They are views of one buffer: they hold until the next call.
        """
        if not spans:
            return {}
        by_count = attrgetter("count")
        ordered = sorted(spans, key=by_count)
        self._places.numpy()[:, : len(spans)] = (
            np.array([(span.slot, span.first) for span in ordered], np.int64).reshape(-1, 2).T
        )
        samples, done, used = self._samples.numpy(), 0, 0
        found: dict[int, Pcm] = {}
        for count, group in groupby(ordered, by_count):
            some = list(group)
            size = len(some) * count * self._samples_per_frame
            with torch.cuda.stream(self._stream):  # without effect on a CPU
                made = self._decode(self._places[:, done : done + len(some)], count)
                self._samples[used : used + size].view(len(some), -1).copy_(made, non_blocking=True)
            rows = samples[used : used + size].reshape(len(some), -1)
            found |= {span.slot: rows[row] for row, span in enumerate(some)}
            done, used = done + len(some), used + size
        if self._stream is not None:
            self._stream.synchronize()
        return found

    def _decode(self, places: Tensor, count: int) -> Tensor:
        slots, first = places.to(self._frames.device, non_blocking=True).unbind(0)
        frames = first[:, None] + torch.arange(count, device=self._frames.device)
        return self._codec.decode(self._frames[slots[:, None], frames], slots)
