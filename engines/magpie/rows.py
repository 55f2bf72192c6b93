"""What the host knows of a segment in a slot: how it is heard, and whether it is over."""

from typing import Final

import msgspec
import torch

from engines.magpie.tokens import Tokens
from engines.magpie.words import WordClock
from engines.model import Prefill

MAX_CHUNK_FRAMES: Final = 16
"""The largest chunk that is made at once, whatever is wished for: 0.74 s."""


class End(msgspec.Struct, frozen=True):
    """That a segment is over: how many frames it has, and why, if it was not its own end."""

    num_frames: int
    cut_short: str = ""


class Row:
    """What the host knows of a slot's segment."""

    def __init__(self, job: Prefill, tokens: Tokens, step_ms: float) -> None:
        self.slot = job.slot
        self.end: End | None = None  # None: it goes on
        self.clock = WordClock(job.segment, tokens.words, step_ms)
        self.chunk = min(max(1, job.params.first_chunk_frames), MAX_CHUNK_FRAMES)  # frames, of the next one
        self.largest_chunk = min(max(1, job.params.chunk_frames), MAX_CHUNK_FRAMES)
        self.num_chunks = 0
        self.ready: torch.cuda.Event | None = None  # comes when it is prefilled; None: it is
        self.turn = 0  # of its prefill, among all
        self.error: Exception | None = None

    def take_chunk(self) -> None:
        """After the first chunk half of it, then twice as much each time: where the first holds nothing but rendered
        silence, a listener waits for few frames more.
        """
        size = max(1, self.chunk // 2) if self.num_chunks == 0 else 2 * self.chunk
        self.chunk = min(size, self.largest_chunk)
        self.num_chunks += 1
