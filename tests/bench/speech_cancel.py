"""How soon a socket falls silent after a `cancel`. Runs in the clients' process."""

import asyncio
import time
from collections.abc import Sequence
from typing import Final

import msgspec

from tests.bench.speech_modes import Mode
from tests.bench.speech_texts import Talk
from tests.hearing import Message, audio_of, listen
from tests.listening import tokens_of
from tests.serving import Served

NUM_HEARD: Final = 3
"""Messages of audio before a listener interrupts."""

STILL_S: Final = 0.2
"""So long nothing may come before what came was the last."""


class Silence(msgspec.Struct, frozen=True):
    """From the sending of `cancel`: when the last audio came (0: none came any more), how much, and the answer."""

    last_byte_ms: float
    num_late_bytes: int
    answer_ms: float


def interrupt(served: Served, mode: Mode, talks: Sequence[Talk]) -> list[Silence]:
    """A client a talk; all speak at once, and each interrupts as soon as it hears."""
    return asyncio.run(_interrupt(served, mode, talks))


async def _interrupt(served: Served, mode: Mode, talks: Sequence[Talk]) -> list[Silence]:
    return list(await asyncio.gather(*(_interrupt_one(served, mode, talk) for talk in talks)))


async def _interrupt_one(served: Served, mode: Mode, talk: Talk) -> Silence:
    async with listen(served) as listener:
        await listener.begin(send_rate=None)  # the server's own pace
        if mode == "tokens":
            await listener.say(tokens_of(" ".join(talk)))
        else:
            await listener.say(talk, mode="stream")
        await listener.until_audio(NUM_HEARD)
        num_before, sent_s = len(listener.heard), time.monotonic()
        await listener.send("cancel")
        await listener.until("cancelled")
        answered_s = listener.times_s[-1]
        await listener.rest(STILL_S)
    late = zip(listener.heard[num_before:], listener.times_s[num_before:], strict=True)
    return silence_of(list(late), sent_s, answered_s)


def silence_of(late: Sequence[tuple[bytes | Message, float]], sent_s: float, answered_s: float) -> Silence:
    """What came after a `cancel` that was sent at `sent_s`: messages, and when each came."""
    last_s = max((came_s for message, came_s in late if isinstance(message, bytes)), default=sent_s)
    num_bytes = len(audio_of(message for message, _ in late))
    return Silence((last_s - sent_s) * 1000, num_bytes, (answered_s - sent_s) * 1000)
