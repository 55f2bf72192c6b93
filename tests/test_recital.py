"""A segment as the model speaks it, and its words as the client wrote them."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.reading import Lexicon, read
from engines.recital import Recital
from engines.types import Boundary, Segment, Word

START = 100
WRITTEN = [
    "It costs $5.50 today.",
    "On March 3, 2024 at 10:30 a.m.",
    "Call 555-0123 now, please.",
    "Dr. Smith said: 42%!",
]


def recital_of(text: str, max_chars: int = 1000, **lexicon: str) -> Recital:
    segment = Segment(text, START, Boundary.CLAUSE, 250.0)
    return Recital(segment, text, read(text, "en", Lexicon.of(lexicon)), max_chars)


def spoken_words(part: Segment) -> list[Word]:
    """What a model makes of a part: its words, 100 ms each."""
    words: list[Word] = []
    at = 0
    for text in part.text.split():
        at = part.text.index(text, at)
        start_ms = 100.0 * len(words)
        words.append(Word(text, start_ms, start_ms + 100, part.start + at, part.start + at + len(text)))
        at += len(text)
    return words


def written_by(recital: Recital) -> tuple[list[Word], list[Segment]]:
    words: list[Word] = []
    parts: list[Segment] = []
    while recital.has_parts:
        parts.append(recital.next_part(10_000.0 * len(parts)))
        for word in spoken_words(parts[-1]):
            words += recital.written([word], is_end=False)
    return [*words, *recital.written([], is_end=True)], parts


@pytest.mark.parametrize("text", WRITTEN)
def test_each_written_word_comes_back_once_where_it_stands(text: str) -> None:
    words, _ = written_by(recital_of(text))
    assert [word.text for word in words] == text.split()
    assert [text[word.char_start - START : word.char_end - START] for word in words] == text.split()
    assert all(one.end_ms <= two.start_ms + 1e-6 for one, two in pairwise(words))


def test_a_word_lasts_as_long_as_all_that_is_said_for_it() -> None:
    words, _ = written_by(recital_of("It costs $5.50 today."))
    price, today = words[2], words[3]
    assert price.text == "$5.50"
    assert price.end_ms - price.start_ms == 500  # five dollars and fifty cents
    assert today.start_ms == price.end_ms


def test_a_word_is_given_back_as_soon_as_its_last_sound_is_known() -> None:
    recital = recital_of("It costs $5.50 today.")
    spoken = spoken_words(recital.next_part(0.0))
    given = [[word.text for word in recital.written([word], is_end=False)] for word in spoken]
    assert given == [["It"], ["costs"], [], [], [], [], ["$5.50"], ["today."]]


def test_what_is_read_as_one_thing_shares_its_time() -> None:
    words, _ = written_by(recital_of("On March 3, 2024 we met."))
    date = words[1:4]
    assert [word.text for word in date] == ["March", "3,", "2024"]
    assert date[0].end_ms - date[0].start_ms > date[1].end_ms - date[1].start_ms


def test_times_are_the_sessions() -> None:
    recital = recital_of("Two words.")
    assert [word.start_ms for word in recital.written(spoken_words(recital.next_part(2500.0)), is_end=True)] == [
        2500.0, 2600.0
    ]  # fmt: skip


def test_marks_around_a_word_are_not_the_words() -> None:
    sent, blank = "**Bold**, and _this_.", "  Bold,   and  this ."
    recital = Recital(Segment(blank, START), sent, read(blank), 1000)
    words = recital.written(spoken_words(recital.next_part(0.0)), is_end=True)
    assert words[0].text == "Bold"
    assert all(sent[word.char_start - START : word.char_end - START] == word.text for word in words)


@pytest.mark.parametrize("text", [*WRITTEN, "1234567 " * 20, "a" * 200])
@pytest.mark.parametrize("max_chars", [12, 40])
def test_what_is_longer_spoken_than_the_model_takes_is_spoken_in_parts(text: str, max_chars: int) -> None:
    whole = read(text).text
    words, parts = written_by(recital_of(text, max_chars))
    assert "".join(part.text for part in parts) == " ".join(whole.split())
    assert all(0 < len(part.text) <= max_chars for part in parts)
    assert [part.start for part in parts] == [sum(len(one.text) for one in parts[:n]) for n in range(len(parts))]
    assert [part.pause_before_ms for part in parts] == [250.0] + [0.0] * (len(parts) - 1)
    assert [part.boundary for part in parts] == [Boundary.NONE] * (len(parts) - 1) + [Boundary.CLAUSE]
    assert [word.text for word in words] == text.split()


def test_white_space_is_one_space_for_the_voice_and_words_stay_where_they_stand() -> None:
    text = "  Two   big\ndogs  and \n\n $5. "
    words, parts = written_by(recital_of(text))
    assert [part.text for part in parts] == ["Two big dogs and five dollars."]
    assert [text[word.char_start - START : word.char_end - START] for word in words] == text.split()


def test_sounds_go_with_their_part() -> None:
    text = "The tiding is a flock, and every magpie knows it."
    _, parts = written_by(recital_of(text, 30, magpie="/ˈmæɡpaɪ/", tiding="/ˈtaɪdɪŋ/"))
    assert len(parts) > 1
    said = [(part.text[sound.start : sound.end], sound.ipa) for part in parts for sound in part.sounds]
    assert said == [("tiding", "ˈtaɪdɪŋ"), ("magpie", "ˈmæɡpaɪ")]


def test_nothing_comes_back_of_a_word_that_was_broken_off() -> None:
    recital = recital_of("It costs $5.50 today.")
    spoken = spoken_words(recital.next_part(0.0))
    assert [word.text for word in recital.written(spoken[:4], is_end=False)] == ["It", "costs"]


@settings(max_examples=150)
@given(st.text(st.sampled_from("ab1 2$%.,:/-é\n"), max_size=60), st.integers(5, 80))
def test_any_text_is_spoken_whole_and_its_words_come_back_in_order(text: str, max_chars: int) -> None:
    words, parts = written_by(recital_of(text, max_chars))
    assert "".join(part.text for part in parts) == " ".join(read(text).text.split())
    assert all(one.char_end <= two.char_start for one, two in pairwise(words))
    assert all(text[word.char_start - START : word.char_end - START] == word.text for word in words)
