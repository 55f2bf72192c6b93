"""A speech server whose model stands before a closed gate, and what has to be so when its client has gone."""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import EntryPoint

from engines.fake import FakeModel, Gate
from tests.running import allow_steps, num_steps, until
from tests.serving import Embedded, serve_here


class Held(Embedded, frozen=True):
    """A server whose model stands before a gate."""

    gate: Gate

    async def until_speaking(self, num_more_steps: int = 0) -> None:
        """A slot is busy, its step under way, and so many more steps are done."""
        await asyncio.to_thread(self.gate.wait_held)
        if num_more_steps:
            await allow_steps(self.gate, self.model, num_more_steps)
            await asyncio.to_thread(self.gate.wait_held)
        await until(lambda: self.engine.num_busy_slots == 1, "a slot is busy")

    async def assert_freed_within_one_step(self) -> None:
        await until(lambda: self.engine.num_sessions == 0, "the server knows that the client has gone")
        before = num_steps(self.model)
        assert self.engine.num_busy_slots == self.model.num_held_rows == 1, "the step is still under way"
        self.gate.allow(1)
        await until(lambda: self.engine.num_busy_slots == 0, "no slot is busy")
        await until(lambda: self.model.num_held_rows == 0, "the model holds no row")
        assert num_steps(self.model) == before + 1
        assert self.engine.num_sessions == 0


@asynccontextmanager
async def held(mode_points: list[EntryPoint] | None = None) -> AsyncIterator[Held]:
    gate = Gate()
    async with serve_here(lambda wake: FakeModel(wake, gate=gate), mode_points=mode_points) as here:
        try:
            yield Held(here.served, here.engine, here.model, gate)
        finally:
            gate.allow(math.inf)
