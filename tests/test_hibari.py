"""The real voice, split into prefill and windows: sample for sample what hibari renders at once."""

import logging
import socket
import threading
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import hibari
import hibari.voices
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.hibari import load, network
from engines.hibari.model import ASSETS, NETWORK_FILE, Hibari
from engines.hibari.reading import MAX_IDS, Reader, Reading
from engines.hibari.synthesis import Noise, prepare
from engines.model import Prefill, StepResult
from engines.types import Params, Pcm, Segment, Word

SENTENCES = [
    "Hello.",
    "The quick brown fox jumps over the lazy dog.",
    "Dr. Smith paid $5.50 at 7:30 pm, didn't he?",
    "On the 3rd of March 2024, 1,250 people paid $9.99 each to hear it.",
    "Zblorf!",
    "No end in sight",
]


class Voice:
    """The loaded model, driven as the engine drives it: one thread, and a wait for `wake` when nothing is ready."""

    def __init__(self) -> None:
        self._woken = threading.Event()
        self.model = load(self._woken.set)

    def speak(self, *segments: Segment, **params: Any) -> list[list[StepResult]]:
        """Each segment's results, all stepped together."""
        voice = self.model.voices[0]
        slots = range(len(segments))
        self.model.prefill([Prefill(slot, segments[slot], voice, Params(**params), slot) for slot in slots])
        results: list[list[StepResult]] = [[] for _ in slots]
        while running := [slot for slot in slots if not (results[slot] and results[slot][-1].is_segment_end)]:
            self._woken.clear()
            made = self.model.step(running)
            for result in made.results:
                assert result.error is None, result.error
                results[result.slot].append(result)
            assert made.results or self._woken.wait(20), "nobody woke us"
        for slot in slots:
            self.model.release(slot)
        return results


def audio_of(results: Sequence[StepResult]) -> Pcm:
    return np.concatenate([result.pcm for result in results])


def words_of(results: Sequence[StepResult]) -> list[Word]:
    return [word for result in results for word in result.words]


@pytest.fixture(scope="module")
def voice() -> Iterator[Voice]:
    voice = Voice()
    yield voice
    voice.model.close()


@pytest.fixture(scope="module")
def bare() -> hibari.Hibari:
    return hibari.Hibari()


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader(ASSETS)


# -- audio -------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("text", SENTENCES)
def test_windows_add_up_to_what_hibari_renders_at_once(voice: Voice, bare: hibari.Hibari, text: str) -> None:
    (results,) = voice.speak(Segment(text, 0), seed=7)
    whole = bare(text, seed=7)
    streamed = audio_of(results)
    assert len(results) > 2
    assert all(len(result.pcm) <= voice.model.format.frame_samples for result in results)
    assert streamed.shape == whole.shape
    assert np.abs(streamed - whole).max() == 0.0


def test_any_split_into_windows_gives_the_same_samples(voice: Voice, bare: hibari.Hibari) -> None:
    outputs, _ = voice.model._network.run(voice.model._reader.read(SENTENCES[1]).ids)
    spectrum = prepare(outputs, Noise(0, 1).draw(7, outputs[0].shape[-1]))
    whole = bare(SENTENCES[1], seed=7)
    rng = np.random.default_rng(1)
    for num_cuts in (0, 1, 2, 5, 20, spectrum.num_frames - 1):
        cuts = np.sort(rng.choice(np.arange(1, spectrum.num_frames), num_cuts, replace=False))
        edges = [0, *(int(cut) for cut in cuts), spectrum.num_frames]
        pieces = [spectrum.window(first, last) for first, last in pairwise(edges)]
        assert np.array_equal(np.concatenate(pieces), whole)


def test_a_rows_audio_does_not_depend_on_its_neighbours(voice: Voice) -> None:
    segments = [Segment(text, 0) for text in SENTENCES]
    together = voice.speak(*segments, seed=3)
    for segment, results in zip(segments, together, strict=True):
        (alone,) = voice.speak(segment, seed=3)
        assert np.array_equal(audio_of(results), audio_of(alone))


def test_text_and_seed_decide_the_audio_wherever_the_segment_stands(voice: Voice) -> None:
    segment, later = Segment("Hello.", 0), Segment("Hello.", 40)
    (first,), (again,), (other,), (elsewhere,) = [
        voice.speak(which, seed=seed) for which, seed in ((segment, 1), (segment, 1), (segment, 2), (later, 1))
    ]
    assert np.array_equal(audio_of(first), audio_of(again))
    assert np.array_equal(audio_of(first), audio_of(elsewhere))
    assert not np.array_equal(audio_of(first), audio_of(other))


def test_knobs_that_it_does_not_have_and_sizes_of_chunks_change_nothing(voice: Voice) -> None:
    segment = Segment("Hello.", 0)
    asked = {"temperature": 0.1, "top_k": 3, "cfg_scale": 9.0, "first_chunk_frames": 1, "chunk_frames": 50}
    (plain,), (turned,) = voice.speak(segment), voice.speak(segment, **asked)
    assert np.array_equal(audio_of(plain), audio_of(turned))


def test_noise_that_is_kept_is_the_noise_that_would_be_drawn() -> None:
    keeps, draws = Noise(3, 50), Noise(4, 50)
    for num_frames in (1, 49, 50, 51):
        assert np.array_equal(keeps.draw(3, num_frames), draws.draw(3, num_frames))


LONG = "There was a very long day in the middle of a very long summer on the other side of the very high hills, " * 6


def test_a_long_reading_is_split_into_runs(voice: Voice, reader: Reader) -> None:
    reading = reader.read(LONG)
    assert len(reading.ids) > MAX_IDS
    (results,) = voice.speak(Segment(LONG, 0))
    words = words_of(results)
    assert " ".join(word.text for word in words) == LONG.strip()
    assert_in_order(words, audio_of(results))
    assert 20_000 < len(audio_of(results)) * 1000 / 24_000 < 60_000


def test_a_split_reading_loses_no_id_and_no_word(reader: Reader) -> None:
    reading = reader.read(LONG)
    heads: list[Reading] = []
    rest = reading
    while rest.ids:
        head, rest = rest.split()
        assert 0 < len(head.ids) <= MAX_IDS
        heads.append(head)
    assert [i for head in heads for i in head.ids] == reading.ids
    assert [word.text for head in heads for word in head.words] == [word.text for word in reading.words]


# -- words -------------------------------------------------------------------------------------------------------------


def assert_in_order(words: Sequence[Word], pcm: Pcm) -> None:
    edges = [edge for word in words for edge in (word.start_ms, word.end_ms)]
    assert edges == sorted(edges)
    assert all(word.start_ms < word.end_ms for word in words)
    assert not edges or (edges[0] >= 0 and edges[-1] <= len(pcm) / 24 + 1e-6)


@pytest.mark.parametrize("text", SENTENCES)
def test_words_are_those_that_were_written(voice: Voice, text: str) -> None:
    (results,) = voice.speak(Segment(text, 100))
    words = words_of(results)
    assert [word.text for word in words] == text.split()
    assert all(text[word.char_start - 100 : word.char_end - 100] == word.text for word in words)
    assert_in_order(words, audio_of(results))


def test_words_sound_where_they_say(voice: Voice) -> None:
    """Loud within, and silence well before the first and behind the last: the network places sounds to about 80 ms."""
    (results,) = voice.speak(Segment("One elephant.", 0))
    pcm, (first, *_, last) = audio_of(results), words_of(results)
    power = [float(np.sqrt(np.mean(np.square(pcm[a * 24 : b * 24])))) for a, b in _spans(first, last, len(pcm))]
    before, within, behind = power
    assert within > 0.03 > 10 * max(before, behind)
    assert first.start_ms > 200


def _spans(first: Word, last: Word, num_samples: int) -> list[tuple[int, int]]:
    return [
        (0, int(first.start_ms) - 100),
        (int(first.start_ms), int(last.end_ms)),
        (int(last.end_ms) + 150, num_samples // 24),
    ]


@pytest.mark.slow
def test_without_durations_words_are_off_and_it_is_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(network, "DURATIONS", "/No_such_tensor")
    with caplog.at_level(logging.WARNING, "tiding.hibari"):
        voice = Voice()
        first, second = voice.speak(Segment(SENTENCES[0], 0), Segment(SENTENCES[1], 0))
        voice.model.close()
    assert words_of(first) == words_of(second) == []
    assert len(audio_of(first)) > 0
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "no word times" in caplog.text


def test_the_network_with_durations_gives_the_same_spectra() -> None:
    ids = Reader(ASSETS).read(SENTENCES[1]).ids
    outputs, times_ms = network.Network(NETWORK_FILE).run(ids)
    assert times_ms is not None
    assert len(times_ms) == len(ids) + 1
    plain = network._open(NETWORK_FILE.read_bytes()).run(
        None, {"ids": np.asarray([[0, *ids, 0]], np.int64), "speed": np.ones(1, np.float32)}
    )
    assert len(outputs) == len(plain)
    for ours, theirs in zip(outputs, plain, strict=True):
        assert np.array_equal(ours, theirs)


def test_no_plan_of_memory_is_kept_for_each_length() -> None:
    """What it would take is printed by `python -m tests.bench.hibari_memory`."""
    options = network._open(NETWORK_FILE.read_bytes()).get_session_options()
    assert not options.enable_mem_pattern


# -- what else may come ------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_no_other_voice_can_be_reached_and_no_network_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a voice was asked for")

    for name in ("voice_path", "download"):
        if hasattr(hibari.voices, name):
            monkeypatch.setattr(hibari.voices, name, refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    voice = Voice()
    assert [(v.name, v.locale) for v in voice.model.voices] == [("heart", "en-US")]
    assert len(audio_of(voice.speak(Segment("Hello.", 0))[0])) > 0
    voice.model.close()


def test_a_row_is_released_in_mid_prefill_and_used_again(voice: Voice, bare: hibari.Hibari) -> None:
    model = voice.model
    for _ in range(5):
        model.prefill([Prefill(slot, Segment(LONG, 0), model.voices[0], Params(), slot) for slot in range(4)])
        for slot in range(4):
            model.release(slot)
    (results,) = voice.speak(Segment("Hello.", 0))
    assert np.array_equal(audio_of(results), bare("Hello.", seed=0))
    model.release(0)
    assert model._rows == {}


@pytest.mark.slow
@pytest.mark.parametrize("num_digits", [15, 16, 40, 120])
def test_long_numbers_are_read(voice: Voice, num_digits: int) -> None:
    (results,) = voice.speak(Segment("Call " + "7" * num_digits + " now.", 0))
    assert [word.text for word in words_of(results)] == ["Call", "7" * num_digits, "now."]
    assert len(audio_of(results)) > 24_000 * num_digits * 0.05


@pytest.mark.parametrize("text", ["...", "-", "'", "((", ""])
def test_a_segment_without_sound_ends_without_audio(voice: Voice, text: str) -> None:
    (results,) = voice.speak(Segment(text, 0))
    assert results[-1].is_segment_end
    assert words_of(results) == []


def test_letters_and_digits_it_knows_are_speakable(voice: Voice) -> None:
    assert all(map(voice.model.is_speakable, "aZ09é"))
    assert not any(map(voice.model.is_speakable, "日ж٣"))


ODD = " \n.,;:!?'\"()-–—…$€£%&@#/\\*+=0123456789aAbBeEiIoOrRsStTzZéñüœ’“”[]{}<>|~^_"
odd_texts = st.text(st.sampled_from(ODD), max_size=60)


@pytest.mark.slow
@settings(max_examples=60)
@given(text=odd_texts)
def test_no_text_is_too_odd(voice: Voice, text: str) -> None:
    (results,) = voice.speak(Segment(text, 0))
    words, pcm = words_of(results), audio_of(results)
    assert results[-1].is_segment_end
    assert all(text[word.char_start : word.char_end] == word.text for word in words)
    edges = [edge for word in words for edge in (word.start_ms, word.end_ms)]
    assert edges == sorted(edges)
    assert not edges or edges[-1] <= len(pcm) / 24 + 1e-6
    assert np.isfinite(pcm).all()


@pytest.mark.slow
def test_closing_leaves_no_thread() -> None:
    voice = Voice()
    voice.speak(Segment("Hello.", 0))
    ours = [thread for thread in threading.enumerate() if thread in voice.model._pool._threads]
    assert ours
    voice.model.close()
    assert not any(thread.is_alive() for thread in ours)


def test_the_model_says_what_it_is() -> None:
    assert (Hibari.format.sample_rate_hz, Hibari.format.frame_samples) == (24_000, 4800)
    assert Hibari.languages == ("en",)
