"""Where the words of a spoken text come from."""

import pytest

from engines.reading import Sound, read


def words_of(text: str) -> list[tuple[str, str]]:
    """What is written, and what it is read as, span by span."""
    spoken = read(text)
    return [(text[span.start : span.end], spoken.text[span.spoken_start : span.spoken_end]) for span in spoken.spans]


@pytest.mark.parametrize(
    ("group", "words"),
    [
        ("$5.50,", "five dollars and fifty cents,"),
        ("5 km", "five kilometers"),
        ("March 3, 2024", "March third, twenty twenty-four"),
        ("(555) 123-4567", "five five five, one two three, four five six seven"),
        ('("½")', '("one half")'),
        ("ﬁre", "fire"),
        ("e.g.", "for example"),
        ("jane@example.com.", "jane at example dot com."),
    ],
)
def test_what_is_read_as_one_thing_is_one_span(group: str, words: str) -> None:
    assert words_of(f"We saw {group} there.") == [("We", "We"), ("saw", "saw"), (group, words), ("there.", "there.")]


def test_words_around_a_numeral_keep_their_spans() -> None:
    assert words_of("Henry VIII  sat.") == [("Henry", "Henry"), ("VIII", "the Eighth"), ("sat.", "sat.")]


def test_what_is_read_as_nothing_is_in_no_span() -> None:
    assert words_of("• one") == [("one", "one")]


def test_white_space_stays() -> None:
    assert read("  One\n\ttwo\u00a0 3 \n").text == "  One\n\ttwo\u00a0 three \n"


def test_a_spelled_a_is_not_the_article() -> None:
    spoken = read("Now a Q&A.")
    assert spoken.text == "Now a Q and A."
    assert spoken.sounds == (Sound(12, 13, "ˈeɪ"),)


def test_plan_a_is_spelled_and_a_plan_is_not() -> None:
    assert [sound.start for sound in read("A plan, a way: plan A.").sounds] == [20]


@pytest.mark.parametrize("text", ["", " ", "\n", "\ud800", "\x00", "١", "."])
def test_any_text_is_read(text: str) -> None:
    assert read(text).text is not None


@pytest.mark.parametrize("language", ["en", "EN", "en-GB", "en_US", "en-Latn-GB", "eng", "", "xx-", "zh-Hant-TW"])
def test_any_language_tag_is_taken(language: str) -> None:
    is_english = language.lower().startswith(("en-", "en_")) or language.lower() == "en"
    assert read("5", language).text == ("five" if is_english else "5")
