"""What holds for every text: the places of words, that reading again changes nothing, and how long it takes."""

import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engines.reading import Lexicon, Spoken, is_read, read, reader
from engines.reading.folding import fold

pytestmark = pytest.mark.slow

LANGUAGES = ("en", "en-US", "en-GB", "de", "es", "fr", "it", "vi", "zh")

WRITTEN = (
    "5",
    "1984",
    "3.14",
    "1,234",
    "$",
    "€",
    "%",
    "km",
    "5'11\"",
    "Mr.",
    "St.",
    "p.m.",
    "etc.",
    "U.S.",
    "Henry",
    "Chapter",
    "VIII",
    "I",
    "A",
    "WHO",
    "Jan.",
    "March",
    "3rd",
    "@a.com",
    "www.",
    "/",
    "-",
    "–",
    ":",
    ".",
    ",",
    "'",
    '"',
    "#",
    "&",
    "½",
    "²",
    "°C",
    "No.",
    "x",
    "the",
    "of",
    " ",
    " ",
    "\n",
    "\u00a0",
    "ﬁ",
    "１",
    "٣",
    "•",
    "é",
    "日",
)

texts = st.one_of(st.text(max_size=40), st.lists(st.sampled_from(WRITTEN), max_size=12).map("".join))
prose = st.lists(
    st.sampled_from(
        ("we", "saw", "her", "don’t", "it's", "well-known", "garden,", "river.", "“yes”", "why?", "—", "I")
    ),
    min_size=1,
    max_size=12,
).map(" ".join)


def check_places(written: str, spoken: Spoken) -> None:
    """The contract of `Spoken`, for a text."""
    covered: set[int] = set()
    spoken_end = end = 0
    for span in spoken.spans:
        assert spoken_end <= span.spoken_start < span.spoken_end <= len(spoken.text)
        assert end <= span.start < span.end <= len(written)
        assert not written[span.start].isspace()
        assert not written[span.end - 1].isspace()
        assert span.start == 0 or written[span.start - 1].isspace(), "a span begins where a word does"
        assert span.end == len(written) or written[span.end].isspace(), "a span ends where a word does"
        covered.update(range(span.spoken_start, span.spoken_end))
        spoken_end, end = span.spoken_end, span.end
    assert {at for at, char in enumerate(spoken.text) if not char.isspace()} <= covered
    assert all(0 <= sound.start < sound.end <= len(spoken.text) for sound in spoken.sounds)


@pytest.mark.parametrize("language", LANGUAGES)
@settings(max_examples=300)
@given(text=texts)
@example(text="\ud800 5")
@example(text="5\u00a0km • ½²")
def test_every_spoken_word_has_its_place_in_the_written_text(language: str, text: str) -> None:
    check_places(text, read(text, language))


@pytest.mark.parametrize("language", LANGUAGES)
@settings(max_examples=300)
@given(text=texts)
def test_reading_what_was_read_changes_nothing(language: str, text: str) -> None:
    spoken = read(text, language).text
    assert read(spoken, language).text == spoken


@settings(max_examples=300)
@given(text=texts)
def test_no_digits_and_no_signs_are_left(text: str) -> None:
    assert not [char for char in read(text).text if char.isdecimal() or char in "$%&@#/+=°€£<>*\\^~|"]


@settings(max_examples=300)
@given(text=texts)
def test_what_is_written_so_is_put_together_as_what_is_read_otherwise(text: str) -> None:
    """The short way of a text without anything to read, beside the long one."""
    folded = fold(text)
    assert reader._as_written(folded) == reader._assembled(folded, [])


@settings(max_examples=200)
@given(text=prose)
def test_prose_stays_as_it_is_and_has_a_span_for_each_word(text: str) -> None:
    spoken = read(text)
    assert spoken.text == text
    assert [text[span.start : span.end] for span in spoken.spans] == text.split()


@settings(max_examples=100)
@given(text=texts, word=st.sampled_from(("5", "March", "GIF", "the", "km")))
def test_a_lexicon_keeps_the_places_true(text: str, word: str) -> None:
    check_places(text, read(text, lexicon=Lexicon.of({word: "some thing", "Henry": "/ˈhɛnɹi/"})))


@pytest.mark.parametrize(
    "unit", ["1", "a", ".", "1.", "1,", "1-", "1/", "1:", "a1", "I ", "x1 ", "$1 ", "½", "°", "@a", "A.", "é", " "]
)
def test_the_time_of_twenty_thousand_characters_of_anything_is_that_of_four_times_five(unit: str) -> None:
    """Or a second, if that is more: a rule that looks at each place from each other one takes sixteen times as long."""

    def took_s(num_chars: int) -> float:
        started_s = time.process_time()
        read((unit * num_chars)[:num_chars])
        return time.process_time() - started_s

    assert took_s(20_000) < max(1.0, 7 * took_s(5_000))


@pytest.mark.parametrize("char", ["7", "½", "²", "%", "٣"])
def test_a_character_that_is_read_is_known_to_be(char: str) -> None:
    assert is_read(char, "en")


@pytest.mark.parametrize("char", ["a", ".", "’", "…", " ", "日", "—"])
def test_a_character_that_is_no_word_by_itself_is_known_to_be_none(char: str) -> None:
    assert not is_read(char, "en")


def test_no_character_is_read_in_a_language_that_is_not_known() -> None:
    assert not is_read("7", "zh")
