"""Pause, cancel and end while a chunk is being written. The model stands before a closed gate: nothing is written but
what a test allows, and the socket answers all the same.
"""

import asyncio
import math
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from app.settings import LlmSettings
from engines.fake import Gate
from engines.llm.fake import FakeText
from engines.llm.llama import load as load_llama
from engines.llm.model import Run, TextModel
from engines.llm.options import LlamaOptions
from engines.llm.types import Messages
from tests.llm.running import allow_steps, until_idle
from tests.llm.served import STORY, tell
from tests.llm.talking import Embedded, Message, Talker, serve_here, talk
from tests.running import until

ASKED = [{"role": "user", "content": "Tell me a story."}]
TEXT = b"".join(piece if isinstance(piece, bytes) else piece.encode() for piece in STORY).decode()


class Held(Embedded, frozen=True):
    """A server whose model stands before a gate."""

    model: FakeText
    gate: Gate

    async def until_written(self, talker: Talker, num_tokens: int, stream_id: str = "a") -> None:
        """So many tokens have been sent, and the next step is under way."""
        await asyncio.to_thread(self.gate.wait_held)
        for _ in range(num_tokens):
            await allow_steps(self.gate, self.model)
            await talker.until(lambda message: message.get("type") == "token" and message["stream_id"] == stream_id)
        await asyncio.to_thread(self.gate.wait_held)

    async def assert_free_within_one_step(self) -> None:
        before = len(self.model.batches)
        self.gate.allow(1)
        await until_idle(self.engine, self.model)
        assert len(self.model.batches) <= before + 1


class SlowReader(FakeText):
    """Holds up whoever opens a session, until it may read."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.may_read = threading.Event()

    def render(self, messages: Messages, *, asks: bool = True) -> str:
        self.may_read.wait(10)
        return super().render(messages, asks=asks)


@asynccontextmanager
async def held(kind: type[FakeText] = FakeText, **options: Any) -> AsyncIterator[Held]:
    gate = Gate()
    model = kind(tell, gate=gate, **options)
    async with serve_here(lambda: model, settings=LlmSettings(max_line=1)) as here:
        try:
            yield Held(here.served, here.engine, model, gate)
        finally:
            gate.allow(math.inf)


def start(talker: Talker, stream_id: str = "a", **fields: Any) -> Any:
    return talker.send(
        "start_stream", stream_id, **({"messages": ASKED, "temperature": 0, "stream_tokens": True} | fields)
    )


def outline(messages: list[Message]) -> list[str]:
    """What kind of messages came, and why chunks ended."""
    return [
        message.get("reason") or message.get("type") or message.get("status") or message["code"] for message in messages
    ]


# -- pause -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream_tokens", [True, False])
async def test_a_pause_is_taken_with_the_token_that_is_being_made(stream_tokens: bool) -> None:
    async with held() as here, talk(here.served) as talker:
        await start(talker, stream_tokens=stream_tokens)
        await allow_steps(here.gate, here.model, 5)
        await asyncio.to_thread(here.gate.wait_held)
        await talker.send("pause_stream")
        await talker.ping()
        before = len(here.model.batches)
        here.gate.allow(math.inf)
        over = await talker.until_over()
        assert over["reason"] == "client"
        assert TEXT.startswith(over["text"])
        assert over["tokens"] in (5, 6)
        assert len(here.model.batches) <= before + 1
        assert here.engine.num_running == 0
        assert here.engine.num_used_cells > 0, "it is suspended, not ended"


async def test_what_was_paused_again_and_again_is_the_answer_that_was_not() -> None:
    async with held() as here, talk(here.served) as talker:
        here.gate.allow(math.inf)
        await start(talker)
        ends: list[Message] = []
        while not (ends and ends[-1]["type"] == "done"):
            message = await talker.next()
            if message.get("type") == "token":
                await talker.send("pause_stream")
            elif message.get("type") in ("paused", "done"):
                ends.append(message)
                await talker.send("continue_stream")
        assert "".join(end["text"] for end in ends) == "".join(talker.tokens()) == TEXT


async def test_a_pause_is_taken_while_the_prompt_is_being_read() -> None:
    async with held(batch_size=8) as here, talk(here.served) as talker:
        await start(talker, messages=[{"role": "user", "content": "word " * 100 + "story"}])
        await allow_steps(here.gate, here.model, 2)
        await asyncio.to_thread(here.gate.wait_held)
        await talker.send("pause_stream")
        await talker.ping()
        here.gate.allow(1)
        over = await talker.until_over()
        assert (over["reason"], over["tokens"], over["type"]) == ("client", 0, "paused")
        here.gate.allow(math.inf)
        assert (await talker.go_on())["text"] == TEXT


async def test_a_pause_that_comes_before_the_chunk_has_begun_leaves_it_empty() -> None:
    async with held(SlowReader) as here, talk(here.served) as talker:
        assert isinstance(here.model, SlowReader)
        await start(talker)
        await talker.send("pause_stream")
        await talker.ping()
        here.model.may_read.set()
        over = await talker.until_over()
        assert (over["reason"], over["tokens"], over["text"]) == ("client", 0, "")
        assert not here.model.batches
        here.gate.allow(math.inf)
        assert (await talker.go_on())["text"] == TEXT


async def test_two_pauses_end_one_chunk_once() -> None:
    async with held() as here, talk(here.served) as talker:
        await start(talker)
        await here.until_written(talker, 2)
        await talker.send("pause_stream")
        await talker.send("pause_stream")
        await talker.ping()
        here.gate.allow(math.inf)
        await talker.until_over()
        await talker.ping()
        assert outline(talker.heard).count("client") == 1
        assert "wrong_state" not in outline(talker.heard)


async def test_a_pause_without_a_chunk_is_refused_and_holds_up_no_later_chunk() -> None:
    async with held() as here, talk(here.served) as talker:
        here.gate.allow(math.inf)
        await start(talker, pause={"max_tokens": 3})
        await talker.until_over()
        await talker.send("pause_stream")
        assert (await talker.next())["code"] == "wrong_state"
        assert (await talker.go_on(pause={"max_tokens": 3}))["reason"] == "max_tokens"


async def test_a_continue_while_a_chunk_is_being_written_is_refused_and_changes_nothing() -> None:
    async with held() as here, talk(here.served) as talker:
        await start(talker, pause={"max_tokens": 6})
        await here.until_written(talker, 2)
        await talker.send("continue_stream", pause={"max_tokens": 1}, append="Stop.")
        refused = await talker.next()
        assert (refused["stream_id"], refused["code"]) == ("a", "wrong_state")
        here.gate.allow(math.inf)
        over = await talker.until_over()
        assert (over["reason"], over["tokens"]) == ("max_tokens", 6)


# -- cancel ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream_tokens", [True, False])
async def test_a_cancel_is_answered_at_once_and_what_was_held_is_free_within_one_step(stream_tokens: bool) -> None:
    async with held() as here, talk(here.served) as talker:
        await start(talker, stream_tokens=stream_tokens)
        await allow_steps(here.gate, here.model, 4)
        await asyncio.to_thread(here.gate.wait_held)
        await until(lambda: not stream_tokens or here.engine.num_running == 1, "it is being written")
        await talker.send("cancel_stream")
        cancelled = await talker.until(lambda message: message.get("type") == "cancelled")
        assert TEXT.startswith(cancelled["full_text"])
        assert "".join(talker.tokens()) == (cancelled["full_text"] if stream_tokens else "")
        assert here.engine.num_sessions == 0
        await here.assert_free_within_one_step()
        await talker.ping()
        assert talker.of()[-1] is cancelled, "nothing of it comes behind that"


async def test_a_cancel_is_taken_while_the_prompt_is_being_read() -> None:
    async with held(batch_size=8) as here, talk(here.served) as talker:
        await start(talker, messages=[{"role": "user", "content": "word " * 100}])
        await allow_steps(here.gate, here.model, 2)
        await asyncio.to_thread(here.gate.wait_held)
        await talker.send("cancel_stream")
        assert (await talker.next())["status"] == "cancelled"
        await here.assert_free_within_one_step()


@pytest.mark.parametrize("action", ["cancel_stream", "end_stream", "pause_stream"])
async def test_a_stream_that_waits_for_a_slot_can_be_stopped(action: str) -> None:
    async with held(num_slots=1) as here, talk(here.served) as talker:
        await start(talker, "first")
        await here.until_written(talker, 2, "first")
        await start(talker, "second")
        await until(lambda: here.engine.num_sessions == 2, "the second is there")
        await talker.send(action, "second")
        if action == "pause_stream":
            await talker.ping()
            here.gate.allow(1)
        over = await talker.until(lambda message: message.get("stream_id") == "second")
        assert outline([over]) == ["cancelled" if action == "cancel_stream" else "client"]
        here.gate.allow(math.inf)
        assert (await talker.until_over("first"))["reason"] == "eos"
        assert "".join(talker.tokens("first")) == TEXT


async def test_a_cancel_of_one_stream_leaves_the_others_alone() -> None:
    async with held() as here, talk(here.served) as talker:
        for name in "abc":
            await start(talker, name)
        await allow_steps(here.gate, here.model, 4)
        await talker.send("cancel_stream", "b")
        await talker.until(lambda message: message.get("type") == "cancelled")
        here.gate.allow(math.inf)
        for name in "ac":
            if outline(talker.of(name))[-1] != "eos":
                await talker.until_over(name)
            assert "".join(talker.tokens(name)) == TEXT


async def test_a_name_can_be_used_again_in_the_same_breath() -> None:
    async with held() as here, talk(here.served) as talker:
        await start(talker)
        await here.until_written(talker, 3)
        await talker.send("cancel_stream")
        await start(talker, messages=[{"role": "user", "content": "hello"}])
        await talker.send("end_stream")
        await start(talker, messages=[{"role": "user", "content": "hello"}])
        here.gate.allow(math.inf)
        await talker.until(lambda message: message.get("reason") == "eos")
        kinds = outline(talker.heard)
        assert [kind for kind in kinds if kind != "token"] == ["cancelled", "client", "ended", "eos"]
        assert talker.heard[-1]["text"] == "Hello."


@pytest.mark.parametrize(("action", "kinds"), [("cancel_stream", ["cancelled"]), ("end_stream", ["client", "ended"])])
async def test_a_stream_can_be_stopped_while_its_prompt_is_tokenised(action: str, kinds: list[str]) -> None:
    async with held(SlowReader) as here, talk(here.served) as talker:
        assert isinstance(here.model, SlowReader)
        await start(talker)
        await talker.send(action)
        await talker.ping()
        here.model.may_read.set()
        await talker.until(lambda message: message.get("status") in ("cancelled", "ended"))
        assert [kind for kind in outline(talker.heard) if kind != "pong"] == kinds
        assert here.engine.num_sessions == 0
        assert not here.model.batches


async def test_a_socket_that_drops_while_a_prompt_is_tokenised_leaves_nothing() -> None:
    async with held(SlowReader) as here:
        assert isinstance(here.model, SlowReader)
        async with talk(here.served) as talker:
            await start(talker)
            await talker.ping()
        here.model.may_read.set()
        here.gate.allow(math.inf)
        async with talk(here.served) as talker:
            await talker.start(messages=ASKED)
            assert here.engine.num_sessions == 1, "that of this socket"
        await until_idle(here.engine, here.model)


# -- end ---------------------------------------------------------------------------------------------------------------


async def test_an_end_in_mid_chunk_ends_the_chunk_first() -> None:
    async with held() as here, talk(here.served) as talker:
        await start(talker)
        await here.until_written(talker, 4)
        await talker.send("end_stream")
        over, ended = await talker.next(), await talker.next()
        assert (over["type"], over["reason"], over["tokens"]) == ("paused", "client", 4)
        assert over["text"] == "".join(talker.tokens())
        assert ended == {"stream_id": "a", "status": "ended"}
        await here.assert_free_within_one_step()
        await talker.ping()
        assert talker.of()[-1] is ended


async def test_an_end_behind_a_cancel_is_answered_behind_it() -> None:
    async with held() as here, talk(here.served) as talker:
        await start(talker)
        await here.until_written(talker, 1)
        await talker.send("cancel_stream")
        await talker.send("end_stream")
        assert outline([await talker.next(), await talker.next()]) == ["cancelled", "ended"]


# -- the client leaves -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["close", "abort"])
@pytest.mark.parametrize("num_written", [0, 3])
async def test_a_socket_that_drops_in_mid_chunk_frees_all_within_one_step(how: str, num_written: int) -> None:
    async with held() as here:
        before = len(asyncio.all_tasks())
        async with talk(here.served) as talker:
            await start(talker, "a")
            await start(talker, "b", stream_tokens=False)
            await here.until_written(talker, num_written)
            if how == "abort":
                talker.socket.transport.abort()
            else:
                await talker.socket.close()
                assert talker.socket.close_code == 1000, "the closing handshake was answered"
        await until(lambda: here.engine.num_sessions == 0, "the server knows that the client has gone")
        await here.assert_free_within_one_step()
        await until(lambda: len(asyncio.all_tasks()) <= before, "no task is left")


# -- the real model ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.usefixtures("llama")
async def test_a_cancel_in_a_long_chunk_is_answered_within_two_steps() -> None:
    num_steps = 0

    def load() -> TextModel:
        model = load_llama(LlamaOptions())()
        decode = model.decode

        def counted(runs: list[Run]) -> bool:
            nonlocal num_steps
            num_steps += 1
            return decode(runs)

        model.decode = counted  # type: ignore[method-assign]
        return model

    async with serve_here(load) as here, talk(here.served) as talker:
        worst = 0
        for num_tokens in (1, 20, 60, 100):
            await start(
                talker,
                pause={"max_tokens": 200},
                messages=[{"role": "user", "content": "Write a long story about a fox and a river."}],
            )
            while len(talker.tokens()) < num_tokens:
                await talker.next()
            before = num_steps
            await talker.send("cancel_stream")
            await talker.until(lambda message: message.get("type") == "cancelled")
            worst = max(worst, num_steps - before)
            talker.heard.clear()
            await until(lambda: here.engine.num_used_cells == here.engine.num_busy_slots == 0, "all is free")
            assert num_steps - before <= 3, "no step is made for it afterwards"
        print(f"cancel in a chunk of 200 tokens: answered after at most {worst} steps")
        assert worst <= 2
