"""What the LLM's socket says, as its client hears it."""

import msgspec


class ChunkEnd(msgspec.Struct, frozen=True):
    """A chunk is over. `reason` says why; `is_done`: the answer is over with it."""

    reason: str
    text: str
    num_tokens: int
    ttft_ms: float
    elapsed_ms: float
    is_done: bool


class Heard(msgspec.Struct, frozen=True):
    """Any message: the fields that its kind does not have are empty."""

    stream_id: str | None = None
    type: str = ""
    status: str = ""
    content: str = ""
    reason: str = ""
    text: str = ""
    tokens: int = 0
    ttft_ms: float = 0.0
    elapsed_ms: float = 0.0
    full_text: str = ""
    error: str = ""
    code: str = ""

    @property
    def end(self) -> ChunkEnd:
        return ChunkEnd(self.reason, self.text, self.tokens, self.ttft_ms, self.elapsed_ms, self.type == "done")


decode = msgspec.json.Decoder(Heard).decode
