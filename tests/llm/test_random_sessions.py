"""Sessions that do anything at any time, in too few slots and cells: each writes what it would alone, and nothing is
left of any.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from engines.errors import WrongState
from engines.llm.engine import TextEngine, TextLimits
from engines.llm.fake import FakeText
from engines.llm.session import TextSession
from engines.llm.types import ChunkEnd, Event, Message, Pause, Token
from tests.llm.running import GREEDY, user
from tests.running import until

SAYINGS = ["a fox", "a hen", "word " * 12, "You are a fox that answers very very very very very very briefly"]
pauses = st.builds(Pause, max_tokens=st.none() | st.integers(1, 9), at_sentence=st.booleans())


class Talk:
    """A session, the conversation as its client knows it, and a chunk that may be under way."""

    def __init__(self, session: TextSession, messages: list[Message]) -> None:
        self.session = session
        self.messages = messages
        self.text = ""  # of the answer to these
        self.events: Any = None
        self.is_read = False  # somebody has begun to

    async def read(self, num_events: int | None = None) -> None:
        """So many events of the chunk, or all."""
        while self.events is not None and num_events != 0:
            self.is_read = True
            event: Event = await anext(self.events)
            if isinstance(event, Token):
                self.text += event.text
            else:
                assert isinstance(event, ChunkEnd)
                self.events = None
            num_events = None if num_events is None else num_events - 1

    async def finish(self) -> None:
        await self.read()
        while not self.session.is_done:
            self.events = self.session.write(Pause())
            await self.read()

    def check(self, model: FakeText) -> None:
        whole = model.answer(*self.messages)
        assert whole == self.text if self.session.is_done else whole.startswith(self.text)


class RandomSessions(RuleBasedStateMachine):
    """The oracle is what the fake's script says to a conversation."""

    talks: Bundle[Talk] = Bundle("talks")

    @initialize(num_slots=st.integers(1, 4), num_cells=st.integers(85, 130), remembered=st.integers(0, 2))
    def begin(self, num_slots: int, num_cells: int, remembered: int) -> None:
        """The longest conversation fits alone."""
        self.loop = asyncio.new_event_loop()
        self.model = FakeText(num_slots=num_slots, num_cells=num_cells, batch_size=16)
        self.engine = TextEngine(lambda: self.model, limits=TextLimits(remembered=remembered))
        self.open: list[Talk] = []
        self.run(self.start())

    def run(self, what: Coroutine[Any, Any, Any]) -> Any:
        async def bounded() -> Any:
            async with asyncio.timeout(20):
                return await what

        return self.loop.run_until_complete(bounded())

    async def start(self) -> None:
        self.engine.start()
        await self.engine.wait_ready()

    @rule(target=talks, said=st.sampled_from(SAYINGS), is_remembered=st.booleans())
    def opens(self, said: str, is_remembered: bool) -> Talk:
        opening = self.engine.open_session([user(said)], sampling=GREEDY, is_remembered=is_remembered)
        talk = Talk(self.run(opening), [user(said)])
        self.open.append(talk)
        return talk

    @rule(talk=talks, pause=pauses)
    def write(self, talk: Talk, pause: Pause) -> None:
        """Begin a chunk; it is read later, or never."""

        async def begin() -> None:
            try:
                talk.events, talk.is_read = talk.session.write(pause), False
            except WrongState:
                assert talk.session.is_writing

        self.run(begin())

    @rule(pause=pauses)
    def everybody_writes(self, pause: Pause) -> None:
        for talk in self.open:
            self.write(talk, pause)

    @rule(talk=talks, num_events=st.none() | st.integers(1, 5))
    def read(self, talk: Talk, num_events: int | None) -> None:
        self.run(talk.read(num_events))

    @rule(talk=talks)
    def pause(self, talk: Talk) -> None:
        async def pause() -> None:
            talk.session.pause()

        self.run(pause())

    @rule(talk=talks)
    def leave(self, talk: Talk) -> None:
        async def leave() -> None:
            if talk.events is not None and talk.is_read:
                await talk.events.aclose()
                talk.events = None

        self.run(leave())

    @rule(talk=talks)
    def append(self, talk: Talk) -> None:
        async def append() -> None:
            if talk.session.is_writing or len(talk.messages) > 1:
                return
            talk.events = None
            await talk.session.append([user("more")])
            answered = [Message("assistant", talk.text)] if talk.text else []
            talk.messages, talk.text = [*talk.messages, *answered, user("more")], ""

        self.run(append())

    @rule(talk=consumes(talks))
    def close(self, talk: Talk) -> None:
        async def close() -> None:
            talk.session.close()

        self.open.remove(talk)
        self.run(close())

    @rule()
    def let_the_device_work(self) -> None:
        self.run(asyncio.sleep(0.001))

    @invariant()
    def nobody_says_anything_else(self) -> None:
        for talk in getattr(self, "open", []):
            talk.check(self.model)

    def teardown(self) -> None:
        if not hasattr(self, "loop"):
            return
        try:
            self.run(self.finish())
        finally:
            self.run(self.engine.close())
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
            self.loop.close()

    async def finish(self) -> None:
        """Left alone, everybody's answer comes to its end."""
        await asyncio.gather(*(talk.finish() for talk in self.open))
        for talk in self.open:
            assert talk.text == self.model.answer(*talk.messages)
            talk.session.close()
        cache = self.engine._device.require().cache
        await until(lambda: self.engine.num_sessions == self.engine.num_busy_slots == 0, "no session is left")
        await until(lambda: self.model.num_samplers == 0, "no sampler is left")
        assert self.engine.num_running == cache.num_aside_bytes == 0
        assert cache.num_used == self.model.num_used_cells
        assert sum(bool(held) for held in self.model.held) <= self.engine.limits.remembered
        assert len(asyncio.all_tasks()) == 1, "this one"


RandomSessions.TestCase.settings = settings(max_examples=60, stateful_step_count=30)
TestRandomSessions = RandomSessions.TestCase
