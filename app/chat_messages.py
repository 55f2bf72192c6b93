"""Chat completions in OpenAI's shape: what a client may send, and what it gets. Fields that are not known are ignored.

Source: OpenAI, API reference, "Chat".
"""

import time
import uuid
from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Meta, UnsetType

from app.errors import ErrorDetail
from app.turns import Drawing, NumTokens, Turns
from engines.errors import RequestError
from engines.llm.types import ChunkEnd, Usage

FinishReason: TypeAlias = Literal["stop", "length"]


class StreamOptions(msgspec.Struct, frozen=True):
    """`include_usage`: one more chunk at the end says what was used."""

    include_usage: bool | None = False


class ResponseFormat(msgspec.Struct, frozen=True):
    """Only `text` is served."""

    type: str = "text"


class ChatRequest(Drawing, frozen=True, kw_only=True):
    """A conversation to go on with. `model` may be any name: the loaded model writes.

    `max_completion_tokens` is the newer name of `max_tokens`; neither: to the end of the context. The last four are
    known so that they can be refused: an answer that takes no notice of them would be a wrong one.
    """

    messages: Turns
    model: str = ""
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    max_tokens: NumTokens | None = None
    max_completion_tokens: NumTokens | None = None
    n: Annotated[int, Meta(ge=1)] | None = 1
    logprobs: bool | None = False
    response_format: ResponseFormat | None = None
    tools: list[Any] | None = None

    @property
    def max_total_tokens(self) -> int | None:
        return self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens

    @property
    def is_usage_wanted(self) -> bool:
        return self.stream_options is not None and bool(self.stream_options.include_usage)

    def refuse_unserved(self) -> None:
        """Raises:
        RequestError: it asks for what is not served here.
        """
        if self.n is not None and self.n > 1:
            raise RequestError(f"one completion at a time is served: n may be 1, and is {self.n}", param="n")
        if self.logprobs:
            raise RequestError("logprobs are not served", param="logprobs")
        if self.response_format is not None and self.response_format.type != "text":
            message = f"response_format {self.response_format.type!r} is not served; choose 'text'"
            raise RequestError(message, param="response_format")
        if self.tools:
            raise RequestError("tools are not served", param="tools")


class PromptTokens(msgspec.Struct, frozen=True):
    """Of the prompt's tokens, those that were found in the cache, and, ours, those that had to be evaluated."""

    cached_tokens: int
    evaluated_tokens: int


class ChatUsage(msgspec.Struct, frozen=True):
    """What was used, in tokens of the model."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokens


class Reply(msgspec.Struct, frozen=True):
    """The answer."""

    content: str
    role: Literal["assistant"] = "assistant"
    refusal: None = None


class Choice(msgspec.Struct, frozen=True):
    message: Reply
    finish_reason: FinishReason
    index: int = 0
    logprobs: None = None


class ChatCompletion(msgspec.Struct, frozen=True, kw_only=True):
    """A whole answer."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: Sequence[Choice]
    usage: ChatUsage


class Delta(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is new of an answer; the role is, in the first chunk."""

    role: str = ""
    content: str | UnsetType = UNSET


class DeltaChoice(msgspec.Struct, frozen=True):
    delta: Delta
    finish_reason: FinishReason | None = None
    index: int = 0
    logprobs: None = None


class ChatChunk(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of an answer. `usage` is in every chunk if it was asked for, and null in all but the last."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    choices: Sequence[DeltaChoice]
    usage: ChatUsage | UnsetType | None = UNSET


class BrokenOff(msgspec.Struct, frozen=True):
    """In place of the next chunk, when there will be none."""

    error: ErrorDetail


class Completion(msgspec.Struct, frozen=True):
    """What all parts of one answer have in common, and how they are made."""

    model: str
    id: str = msgspec.field(default_factory=lambda: f"chatcmpl-{uuid.uuid4().hex}")
    created: int = msgspec.field(default_factory=lambda: int(time.time()))

    def whole(self, text: str, end: ChunkEnd, usage: Usage) -> ChatCompletion:
        return ChatCompletion(
            id=self.id,
            created=self.created,
            model=self.model,
            choices=[Choice(Reply(text), finish_reason(end))],
            usage=chat_usage(usage),
        )

    def chunk(self, *choices: DeltaChoice, usage: ChatUsage | UnsetType | None = UNSET) -> ChatChunk:
        return ChatChunk(id=self.id, created=self.created, model=self.model, choices=choices, usage=usage)


def finish_reason(end: ChunkEnd) -> FinishReason:
    return "length" if end.reason == "max_tokens" else "stop"


def chat_usage(usage: Usage) -> ChatUsage:
    return ChatUsage(
        usage.num_prompt,
        usage.num_written,
        usage.num_prompt + usage.num_written,
        PromptTokens(usage.num_cached, usage.num_prompt - usage.num_cached),
    )
