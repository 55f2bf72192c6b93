"""What a recogniser understands: each mode is to be as clear as the bare model on the same sentences."""

import asyncio
from collections.abc import Awaitable, Callable

import httpx
import numpy as np
import pytest
from hibari import Hibari

from engines.audio import to_int16
from engines.text_queue import PAUSE_MS
from engines.types import Boundary
from tests.listening import (
    Caller,
    Delivery,
    Heard,
    Int16s,
    browsing,
    calling,
    speak_adaptive,
    speak_batch,
    speak_stream,
    tokens_of,
)
from tests.recognising import normalised, transcribe, word_error_rate
from tests.serving import Served

pytestmark = [pytest.mark.slow, pytest.mark.recogniser]

MARGIN = 0.01
"""Of the words: one point."""

TALKS = (
    (
        "The train to Edinburgh leaves at seven fifteen from platform nine.",
        "Please bring three apples, two lemons and a loaf of bread.",
        "He retired in 1998 and moved to a small village in Norway.",
        "Could you tell me where the library is?",
        "After dinner we walked along the river until it was dark.",
    ),
    (
        "Mrs. Henderson said that the garden, which had been neglected for years, was finally in bloom.",
        "I am afraid that the doctor is not in today.",
        "Your order number is 472, and it will arrive on Friday.",
        "What a beautiful morning!",
        "The museum opens at ten o'clock and closes at half past five.",
    ),
    (
        "If the weather stays dry, we will paint the kitchen door on Sunday afternoon.",
        "Robert and Susan have been married for twenty one years.",
        "Turn left at the church, then take the second street on the right.",
        "My brother works for a bank in London.",
        "The company sold about 1,500 bicycles last summer.",
    ),
    (
        "She opened the letter slowly, read it twice, and put it back into the drawer without saying a word.",
        "There is no sugar in my coffee.",
        "We have booked a table for six people under the name of Parker.",
        "The children were playing football in the park when it began to rain.",
        "Thank you for calling, and have a pleasant evening.",
    ),
)
"""Each is one utterance, short enough for one window of the recogniser (30 s)."""


class Clients:
    """The clients of one run against one server."""

    def __init__(self, client: httpx.AsyncClient, caller: Caller) -> None:
        self.client = client
        self.caller = caller

    async def batch(self, sentences: tuple[str, ...]) -> Heard:
        return await speak_batch(self.client, " ".join(sentences))

    async def stream(self, sentences: tuple[str, ...]) -> Heard:
        return await speak_stream(self.client, " ".join(sentences))

    async def adaptive(self, sentences: tuple[str, ...]) -> Heard:
        return await speak_adaptive(self.client, tokens_of(" ".join(sentences)))

    async def socket_tokens(self, sentences: tuple[str, ...]) -> Heard:
        return await self.caller.say_tokens(tokens_of(" ".join(sentences)), gap_s=0.005, send_rate=0)

    async def socket_batch(self, sentences: tuple[str, ...]) -> Heard:
        return await self._socket_sentences(sentences, "batch")

    async def socket_stream(self, sentences: tuple[str, ...]) -> Heard:
        return await self._socket_sentences(sentences, "stream")

    async def socket_adaptive(self, sentences: tuple[str, ...]) -> Heard:
        return await self._socket_sentences(sentences, "adaptive")

    async def _socket_sentences(self, sentences: tuple[str, ...], mode: Delivery) -> Heard:
        return await self.caller.say_sentences(sentences, mode, send_rate=0)


WAYS: dict[str, Callable[[Clients, tuple[str, ...]], Awaitable[Heard]]] = {
    "batch": Clients.batch,
    "stream": Clients.stream,
    "adaptive": Clients.adaptive,
    "socket, tokens": Clients.socket_tokens,
    "socket, batch": Clients.socket_batch,
    "socket, stream": Clients.socket_stream,
    "socket, adaptive": Clients.socket_adaptive,
}

AS_THEY_STAND = ("socket, batch", "socket, stream", "socket, adaptive")
"""Each sentence is a message with a mode."""


@pytest.fixture(scope="module")
def heard(hibari_server: Served) -> dict[str, list[Heard]]:
    """Every talk in every mode."""

    async def listen() -> dict[str, list[Heard]]:
        async with browsing(hibari_server) as client, calling(hibari_server) as caller:
            clients = Clients(client, caller)
            return {way: [await speak(clients, talk) for talk in TALKS] for way, speak in WAYS.items()}

    return asyncio.run(listen())


@pytest.fixture(scope="module")
def bare_error_rate() -> float:
    """The word error rate of the bare model, sentence by sentence as it stands."""
    speak = Hibari()
    return _error_rate([(to_int16(np.concatenate([speak(one, seed=0) for one in talk])), 24_000) for talk in TALKS])


@pytest.mark.parametrize("way", WAYS)
def test_every_mode_is_understood_as_well_as_the_bare_model(
    way: str, heard: dict[str, list[Heard]], bare_error_rate: float
) -> None:
    is_as_it_stands = way in AS_THEY_STAND
    talks = [(_with_pauses(one) if is_as_it_stands else one.pcm, one.rate_hz) for one in heard[way]]
    error_rate = _error_rate(talks)
    assert error_rate <= bare_error_rate + MARGIN


def test_tokens_become_sentences(heard: dict[str, list[Heard]]) -> None:
    """The first may be cut after a clause, so that it is heard early; all others are whole."""
    num_segments = [len(one.segments) for one in heard["socket, tokens"]]
    assert all(len(talk) <= num <= len(talk) + 1 for talk, num in zip(TALKS, num_segments, strict=True)), num_segments


def test_a_message_with_a_mode_is_one_segment(heard: dict[str, list[Heard]]) -> None:
    for way in AS_THEY_STAND:
        assert [len(one.segments) for one in heard[way]] == [len(talk) for talk in TALKS]


def test_what_is_longer_than_its_window_is_heard_as_well() -> None:
    said = [sentence for talk in TALKS[:3] for sentence in talk]
    speak = Hibari()
    pcm = to_int16(np.concatenate([speak(sentence, seed=0) for sentence in said]))
    assert len(pcm) > 40 * 24_000
    assert word_error_rate([" ".join(said)], [transcribe(pcm, 24_000)]) <= 0.1


def test_numbers_and_punctuation_do_not_count_as_errors() -> None:
    assert normalised("At seven fifteen about 1,250 people!") == "at 715 about 1250 people"
    assert normalised("one thousand two hundred and fifty, at 7:15") == "1250 at 715"
    assert normalised("the twenty first of May") == normalised("The 21st of May.")
    assert word_error_rate(["one two cats"], ["12 cat"]) == 0.5


def _error_rate(talks: list[tuple[Int16s, int]]) -> float:
    understood = [transcribe(pcm, rate_hz) for pcm, rate_hz in talks]
    return word_error_rate([" ".join(talk) for talk in TALKS], understood)


def _with_pauses(heard: Heard) -> Int16s:
    """A client that sends sentences as they stand puts the pauses between them itself."""
    pause = np.zeros(round(PAUSE_MS[Boundary.SENTENCE] * heard.rate_hz / 1000), np.int16)
    return np.concatenate([part for segment in heard.segments for part in (segment, pause)])
