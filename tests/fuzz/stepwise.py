"""A server on a loop that runs only while a step of a test does: nothing of it moves in between, and its engine can be
looked at.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import msgspec

from app.settings import TtsSettings
from engines.fake import FakeModel
from tests.running import until, until_idle
from tests.serving import Embedded, Served, serve_here

STEP_TIMEOUT_S = 30.0
"""Far more than any step takes: who waits longer has hung."""

quick_model = partial(FakeModel, ms_per_char=2.0, silence_ms=(20.0, 20.0))
"""Twenty thousand characters of it are less than a minute of audio."""


class Steps:
    """Runs coroutines one after the other, each for a bounded time, on one loop."""

    def __init__(self, runner: asyncio.Runner) -> None:
        self._runner = runner

    def run(self, what: Coroutine[Any, Any, Any], timeout_s: float = STEP_TIMEOUT_S) -> Any:
        """What the coroutine returns.

        Raises:
            TimeoutError: it does not end.
        """

        async def bounded() -> Any:
            async with asyncio.timeout(timeout_s):
                return await what

        return self._runner.run(bounded())

    def until(self, is_so: Callable[[], bool], what: str) -> None:
        """Run the loop until a state is reached."""
        self.run(until(is_so, what))


class Watched(msgspec.Struct, frozen=True):
    """A server whose engine can be looked at, and how many tasks it has while nobody talks to it."""

    steps: Steps
    here: Embedded
    num_idle_tasks: int

    @property
    def served(self) -> Served:
        return self.here.served

    def check_nothing_is_left(self) -> None:
        """No session, slot, row or task is left of any client."""
        self.steps.run(until_idle(self.here.engine, self.here.model))
        self.steps.run(self._until_no_task())

    async def _until_no_task(self) -> None:
        await until(lambda: len(asyncio.all_tasks()) <= self.num_idle_tasks, f"no task is left: {asyncio.all_tasks()}")


@contextmanager
def steps() -> Iterator[Steps]:
    """For clients of a server elsewhere."""
    with asyncio.Runner() as runner:
        yield Steps(runner)


@contextmanager
def watched(settings: TtsSettings | None = None) -> Iterator[Watched]:
    """The whole app with a quick fake model, in this process."""
    with asyncio.Runner() as runner:
        stepping = Steps(runner)
        serving = serve_here(quick_model, settings=settings)
        here = stepping.run(serving.__aenter__())

        async def num_tasks() -> int:
            await asyncio.sleep(0.05)
            return len(asyncio.all_tasks())

        try:
            yield Watched(stepping, here, stepping.run(num_tasks()))
        finally:
            stepping.run(serving.__aexit__(None, None, None))
