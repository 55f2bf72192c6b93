"""Captions: what holds of all of them, and how a reader would part a text."""

import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.cli.captions import MAX_LINE_CHARS, MAX_MS, Caption, captions
from app.cli.pieces import TimedWord

pytestmark = pytest.mark.slow

many = settings(max_examples=150)

WORDS = st.from_regex(r"[\"(]?[A-Za-zéß0-9]{1,60}(?:[-'][a-z]{1,9})?[,;:.!?]{0,2}[\")]?", fullmatch=True)
SPACES = st.sampled_from([" ", " ", " ", "  ", "\n", "\n\n", "\t"])


@st.composite
def spoken_texts(draw: st.DrawFn) -> tuple[str, list[TimedWord]]:
    """A text, and when each of its words is spoken: in order, some of them in no time, some after a long silence."""
    written = draw(st.lists(st.tuples(WORDS, SPACES), min_size=1, max_size=60))
    text, words, now_ms = "", list[TimedWord](), 0.0
    for word, space in written:
        begin_ms = now_ms + draw(st.sampled_from([0.0, 0.0, 25.0, 400.0, 2500.0]))
        now_ms = begin_ms + draw(st.floats(0.0, 3000.0))
        words.append(TimedWord(word, round(begin_ms, 1), round(now_ms, 1), len(text), len(text) + len(word)))
        text += word + space
    return text, words


@many
@given(spoken_texts())
def test_captions_come_in_order_and_none_overlaps_another(spoken: tuple[str, list[TimedWord]]) -> None:
    made = captions(*spoken, spoken[1][-1].end_ms)
    ends_ms = [0, *(caption.end_ms for caption in made)]
    for end_ms, caption in zip(ends_ms, made, strict=False):
        assert end_ms <= caption.start_ms < caption.end_ms


@many
@given(spoken_texts())
def test_every_word_is_shown_once_and_as_it_was_written(spoken: tuple[str, list[TimedWord]]) -> None:
    shown = "".join(line for caption in captions(*spoken, spoken[1][-1].end_ms) for line in caption.lines)
    assert "".join(shown.split()) == "".join(spoken[0].split())


@many
@given(spoken_texts())
def test_lines_are_short_and_at_most_two(spoken: tuple[str, list[TimedWord]]) -> None:
    for caption in captions(*spoken, spoken[1][-1].end_ms):
        assert 1 <= len(caption.lines) <= 2
        assert all(0 < len(line) <= MAX_LINE_CHARS and line == line.strip() for line in caption.lines)


@many
@given(spoken_texts())
def test_a_caption_stays_seven_seconds_at_most(spoken: tuple[str, list[TimedWord]]) -> None:
    for caption in captions(*spoken, spoken[1][-1].end_ms):
        assert caption.end_ms - caption.start_ms <= MAX_MS


@st.composite
def half_spoken_texts(draw: st.DrawFn) -> tuple[str, list[TimedWord], float]:
    """Any text, of which the voice has timed some words, as it saw fit, and passed over others."""
    text = draw(st.text("ab1ü今 \t\n\n.,-*#`([“—", max_size=200))
    found = [match for match in re.finditer(r"\w+|[今]", text) if draw(st.booleans())]
    times_ms = sorted(draw(st.lists(st.floats(0, 60_000), min_size=2 * len(found), max_size=2 * len(found))))
    words = [
        TimedWord(match.group(), begin_ms, end_ms, match.start(), match.end())
        for match, begin_ms, end_ms in zip(found, times_ms[::2], times_ms[1::2], strict=True)
    ]
    return text, words, draw(st.floats(0, 70_000))


@many
@given(half_spoken_texts())
def test_any_text_has_captions_and_all_words_that_were_spoken(spoken: tuple[str, list[TimedWord], float]) -> None:
    text, words, _ = spoken
    made = captions(*spoken)
    shown = "".join(line for caption in made for line in caption.lines)
    rest = iter(char for char in text if not char.isspace())
    assert all(char in rest for char in shown if not char.isspace()), "in the order of the text"
    rest = iter(shown)
    assert all(char in rest for word in words for char in word.text), "nothing that was spoken is missing"
    assert all(0 < len(line) <= MAX_LINE_CHARS for caption in made for line in caption.lines)
    assert all(before.end_ms <= behind.start_ms < behind.end_ms for before, behind in pairwise(made))


def timed(text: str, ms_per_char: float = 65.0, pattern: str = r"\S+") -> list[TimedWord]:
    """Words that are spoken at an even pace."""
    return [
        TimedWord(m.group(), m.start() * ms_per_char, m.end() * ms_per_char, m.start(), m.end())
        for m in re.finditer(pattern, text)
    ]


def shown(text: str, words: list[TimedWord] | None = None, audio_ms: float | None = None) -> list[str]:
    words = timed(text) if words is None else words
    return ["|".join(one.lines) for one in captions(text, words, audio_ms or len(text) * 65.0)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Good morning to you. The train is late.", ["Good morning to you.", "The train is late."]),
        ("Yes. No. Maybe.", ["Yes. No. Maybe."]),
        ("Dr. Smith knows Prof. Higgins well.", ["Dr. Smith knows Prof. Higgins well."]),
        ("Paying\n\nIt costs ten dollars today.", ["Paying", "It costs ten dollars today."]),
        (
            "The first train leaves from platform four behind the church, and the second from platform nine, a walk.",
            [
                "The first train leaves from|platform four behind the church,",
                "and the second from platform nine, a walk.",
            ],
        ),
        ("He came — at last — and sat.", ["He came — at last — and sat."]),
        ('She said "no" (twice) and left.', ['She said "no" (twice) and left.']),
    ],
)
def test_sentences_and_clauses_are_where_it_is_parted(text: str, expected: list[str]) -> None:
    assert shown(text) == expected


def test_a_line_that_is_too_long_is_parted_into_two_that_are_alike() -> None:
    (caption,) = shown("The quick brown fox jumps over the lazy dog in the garden.")
    first, second = caption.split("|")
    assert abs(len(first) - len(second)) < 10


def test_a_long_silence_parts_a_sentence() -> None:
    text = "Wait for it now, and here it is."
    words = timed(text)
    late = [TimedWord(w.text, w.start_ms + 3000, w.end_ms + 3000, w.char_start, w.char_end) for w in words[4:]]
    assert shown(text, [*words[:4], *late]) == ["Wait for it now,", "and here it is."]


def test_a_script_without_spaces_is_parted_between_its_words() -> None:
    text = "今天天气很好" * 10
    made = shown(text, timed(text, 120.0, ".{2}"), 120.0 * len(text))
    assert "".join(made).replace("|", "") == text
    assert all(len(line) <= MAX_LINE_CHARS for one in made for line in one.split("|"))


def test_words_without_a_time_are_shown_between_those_that_have_one() -> None:
    text = "One two three four. Five."
    words = [word for word in timed(text) if word.text not in ("two", "three")]
    assert shown(text, words) == ["One two three four. Five."]


def test_a_text_that_ends_in_words_without_a_time_is_shown_to_its_end() -> None:
    text = "One two three four."
    assert shown(text, timed(text)[:2]) == ["One two three four."]


def test_what_the_voice_was_silent_on_is_not_shown() -> None:
    text = "Run this:\n\n```sh\nrm -rf everything that is in here\n```\n\nIt is quick."
    words = [word for word in timed(text) if word.text in ("Run", "this:")]
    begin = text.index("It is")
    words += [
        TimedWord(w.text, w.start_ms - 2800, w.end_ms - 2800, w.char_start, w.char_end)
        for w in timed(text)
        if w.char_start >= begin
    ]
    assert " ".join(shown(text, words, words[-1].end_ms)) == "Run this: It is quick."


def test_marks_that_begin_a_line_are_shown_with_what_is_behind_them() -> None:
    text = "Two things:\n- the bread\n- the butter\n\n***\n\nThat was all."
    words = [word for word in timed(text) if any(map(str.isalnum, word.text))]
    assert " ".join(shown(text, words)).replace("|", " ") == "Two things: - the bread - the butter That was all."


def test_a_caption_stays_a_little_behind_its_last_word() -> None:
    words = [TimedWord("Hello.", 100, 400, 0, 6)]
    assert captions("Hello.", words, 500.0) == [Caption(100, 1100, ("Hello.",))]


def test_no_text_has_no_captions() -> None:
    assert captions("", [], 0.0) == []
