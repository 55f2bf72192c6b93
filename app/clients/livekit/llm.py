"""Answers for LiveKit agents, from `/v1/chat/completions` of a Tiding server. Giving up an answer ends its writing."""

from typing import Any, Final, Literal, cast

import openai
from livekit.agents import APIConnectionError, APIConnectOptions, APIStatusError, APITimeoutError, llm
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, NOT_GIVEN, NotGivenOr
from openai.types.chat import ChatCompletionMessageParam
from openai.types.completion_usage import CompletionUsage

DEFAULT_URL: Final = "http://localhost:8002"


class LLM(llm.LLM[Literal[()]]):
    """The model of a Tiding server. `options` are fields of a request: `temperature`, `max_completion_tokens`, `seed`
    and others that the reference describes. Event loop only.
    """

    def __init__(self, url: str = DEFAULT_URL, *, api_key: str | None = None, **options: Any) -> None:
        super().__init__()
        self._options = options
        self.client = openai.AsyncClient(base_url=f"{url.rstrip('/')}/v1", api_key=api_key or "unused", max_retries=0)

    @property
    def model(self) -> str:
        return "tiding"

    @property
    def provider(self) -> str:
        return "Tiding"

    def chat(
        self,
        *,
        chat_ctx: llm.ChatContext,
        tools: list[llm.Tool] | None = None,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
        parallel_tool_calls: NotGivenOr[bool] = NOT_GIVEN,
        tool_choice: NotGivenOr[llm.ToolChoice] = NOT_GIVEN,
        extra_kwargs: NotGivenOr[dict[str, Any]] = NOT_GIVEN,
    ) -> "LLMStream":
        """Raises:
        ValueError: there are tools; the server has none to call.
        """
        if tools:
            raise ValueError("tools are not served: an agent on this LLM has none")
        return LLMStream(self, chat_ctx, conn_options, {**self._options, **(extra_kwargs or {})})

    async def _prewarm_impl(self) -> None:
        await self.client.models.list()

    async def aclose(self) -> None:
        await super().aclose()
        await self.client.close()


class LLMStream(llm.LLMStream):
    """One answer."""

    def __init__(
        self, writer: LLM, chat_ctx: llm.ChatContext, conn_options: APIConnectOptions, options: dict[str, Any]
    ) -> None:
        super().__init__(writer, chat_ctx=chat_ctx, tools=[], conn_options=conn_options)
        self._writer = writer
        self._options = options
        self._has_begun = False

    async def _run(self) -> None:
        try:
            await self._write()
        except openai.APITimeoutError as error:
            raise APITimeoutError(retryable=not self._has_begun) from error
        except openai.APIStatusError as error:
            raise APIStatusError(
                error.message, status_code=error.status_code, request_id=error.request_id, body=error.body
            ) from error
        except openai.APIError as error:  # broken off, or an error in place of the next chunk
            raise APIConnectionError(error.message, retryable=not self._has_begun) from error

    async def _write(self) -> None:
        messages = cast(list[ChatCompletionMessageParam], self._chat_ctx.to_provider_format(format="openai")[0])
        chunks = await self._writer.client.chat.completions.create(
            model=self._writer.model,
            messages=messages,
            stream=True,
            stream_options={"include_usage": True},
            timeout=self._conn_options.timeout,
            **self._options,
        )
        async with chunks:
            async for chunk in chunks:
                text = chunk.choices[0].delta.content if chunk.choices else None
                if text:
                    self._has_begun = True
                    delta = llm.ChoiceDelta(role="assistant", content=text)
                    self._event_ch.send_nowait(llm.ChatChunk(id=chunk.id, delta=delta))
                if chunk.usage is not None:
                    self._event_ch.send_nowait(llm.ChatChunk(id=chunk.id, usage=_usage(chunk.usage)))


def _usage(usage: CompletionUsage) -> llm.CompletionUsage:
    details = usage.prompt_tokens_details
    return llm.CompletionUsage(
        completion_tokens=usage.completion_tokens,
        prompt_tokens=usage.prompt_tokens,
        prompt_cached_tokens=(details.cached_tokens if details else None) or 0,
        total_tokens=usage.total_tokens,
    )
