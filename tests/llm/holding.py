"""An LLM server whose model stands before a closed gate, and what has to be so when its client has gone."""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.settings import LlmSettings
from engines.fake import Gate
from engines.llm.fake import FakeText
from tests.llm.running import allow_steps, until_idle
from tests.llm.served import tell
from tests.llm.talking import Embedded, serve_here
from tests.running import until

FORGETFUL = LlmSettings(remembered=0)


class Held(Embedded, frozen=True):
    """A server whose model stands before a gate, and which remembers nothing."""

    model: FakeText
    gate: Gate

    async def until_writing(self, num_steps: int) -> None:
        """The step behind so many others is under way."""
        await asyncio.to_thread(self.gate.wait_held)
        if num_steps:
            await allow_steps(self.gate, self.model, num_steps)
            await asyncio.to_thread(self.gate.wait_held)
        await until(lambda: self.engine.num_running == 1, "it is being written")

    async def assert_free_within_one_step(self) -> None:
        await until(lambda: self.engine.num_sessions == 0, "the server knows that the client has gone")
        before = len(self.model.batches)
        self.gate.allow(1)
        await until_idle(self.engine, self.model)
        assert len(self.model.batches) <= before + 1


@asynccontextmanager
async def held() -> AsyncIterator[Held]:
    gate = Gate()
    model = FakeText(tell, gate=gate)
    async with serve_here(lambda: model, settings=FORGETFUL) as here:
        try:
            yield Held(here.served, here.engine, model, gate)
        finally:
            gate.allow(math.inf)
