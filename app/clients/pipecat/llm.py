"""An LLM for pipecat that writes sentence by sentence, and is held while enough speech is unplayed."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, fields
from typing import Any, Final, cast

from pipecat.adapters.llm.services.open_ai_adapter import OpenAILLMAdapter
from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    CancelFrame,
    EndFrame,
    Frame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    StartFrame,
)
from pipecat.metrics.metrics import LLMTokenUsage
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.llm_service import LLMService
from pipecat.services.settings import LLMSettings
from pipecat.utils.errors import ErrorCategory
from pipecat.utils.types import NOT_GIVEN, NotGiven

from app.clients.connection import PATIENCE_S
from app.clients.errors import ClientError
from app.clients.pipecat.failures import category_of
from app.clients.pipecat.unplayed import Unplayed
from app.clients.text import Answer, Drawing, Pause, TextClient

AHEAD_S: Final = 3.0
_SENTENCE: Final = Pause(at_sentence=True)


@dataclass
class TidingLLMSettings(LLMSettings):
    """Settings of the LLM. What is None is as the server says.

    Parameters:
        stop: A word, or several, that end the answer in front of itself.
    """

    stop: str | list[str] | NotGiven | None = field(default_factory=lambda: NOT_GIVEN)


class TidingLLMService(LLMService[OpenAILLMAdapter]):
    """The LLM server's socket. A chunk is a sentence; between two of them the model waits until no more than `ahead_s`
    of what was written is still to be played. What a listener interrupts has mostly not been written then, and the
    machine is free for others. The model keeps where it is: going on costs one step.
    """

    Settings = TidingLLMSettings
    _settings: TidingLLMSettings  # pyright: ignore[reportIncompatibleVariableOverride]  # pipecat's own do it so
    adapter_class = OpenAILLMAdapter

    def __init__(
        self,
        url: str = "http://localhost:8002",
        *,
        api_key: str | None = None,
        ahead_s: float | None = AHEAD_S,
        patience_s: float = PATIENCE_S,
        settings: TidingLLMSettings | None = None,
        **kwargs: Any,
    ) -> None:
        """Args:

        url: Where the LLM server is.
        api_key: What it, or a proxy before it, knows us by.
        ahead_s: So many seconds of unplayed speech hold the model. None: it is never held.
        patience_s: So long a server that is not there is tried again.
        settings: Temperature, system instruction and more; what is not given is as the server says.
        **kwargs: For `LLMService`.
        """
        super().__init__(settings=_complete(settings), **kwargs)
        self.unplayed = Unplayed()
        self._client = TextClient(url, api_key=api_key, patience_s=patience_s)
        self._ahead_s = ahead_s

    def can_generate_metrics(self) -> bool:
        return True

    def _classify_error(self, exception: Exception) -> ErrorCategory | None:
        return category_of(exception)

    async def start(self, frame: StartFrame) -> None:
        await super().start(frame)
        self.create_task(self._connect(), "connect")

    async def stop(self, frame: EndFrame) -> None:
        await super().stop(frame)
        await self._client.aclose()

    async def cancel(self, frame: CancelFrame) -> None:
        await super().cancel(frame)
        await self._client.aclose()

    async def cleanup(self) -> None:
        await super().cleanup()
        await self._client.aclose()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, LLMContextFrame):
            await self._respond(frame.context)
            return
        if isinstance(frame, BotStartedSpeakingFrame):
            self.unplayed.begin()
        elif isinstance(frame, BotStoppedSpeakingFrame):
            self.unplayed.end()
        await self.push_frame(frame, direction)

    async def run_inference(
        self,
        context: LLMContext,
        max_tokens: int | None = None,
        system_instruction: str | None = None,
        response_schema: Any = None,
    ) -> str | None:
        """An answer for the application, which nobody hears: in one piece."""
        self._check_response_schema(response_schema)
        drawing = await self._drawing(max_tokens)
        async with self._client.answer(
            await self._messages(context, system_instruction), Pause(max_tokens=max_tokens), **drawing
        ) as answer:
            async for _ in answer.chunk():
                pass
            return answer.text

    # -- an answer -----------------------------------------------------------------------------------------------------

    async def _respond(self, context: LLMContext) -> None:
        await self.push_frame(LLMFullResponseStartFrame())
        await self.start_processing_metrics()
        try:
            await self.start_ttfb_metrics()
            await self._write(context)
        except ClientError as error:
            await self.push_error(f"Error during completion: {error}", exception=error)
        finally:
            await self.stop_processing_metrics()
            await self.push_frame(LLMFullResponseEndFrame())

    async def _write(self, context: LLMContext) -> None:
        messages, drawing = await self._messages(context, None), await self._drawing(None)
        self.unplayed.forget()
        num_tokens = 0
        async with self._client.answer(messages, _SENTENCE, **drawing) as answer:  # an interruption leaves it
            try:
                while not answer.is_done and not answer.is_over:
                    await self._hold()
                    async for token in self._sentence(answer):
                        await self._push_llm_text(token)
                    num_tokens += answer.last.num_tokens if answer.last else 0
            finally:
                await self.start_llm_usage_metrics(
                    LLMTokenUsage(prompt_tokens=0, completion_tokens=num_tokens, total_tokens=num_tokens)
                )

    async def _sentence(self, answer: Answer) -> AsyncIterator[str]:
        async for token in answer.chunk():
            await self.stop_ttfb_metrics()
            self.unplayed.add(token)
            yield token

    async def _hold(self) -> None:
        """While enough speech is waiting, the model does not step: that is all that a pause is."""
        if self._ahead_s is not None and not self._skip_tts:
            await self.unplayed.until_below(self._ahead_s)

    # -- inside --------------------------------------------------------------------------------------------------------

    async def _messages(self, context: LLMContext, system_instruction: str | None) -> Any:
        instruction = system_instruction or self._settings.system_instruction
        params = await self.get_llm_adapter().get_llm_invocation_params(
            context,
            system_instruction=instruction if isinstance(instruction, str) else None,
            convert_developer_to_user=False,
        )
        return params["messages"]

    async def _drawing(self, max_tokens: int | None) -> Drawing:
        settings = self._settings
        wanted = {name: getattr(settings, name) for name in ("temperature", "top_p", "top_k", "seed", "stop")}
        wanted["max_total_tokens"] = max_tokens or settings.max_tokens
        return cast("Drawing", {name: value for name, value in wanted.items() if value is not None})

    async def _connect(self) -> None:
        try:
            await self._client.open()
        except ClientError as error:
            await self.push_error(str(error), exception=error)


def _complete(settings: TidingLLMSettings | None) -> TidingLLMSettings:
    """All settings: those that were given, and for the others the server's own."""
    unset: dict[str, Any] = {one.name: None for one in fields(TidingLLMSettings) if one.name != "extra"}
    whole = TidingLLMSettings(**unset)
    whole.use_provider_thinking_default = False
    if settings is not None:
        whole.apply_update(settings)
    return whole
