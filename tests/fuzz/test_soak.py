"""Several clients at once, for some hundreds of messages at any time: each hears what it must, and nothing is left."""

import asyncio
import random
from typing import Final

import pytest

from app.settings import TtsSettings
from tests.fuzz.conversing import Conversation, begin
from tests.fuzz.stepwise import watched
from tests.serving import Served

pytestmark = pytest.mark.slow

NUM_CLIENTS: Final = 6
NUM_MESSAGES: Final = 80
NAMES: Final = [None, None, "a", "b"]
TEXTS: Final = ["Hi.", "Good morning, all of you.", " and", " so on", "🎉", "  ", "word " * 200, "One. Two!", "é 你 c"]
MODES: Final = ["batch", "stream", "adaptive", None]
AGGREGATES: Final = ["auto", "none", "sentence", "clause", "word"]
GARBAGE: Final = ["", "{", "[]", '{"type":5}', '{"type":"text"}', b"\xff", '{"type":"init","voice":"nobody"}']


async def say_something(talk: Conversation, chance: random.Random) -> None:
    """One message, mostly text, in any context."""
    talk.name = chance.choice(NAMES)
    match chance.choices(["text", "init", "close", "cancel", "flush", "ping", "garbage"], [12, 1, 2, 1, 1, 2, 1])[0]:
        case "text":
            mode = chance.choice(MODES)
            await talk.text(chance.choice(TEXTS), {} if mode is None else {"mode": mode})
        case "init":
            rates_hz = chance.choice([8000, 22050, 48000])
            await talk.init({"send_rate": chance.choice([0, 50]), "sample_rate": rates_hz,
                             "aggregate": chance.choice(AGGREGATES)})  # fmt: skip
        case "close":
            await talk.close()
        case "cancel":
            await talk.cancel(chance.choice([{}, {"played_ms": chance.uniform(0, 5000)}]))
        case "flush":
            await talk.send({"type": "flush"})
        case "ping":
            await talk.ping()
        case _:
            await talk.wrong(chance.choice(GARBAGE))


async def talk_at_random(served: Served, seed: int) -> None:
    """A client that talks, listens, rests, and at times leaves in the middle and comes again."""
    chance = random.Random(seed)
    talk = await begin(served)
    for _ in range(NUM_MESSAGES):
        await say_something(talk, chance)
        if chance.random() < 0.3:
            await talk.listen(chance.uniform(0, 0.02))
        if chance.random() < 0.3:
            await asyncio.sleep(chance.uniform(0, 0.02))
        if chance.random() < 0.02:
            talk.socket.transport.abort()
            talk = await begin(served)
    await talk.finish()
    await talk.socket.close()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_clients_that_talk_at_random_all_at_once_hear_what_they_must(seed: int) -> None:
    async def talk_all(served: Served) -> None:
        async with asyncio.TaskGroup() as clients:
            for number in range(NUM_CLIENTS):
                clients.create_task(talk_at_random(served, seed * NUM_CLIENTS + number))

    with watched(TtsSettings(send_rate=0, max_line=1000)) as server:
        server.steps.run(talk_all(server.served), timeout_s=60)
        server.check_nothing_is_left()
