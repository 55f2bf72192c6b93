"""Any JSON in any order: no hang, no traceback, no leak."""

import asyncio
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.llm_messages import ACTIONS
from tests.llm.talking import Served, talk
from tests.llm.test_socket_messages import DOCUMENTS

NAMES = st.sampled_from(["a", "b", ""]) | st.none() | st.integers()
TURNS = st.lists(st.fixed_dictionaries({"role": st.sampled_from(["user", "system", "<end>"]), "content": st.text()}))
PAUSES = st.fixed_dictionaries({}, optional={"max_tokens": st.integers(-1, 9), "sentence_boundary": st.booleans()})
LIKELY: dict[str, st.SearchStrategy[Any]] = {
    "stream_id": NAMES,
    "messages": TURNS,
    "pause": PAUSES,
    "append": st.text() | TURNS,
    "stream_tokens": st.booleans(),
    "temperature": st.floats(0, 2),
    "top_p": st.floats(0, 1),
    "top_k": st.integers(0, 50),
    "seed": st.integers(0, 2**63 - 1),
    "stop": st.text(max_size=3) | st.lists(st.text(max_size=3), max_size=3),
    "max_total_tokens": st.integers(1, 20),
}
FIELDS = st.fixed_dictionaries({}, optional={name: values | DOCUMENTS for name, values in LIKELY.items()})
SOUND = st.fixed_dictionaries(
    {"action": st.sampled_from(ACTIONS), "stream_id": st.sampled_from("ab"), "messages": TURNS},
    optional={name: LIKELY[name] for name in ("pause", "append", "stream_tokens", "stop", "max_total_tokens")},
)
WILD = st.builds(lambda action, fields: {"action": action, **fields}, st.sampled_from(ACTIONS) | DOCUMENTS, FIELDS)
MESSAGES = st.lists(SOUND | SOUND | WILD | DOCUMENTS, max_size=12)


@pytest.mark.slow
@settings(max_examples=150, suppress_health_check=list(HealthCheck))
@given(MESSAGES)
def test_any_json_in_any_order_is_answered_and_leaves_nothing(fake_text_server: Served, messages: list[object]) -> None:
    asyncio.run(say(fake_text_server, messages))
    assert fake_text_server.log is not None
    assert "Traceback" not in fake_text_server.log.read_text()


async def say(served: Served, messages: list[object]) -> None:
    async with asyncio.timeout(30):
        async with talk(served) as talker:
            for message in messages:
                await talker.socket.send(json.dumps(message))
            await talker.ping()
            for name in "ab":
                await talker.end(name)
        await served.until_idle()


@settings(max_examples=100, suppress_health_check=list(HealthCheck))
@given(st.lists(st.text(max_size=50) | st.binary(max_size=50), max_size=10))
def test_any_bytes_are_answered_one_by_one(fake_text_server: Served, messages: list[str | bytes]) -> None:
    async def send_all() -> None:
        async with talk(fake_text_server) as talker:
            for message in messages:
                await talker.socket.send(message)
            await talker.ping()
            assert len(talker.heard) == len(messages) + 1

    asyncio.run(send_all())
