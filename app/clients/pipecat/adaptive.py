"""Speech for pipecat over HTTP with text streamed in: the server cuts it by how much its listener still has to hear."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import aiohttp

from app.clients.errors import ClientError
from app.clients.pipecat.requests import Requests
from app.clients.pipecat.settings import manner_of
from app.clients.pipecat.streaming import Stream, StreamingTTSService
from app.clients.speech_events import Audio, Cancelled, Event


class TidingAdaptiveTTSService(StreamingTTSService):
    """Speech over `/v1/tts/stream`: where a WebSocket does not get through. There are no word times over HTTP: what is
    put into the conversation is a sentence at a time.
    """

    def __init__(
        self,
        url: str = "http://localhost:8001",
        *,
        api_key: str | None = None,
        aiohttp_session: aiohttp.ClientSession | None = None,
        **kwargs: Any,
    ) -> None:
        """Args:

        url: Where the speech server is.
        api_key: What it, or a proxy before it, knows us by.
        aiohttp_session: For the requests, if not one of its own.
        **kwargs: `settings` and more, for `StreamingTTSService`.
        """
        super().__init__(push_text_frames=True, **kwargs)
        self._requests = Requests(url, api_key, aiohttp_session)

    def make_stream(self, context_id: str) -> Stream:
        return AdaptiveStream(self._requests, {"sample_rate": self.sample_rate, **manner_of(self._settings)})

    async def cleanup(self) -> None:
        await super().cleanup()
        await self.stop_listening()
        await self._requests.aclose()


class AdaptiveStream:
    """One stream over HTTP. Begins with its first text. Event loop only."""

    def __init__(self, requests: Requests, manner: dict[str, Any]) -> None:
        self._requests = requests
        self._manner = manner
        self._path = ""
        self._opening = asyncio.Lock()

    async def say(self, text: str) -> None:
        """Add text, in pieces of any size. Raises as `Requests.ask`, as do all here."""
        await self._open()
        async with self._requests.ask("POST", f"{self._path}/append", {"text": text}):
            pass

    async def flush(self) -> None:
        """Nothing: the server flushes by itself, when text has not come for a while."""

    async def close(self) -> None:
        """No more text."""
        async with self._requests.ask("POST", f"{self._path}/close"):
            pass

    async def cancel(self) -> Cancelled:
        """Drop it. What was heard is not known over HTTP."""
        if self._path:
            with suppress(ClientError):
                async with self._requests.ask("DELETE", self._path):
                    pass
        return Cancelled()

    async def __aiter__(self) -> AsyncIterator[Event]:
        await self._open()
        async with self._requests.ask("GET", f"{self._path}/audio") as answer:
            async for data in answer.content.iter_any():
                yield Audio(data)

    async def _open(self) -> None:
        async with self._opening:
            if not self._path:
                async with self._requests.ask("POST", "/v1/tts/stream", self._manner) as answer:
                    self._path = f"/v1/tts/stream/{(await answer.json())['stream_id']}"
