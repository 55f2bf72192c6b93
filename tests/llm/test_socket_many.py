"""Anything that clients may do, in any order, from several sockets at once: what was asked is answered, what is said is
right, and nothing is left of it.
"""

import asyncio
import random
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from app.settings import LlmSettings
from engines.llm.fake import FakeText
from tests.llm.running import until_idle
from tests.llm.served import STORY, tell
from tests.llm.talking import Message, Served, Talker, is_end, serve_here, talk
from tests.running import until

ASKED = [{"role": "user", "content": "Tell me a story."}]
TEXT = b"".join(piece if isinstance(piece, bytes) else piece.encode() for piece in STORY).decode()
PAUSES: list[dict[str, Any]] = [
    {}, {"max_tokens": 1}, {"max_tokens": 5}, {"sentence_boundary": True}, {"sentence_boundary": True, "max_tokens": 9},
]  # fmt: skip
NAMES = "abc"
NUM_SOCKETS = 8


class Client:
    """Sends what comes to its mind, mostly without waiting, and leaves politely or not."""

    def __init__(self, talker: Talker, mind: random.Random) -> None:
        self.talker = talker
        self.mind = mind
        self.sent: list[tuple[str, str]] = []
        self.has_appended = False

    async def live(self) -> None:
        for _ in range(self.mind.randint(1, 12)):
            await self.act()
            if self.mind.random() < 0.4:
                await self.talker.ping()
            if self.mind.random() < 0.1:
                await asyncio.sleep(0)
        if self.mind.random() < 0.5:
            await self.part()
        elif self.mind.random() < 0.5:
            self.talker.socket.transport.abort()

    async def act(self) -> None:
        name = self.mind.choice(NAMES)
        actions = ["start_stream"] * 4 + ["continue_stream"] * 4 + ["pause_stream", "cancel_stream", "end_stream"]
        action = self.mind.choice(actions)
        fields: dict[str, Any] = {}
        if action == "start_stream":
            fields = {"messages": ASKED, "temperature": 0, "stream_tokens": self.mind.random() < 0.5}
        if action in ("start_stream", "continue_stream"):
            fields["pause"] = self.mind.choice(PAUSES)
        if action == "continue_stream" and self.mind.random() < 0.2:
            fields["append"] = "And then?"
            self.has_appended = True
        await self.talker.send(action, name, **fields)
        self.sent.append((action, name))

    async def part(self) -> None:
        """End all streams, and hear all there is to be heard."""
        for name in NAMES:
            await self.talker.send("end_stream", name)
            self.sent.append(("end_stream", name))
        num_ends = sum(action == "end_stream" for action, _ in self.sent)
        while sum(message.get("status") == "ended" for message in self.talker.heard) < num_ends:
            await self.talker.next()
        await self.talker.ping()
        for name in NAMES:
            self.check(name)

    def check(self, name: str) -> None:
        """What was heard of a stream is what may be said of one."""
        asked = [action for action, of in self.sent if of == name]
        told = self.talker.of(name)
        errors = [message for message in told if "error" in message]
        assert {error["code"] for error in errors} <= {
            "stream_exists",
            "stream_not_found",
            "wrong_state",
            "at_capacity",
        }
        num = {kind: sum(message.get("status") == kind for message in told) for kind in ("ended", "cancelled")}
        chunks = [message for message in told if is_end(message) and message not in errors and "text" in message]
        assert num["ended"] == asked.count("end_stream")
        num_asked = asked.count("start_stream") + asked.count("continue_stream")
        assert num_asked - len(errors) - num["cancelled"] <= len(chunks) <= num_asked
        self.check_texts([message for message in told if message not in errors])

    def check_texts(self, told: list[Message]) -> None:
        tokens, full_text = "", ""
        for message in told:
            if message.get("status") in ("ended", "cancelled"):
                assert message.get("full_text", full_text).startswith(full_text + tokens)
                tokens, full_text = "", ""
            elif message.get("type") == "token":
                tokens += message["content"]
            else:
                assert message["text"] == tokens or not tokens
                tokens, full_text = "", full_text + message["text"]
                assert message.get("full_text", full_text) == full_text
                assert self.has_appended or TEXT.startswith(full_text)
        assert not tokens


async def crowd(served: Served, num_sequences: int, seed: int) -> None:
    """So many clients, some at a time, each on a socket of its own; nearly all of them are let in."""
    num_refused = 0
    minds = iter([random.Random(f"{seed} {number}") for number in range(num_sequences)])

    async def one_after_the_other() -> None:
        nonlocal num_refused
        for mind in minds:
            try:
                async with talk(served) as talker:
                    await Client(talker, mind).live()
            except ConnectionClosed:
                pass  # its own doing
            except InvalidStatus as refused:
                if refused.response.status_code != 503:
                    raise
                num_refused += 1
                await asyncio.sleep(0.01)  # all sessions are in use just now: the next comes

    await asyncio.gather(*(one_after_the_other() for _ in range(NUM_SOCKETS)))
    assert num_refused <= num_sequences // 10


@pytest.mark.parametrize(
    "num_sequences", [pytest.param(100, id="100"), pytest.param(1000, marks=pytest.mark.slow, id="1000")]
)
async def test_random_sequences_from_several_sockets_leave_no_session_slot_cell_or_task(num_sequences: int) -> None:
    model = FakeText(tell, num_slots=3, num_cells=300, batch_size=32)
    settings = LlmSettings(max_sessions=12, max_line=12)
    async with serve_here(lambda: model, settings=settings) as here:
        async with talk(here.served):
            pass
        before = len(asyncio.all_tasks())
        await crowd(here.served, num_sequences, seed=num_sequences)
        await until_idle(here.engine, model)
        await until(lambda: len(asyncio.all_tasks()) <= before, "no task is left")
        async with talk(here.served) as talker:
            assert (await talker.start(messages=ASKED, temperature=0))["text"] == TEXT


@pytest.mark.slow
async def test_random_sequences_leave_nothing_behind_in_a_server_with_a_real_model(llama_server: Served) -> None:
    await crowd(llama_server, 60, seed=3)
    await llama_server.until_idle()
    assert llama_server.log is not None
    assert "Traceback" not in llama_server.log.read_text()
