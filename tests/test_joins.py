"""Streamed speech is the model's own: the same samples in every mode, and nothing to hear where pieces meet.

At the model's rate all but the trimmed silence and its fades is compared sample for sample with what the bare model
makes of the text at once.
"""

import asyncio

import numpy as np
import pytest
import soxr
from hibari import Hibari

from engines.audio import SilenceTrimmer, to_int16
from engines.text_queue import PAUSE_MS
from engines.types import Boundary
from tests.listening import (
    Heard,
    Int16s,
    browsing,
    calling,
    speak_adaptive,
    speak_batch,
    speak_stream,
    tokens_of,
)
from tests.serving import Served

pytestmark = pytest.mark.slow

MODEL_HZ, DEFAULT_HZ = 24_000, 22_050
FADE = MODEL_HZ * 5 // 1000  # samples
BLOCK = FADE
SILENT_DB = -60.0

SENTENCES = (
    "The museum opens at ten and closes at half past five.",
    "Could you tell me where the library is?",
    "My brother works for a bank in London.",
)
"""Without a place to cut at, so that every mode speaks each as one segment."""

TALK = (
    "If the weather stays dry, we will paint the kitchen door. She read the letter twice, and put it into the drawer. "
    "There is no sugar in my coffee!"
)


@pytest.fixture(scope="module")
def bare() -> Hibari:
    return Hibari()


@pytest.mark.parametrize("rate_hz", [DEFAULT_HZ, MODEL_HZ, 8_000])
async def test_every_mode_gives_the_same_samples(hibari_server: Served, rate_hz: int) -> None:
    text, fields = SENTENCES[0], {"sample_rate": rate_hz, "seed": 7}
    async with browsing(hibari_server) as client, calling(hibari_server) as caller:
        whole = await speak_batch(client, text, **fields)
        others = {
            "stream": await speak_stream(client, text, **fields),
            "small chunks": await speak_stream(client, text, first_chunk_frames=1, chunk_size_frames=1, **fields),
            "adaptive": await speak_adaptive(client, tokens_of(text), **fields),
            "socket, batch": await caller.say_sentences([text], "batch", send_rate=0, **fields),
            "socket, stream": await caller.say_sentences([text], "stream", send_rate=0, **fields),
            "socket, adaptive": await caller.say_sentences([text], "adaptive", send_rate=0, **fields),
            "socket, tokens": await caller.say_tokens(tokens_of(text), send_rate=0, **fields),
            "socket, paced": await caller.say_sentences([text], "stream", **fields),
        }
    for way, heard in others.items():
        assert np.array_equal(heard.pcm, whole.pcm), way


@pytest.mark.parametrize("text", SENTENCES)
async def test_inside_the_fades_the_samples_are_the_bare_models(hibari_server: Served, bare: Hibari, text: str) -> None:
    served = (await _stream(hibari_server, text, MODEL_HZ)).pcm
    expected = to_int16(bare(text, seed=0))
    start = _place_of(served, expected)
    end = start + len(served)
    difference = served.astype(int)[FADE:-FADE] - expected[start:end][FADE:-FADE]
    assert np.abs(difference).max() <= 1
    assert _loudest_block_db(expected[:start]) < SILENT_DB, "sound was cut in front"
    assert _loudest_block_db(expected[end:]) < SILENT_DB, "sound was cut behind"


@pytest.mark.parametrize("text", SENTENCES)
async def test_little_silence_is_left_around_a_segment(hibari_server: Served, text: str) -> None:
    served = (await _stream(hibari_server, text, MODEL_HZ)).pcm
    levels_db = [_level_db(served[at : at + BLOCK]) for at in range(0, len(served), BLOCK)]
    loud = [at for at, level_db in enumerate(levels_db) if level_db >= SILENT_DB]
    assert loud[0] * BLOCK <= 0.015 * MODEL_HZ
    assert len(served) - (loud[-1] + 1) * BLOCK <= 0.060 * MODEL_HZ


@pytest.mark.parametrize("text", SENTENCES)
async def test_another_rate_is_the_whole_resampled_at_once(hibari_server: Served, bare: Hibari, text: str) -> None:
    served = (await _stream(hibari_server, text, DEFAULT_HZ)).pcm
    trimmer = SilenceTrimmer(MODEL_HZ)
    trimmed = np.concatenate((trimmer.process(bare(text, seed=0)), trimmer.flush()))
    expected = to_int16(soxr.resample(trimmed, MODEL_HZ, DEFAULT_HZ, quality="HQ"))
    assert abs(len(served) - len(expected)) <= 1
    length = min(len(served), len(expected))
    assert np.abs(served[:length].astype(int) - expected[:length]).max() <= 1


@pytest.mark.parametrize("rate_hz", [DEFAULT_HZ, MODEL_HZ])
async def test_no_step_at_a_join_is_larger_than_the_models_own(
    hibari_server: Served, bare: Hibari, rate_hz: int
) -> None:
    heard = await _tokens(hibari_server, TALK, sample_rate=rate_hz)
    allowed = np.abs(np.diff(to_int16(bare(TALK, seed=0)).astype(int))).max()
    pcm = heard.pcm.astype(int)
    chunk_ends = np.cumsum([chunk.pcm.size for chunk in heard.chunks])[:-1]
    steps = np.abs(pcm[chunk_ends] - pcm[chunk_ends - 1])
    assert len(steps) > 10
    assert steps.max() <= allowed
    segment_ends = np.cumsum([part.size for part in heard.segments])[:-1]
    assert len(segment_ends) == 3
    assert np.abs(pcm[segment_ends] - pcm[segment_ends - 1]).max() <= 33, "a segment ends and begins in silence: -60 dB"


async def test_every_word_is_spoken_once_and_in_order(hibari_server: Served) -> None:
    heard = await _tokens(hibari_server, TALK, word_timestamps=True)
    words = [word for message in heard.of_type("words") for word in message.body["words"]]
    assert [word["text"] for word in words] == TALK.split()
    assert [TALK[word["char_start"] : word["char_end"]] for word in words] == TALK.split()
    times_ms = [time_ms for word in words for time_ms in (word["start_ms"], word["end_ms"])]
    assert times_ms == sorted(times_ms)
    assert times_ms[-1] <= heard.duration_s * 1000


async def test_durations_add_up(hibari_server: Served) -> None:
    """A talk is its segments, as long as each is alone, and the pauses between them."""
    heard = await _tokens(hibari_server, TALK)
    stated_ms = [message.body["audio_ms"] for message in heard.of_type("segment_complete")]
    done = heard.of_type("done")[0].body
    assert done["total_audio_ms"] == pytest.approx(sum(stated_ms), abs=0.1)
    assert done["total_audio_ms"] == pytest.approx(heard.duration_s * 1000, abs=0.1)
    clause, rest = "If the weather stays dry,", "we will paint the kitchen door."
    alone = [clause, rest, *TALK.removeprefix(f"{clause} {rest} ").replace(". ", ".\0").split("\0")]
    alone_ms = [(await _stream(hibari_server, text, DEFAULT_HZ)).duration_s * 1000 for text in alone]
    pauses_ms = [0.0, PAUSE_MS[Boundary.CLAUSE], PAUSE_MS[Boundary.SENTENCE], PAUSE_MS[Boundary.SENTENCE]]
    assert done["segments_generated"] == len(stated_ms) == len(alone)
    assert stated_ms == pytest.approx([sum(both) for both in zip(alone_ms, pauses_ms, strict=True)], abs=20)


async def test_clients_at_once_hear_what_one_alone_hears(hibari_server: Served) -> None:
    async with calling(hibari_server) as caller:
        alone = await caller.say_sentences(SENTENCES, "stream", send_rate=0)

    async def say() -> Int16s:
        async with calling(hibari_server) as caller:
            return (await caller.say_sentences(SENTENCES, "stream", send_rate=0)).pcm

    for pcm in await asyncio.gather(*(say() for _ in range(8))):
        assert np.array_equal(pcm, alone.pcm)


async def _stream(served: Served, text: str, rate_hz: int) -> Heard:
    async with calling(served) as caller:
        return await caller.say_sentences([text], "stream", send_rate=0, sample_rate=rate_hz)


async def _tokens(served: Served, text: str, **init: object) -> Heard:
    async with calling(served) as caller:
        return await caller.say_tokens(tokens_of(text), send_rate=0, **init)


def _place_of(served: Int16s, whole: Int16s) -> int:
    """Where in `whole` the samples of `served` begin: where their middles agree."""
    middle = len(served) // 2
    probe = served[middle : middle + 256]
    windows = np.lib.stride_tricks.sliding_window_view(whole.astype(np.int32), len(probe))
    return int(np.abs(windows - probe).sum(1).argmin()) - middle


def _loudest_block_db(pcm: Int16s) -> float:
    return max((_level_db(pcm[at : at + BLOCK]) for at in range(0, len(pcm), BLOCK)), default=-200.0)


def _level_db(pcm: Int16s) -> float:
    """RMS in dB of full scale."""
    return 20 * float(np.log10(np.sqrt(np.mean((pcm / 32768.0) ** 2)) + 1e-10))
