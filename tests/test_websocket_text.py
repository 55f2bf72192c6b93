"""Text on the WebSocket: how messages become segments, the pauses between them, and the words in them."""

import asyncio
import re
import time

import msgspec
import numpy as np
import pytest

from tests.hearing import Listener, listen, spoken
from tests.serving import Served, serve_here

TALK = (
    "Thank you for waiting so long. I have found your order, and it left our warehouse yesterday. "
    "It should arrive on Friday before noon."
)
NUM_SENTENCES = 3
PRICES = 'It costs $5.50, or 3.20 at 10:30 a.m. on Jan. 5th. Dr. Smith said: "Really?" Then he left.'


def tokens(text: str) -> list[str]:
    """As an LLM emits it: a word a token, with its space in front."""
    return re.findall(r"\s*\S+", text)


def lead_ms(segment: bytes) -> float:
    """The silence in front of a segment, in the default format."""
    return float(np.flatnonzero(np.abs(np.frombuffer(segment, "<i2")) > 40)[0]) / 22.05


async def test_without_aggregation_every_message_is_a_segment(server: Served) -> None:
    texts = ["Good", " morning", " to you. And", " Peter.", "  "]
    listener = await spoken(server, texts, aggregate="none")
    assert len(listener.segments) == 4


@pytest.mark.parametrize("aggregate", ["auto", "sentence"])
@pytest.mark.parametrize("is_whole", [False, True], ids=["tokens", "whole"])
async def test_aggregated_text_comes_out_as_sentences(server: Served, aggregate: str, is_whole: bool) -> None:
    said = [TALK] if is_whole else tokens(TALK)
    listener = await spoken(server, said, aggregate=aggregate, word_timestamps=True)
    assert NUM_SENTENCES <= len(listener.segments) <= NUM_SENTENCES + 1  # the first may be cut early
    ends = {message["words"][-1]["text"] for message in listener.of("words")}
    assert {"long.", "yesterday.", "noon."} <= ends


async def test_how_text_is_split_into_messages_changes_nothing(server: Served) -> None:
    for aggregate in ("sentence", "clause", "word"):
        splits = [[TALK], tokens(TALK), list(TALK), [TALK[at : at + 7] for at in range(0, len(TALK), 7)]]
        heard = [await spoken(server, said, aggregate=aggregate) for said in splits]
        assert len({listener.audio for listener in heard}) == 1, aggregate


async def test_a_text_with_a_mode_is_aggregated_where_that_is_asked_for(server: Served) -> None:
    listener = await spoken(server, tokens(TALK), aggregate="sentence", fields={"mode": "stream"})
    assert NUM_SENTENCES <= len(listener.segments) <= NUM_SENTENCES + 1


async def test_clauses_are_smaller_than_sentences_and_words_than_clauses(server: Served) -> None:
    counts = [len((await spoken(server, [TALK], aggregate=a)).segments) for a in ("word", "clause", "sentence")]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > counts[1] > NUM_SENTENCES - 1
    assert counts[0] <= len(TALK.split())


async def test_a_message_that_is_a_sentence_is_a_segment_of_its_own(server: Served) -> None:
    sentences = ["How are you?", "I am fine.", "It is late!", "Good night."]
    listener = await spoken(server, sentences)  # without spaces between them
    assert len(listener.segments) == len(sentences)


async def test_a_message_with_a_mode_among_aggregated_ones_is_a_segment_of_its_own(server: Served) -> None:
    async with listen(server) as listener:
        await listener.begin(word_timestamps=True)
        await listener.say(["So this is", " half of"])
        await listener.say(["one more thing"], mode="stream")
        await listener.say([" the rest", " of it."])
        await listener.finish()
        by_segment: dict[int, list[str]] = {}
        for message in listener.of("words"):
            by_segment.setdefault(message["segment"], []).extend(word["text"] for word in message["words"])
        assert list(by_segment.values()) == [
            ["So", "this", "is", "half", "of"], ["one", "more", "thing"], ["the", "rest", "of", "it."]]  # fmt: skip


@pytest.mark.parametrize("space", [" ", "\n"])
async def test_a_token_of_white_space_alone_is_text_as_well(server: Served, space: str) -> None:
    said = [piece for word in ["This", "is", "a", "sentence."] for piece in (word, space)]
    listener = await spoken(server, said, word_timestamps=True)
    assert [word["text"] for word in listener.words] == ["This", "is", "a", "sentence."]


async def test_decimals_and_abbreviations_split_over_tokens_stay_whole(server: Served) -> None:
    said = ["It costs 3", ".", "20", " at most", ", Dr", ".", " Smith said", "."]
    listener = await spoken(server, said, word_timestamps=True, aggregate="sentence")
    assert [word["text"] for word in listener.words] == ["It", "costs", "3.20", "at", "most,", "Dr.", "Smith", "said."]


async def test_text_that_waits_is_spoken_after_300_ms_without_news(server: Served) -> None:
    async with listen(server) as listener:
        await listener.begin()
        await listener.say(["So there", " we are"])
        said_s = time.monotonic()
        await listener.until("segment_complete")
        first_s = next(at for at, m in zip(listener.times_s, listener.heard, strict=True) if isinstance(m, bytes))
        assert first_s - said_s >= 0.28
        await listener.say([" now"])
        await listener.until("segment_complete")
        assert len(listener.segments) == 2


async def test_news_put_the_idle_flush_off(server: Served) -> None:
    async with listen(server) as listener:
        await listener.begin()
        for word in tokens("so there we are now"):
            await listener.say([word])
            assert not [m for m in await listener.rest(0.15) if isinstance(m, bytes)]
        await listener.until("segment_complete")
        await listener.finish()
        assert len(listener.segments) == 1


async def test_flush_speaks_what_waits_without_waiting_for_idleness() -> None:
    async with serve_here() as here, listen(here.served) as listener:
        here.engine.limits = msgspec.structs.replace(here.engine.limits, idle_flush_s=600)
        await listener.begin()
        await listener.send("flush")  # nothing waits: nothing happens
        await listener.say(["So there", " we are"])
        assert not await listener.rest(0.3)
        await listener.send("flush")
        await listener.until("segment_complete")
        await listener.finish()
        assert len(listener.segments) == 1


# -- pauses ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "aggregate", "pause_ms"),
    [
        ("This is the first clause here, and this is the second one.", "clause", 120),
        ("This is the first one. And this is the second one.", "sentence", 250),
        ("This is the first one.\n\nAnd this is the second one.", "sentence", 450),
    ],
)
@pytest.mark.parametrize("is_whole", [False, True], ids=["tokens", "whole"])
async def test_punctuation_makes_the_pause_in_aggregated_text(
    fake_server: Served, text: str, aggregate: str, pause_ms: float, is_whole: bool
) -> None:
    said = [text] if is_whole else tokens(text)
    listener = await spoken(fake_server, said, aggregate=aggregate)
    first, second = listener.segments
    assert lead_ms(first) <= 20
    assert pause_ms <= lead_ms(second) <= pause_ms + 20


async def test_a_paragraph_that_comes_as_a_token_of_its_own_makes_its_pause(fake_server: Served) -> None:
    listener = await spoken(fake_server, ["This", " is", " the", " first", " one", ".", "\n\n", "And", " this", "."])
    assert 450 <= lead_ms(listener.segments[1]) <= 470


@pytest.mark.parametrize("texts", [["One, two,", "three."], ["It is so.", "Is it?"], ["First.\n\n", "Second."]])
async def test_there_is_no_pause_between_segments_as_they_stand(fake_server: Served, texts: list[str]) -> None:
    listener = await spoken(fake_server, texts, fields={"mode": "stream"})
    assert [lead_ms(segment) <= 20 for segment in listener.segments] == [True, True]


async def test_the_pause_is_in_the_real_voice_too(server: Served) -> None:
    listener = await spoken(server, ["This is the first one. And this is the second one."], aggregate="sentence")
    assert lead_ms(listener.segments[1]) >= 240


# -- words -------------------------------------------------------------------------------------------------------------


def check_words(listener: Listener, said: str) -> None:
    """Each of the client's words once, in order, where it was written, and in time."""
    words = listener.words
    assert [word["text"] for word in words] == said.split()
    assert [said[word["char_start"] : word["char_end"]] for word in words] == said.split()
    times_ms = [time_ms for word in words for time_ms in (word["start_ms"], word["end_ms"])]
    assert times_ms == sorted(times_ms)
    assert times_ms[0] >= 0
    assert times_ms[-1] <= len(listener.audio) / 44.1 + 1
    assert all(word["start_ms"] < word["end_ms"] for word in words)


@pytest.mark.parametrize("mode", ["stream", "batch", "adaptive"])
async def test_words_are_the_clients_own_with_their_offsets(server: Served, mode: str) -> None:
    listener = await spoken(server, [PRICES], fields={"mode": mode}, word_timestamps=True)
    check_words(listener, PRICES)
    assert "$5.50," in [word["text"] for word in listener.words]


async def test_words_of_aggregated_text_keep_their_offsets(server: Served) -> None:
    for said in ([PRICES], tokens(PRICES), list(PRICES)):
        check_words(await spoken(server, said, word_timestamps=True, aggregate="sentence"), PRICES)


async def test_offsets_count_in_all_that_was_sent(server: Served) -> None:
    texts = ["First one. ", "🎉 \x07", "Déjà vu, ", "and the last."]
    listener = await spoken(server, texts, fields={"mode": "stream"}, word_timestamps=True)
    said = "".join(texts)
    assert [said[w["char_start"] : w["char_end"]] for w in listener.words] == [w["text"] for w in listener.words]
    assert [w["text"] for w in listener.words] == ["First", "one.", "Déjà", "vu,", "and", "the", "last."]


async def test_words_lie_within_the_audio_of_their_segment(server: Served) -> None:
    listener = await spoken(server, [TALK], word_timestamps=True)
    ends_ms = np.cumsum([0.0, *(complete["audio_ms"] for complete in listener.of("segment_complete"))])
    for message in listener.of("words"):
        for word in message["words"]:
            assert ends_ms[message["segment"] - 1] - 1 <= word["start_ms"]
            assert word["end_ms"] <= ends_ms[message["segment"]] + 1


async def test_words_come_before_their_segment_is_complete_and_only_when_asked_for(server: Served) -> None:
    listener = await spoken(server, [PRICES], fields={"mode": "stream"}, word_timestamps=True)
    assert listener.kinds.index("words") < listener.kinds.index("segment_complete")
    plain = await spoken(server, [PRICES], fields={"mode": "stream"})
    assert "words" not in plain.kinds
    assert plain.audio == listener.audio


async def test_word_times_are_where_the_tone_of_each_word_is(fake_server: Served) -> None:
    listener = await spoken(fake_server, ["abc", "defgh", "ij"], fields={"mode": "stream"}, word_timestamps=True)
    loud_ms = np.flatnonzero(np.abs(listener.samples) > 40) / 22.05
    edges = [0, *(np.flatnonzero(np.diff(loud_ms) > 20) + 1), len(loud_ms)]
    for word, start, end in zip(listener.words, edges[:-1], edges[1:], strict=True):
        assert word["start_ms"] == pytest.approx(loud_ms[start], abs=10)
        assert word["end_ms"] == pytest.approx(loud_ms[end - 1], abs=10)


async def test_sockets_side_by_side_keep_their_words_apart(server: Served) -> None:
    texts = [PRICES, TALK, "Good morning to all of you."]
    heard = await asyncio.gather(*(spoken(server, [t], fields={"mode": "stream"}, word_timestamps=True) for t in texts))
    for listener, text in zip(heard, texts, strict=True):
        check_words(listener, text)
