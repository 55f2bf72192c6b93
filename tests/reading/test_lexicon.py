"""Words that somebody wants read in a way of their own."""

from pathlib import Path

import pytest

from engines.reading import Lexicon, Sound, Span, read


def said(text: str, **entries: str) -> str:
    """What a text is read as with a lexicon of these entries."""
    return read(text, lexicon=Lexicon.of(entries)).text


def test_a_word_is_respelled() -> None:
    assert said("Send a gif now.", gif="jiff") == "Send a jiff now."


def test_an_entry_in_lower_case_matches_any_case() -> None:
    assert said("GIF, Gif and gif.", gif="jiff") == "jiff, jiff and jiff."


def test_an_entry_with_a_capital_matches_only_as_written() -> None:
    assert said("Polish the Polish vase, polish!", Polish="Poe lish") == "Poe lish the Poe lish vase, polish!"


def test_an_entry_with_a_capital_goes_before_the_one_in_lower_case() -> None:
    assert said("US and us.", US="America", us="all") == "America and all."


def test_a_possessive_stays() -> None:
    assert said("The GIF's size, the GIF’s colour.", gif="jiff") == "The jiff's size, the jiff’s colour."


@pytest.mark.parametrize("text", ["gifts", "a.gif@b.com", "agif", "gif_2"])
def test_only_whole_words_are_replaced(text: str) -> None:
    assert "jiff" not in said(text, gif="jiff")


def test_the_longest_entry_wins() -> None:
    lexicon = Lexicon.of({"new": "gnu", "new york": "the big apple", "york": "yawk"})
    assert read("New York is new, York old.", lexicon=lexicon).text == "the big apple is gnu, yawk old."


def test_a_phrase_is_one_span() -> None:
    spoken = read("In New  York now.", lexicon=Lexicon.of({"new york": "the big apple"}))
    assert spoken.text == "In the big apple now."
    assert spoken.spans == (Span(0, 2, 0, 2), Span(3, 16, 3, 12), Span(17, 21, 13, 17))


def test_a_sound_covers_the_word_as_it_is_written() -> None:
    spoken = read("A GIF, please.", lexicon=Lexicon.of({"gif": "/dʒɪf/"}))
    assert spoken.text == "A GIF, please."
    assert spoken.sounds == (Sound(2, 5, "dʒɪf"),)


def test_a_possessive_stays_behind_a_sound() -> None:
    spoken = read("The GIF's end.", lexicon=Lexicon.of({"gif": "/dʒɪf/"}))
    assert spoken.text == "The GIF's end."
    assert spoken.sounds == (Sound(4, 7, "dʒɪf"),)


def test_a_sound_finds_its_words_among_others_that_are_read() -> None:
    spoken = read("For $5, ½ k8s.", lexicon=Lexicon.of({"k8s": "/keɪts/"}))
    (sound,) = spoken.sounds
    assert spoken.text == "For five dollars, one half K eight S."
    assert spoken.text[sound.start : sound.end] == "K eight S"


def test_a_lexicon_goes_before_the_rules() -> None:
    assert said("It is 5 km of SQL.", sql="sequel", km="clicks") == "It is five clicks of sequel."


def test_a_respelling_is_read_as_well() -> None:
    assert said("Use R2.", r2="R 2") == "Use R two."


def test_a_lexicon_is_of_use_in_languages_that_are_not_read() -> None:
    assert read("GIF 5", "zh", Lexicon.of({"gif": "jiff"})).text == "jiff 5"


def test_marks_may_be_part_of_an_entry() -> None:
    assert read("C++ is old.", lexicon=Lexicon.of({"c++": "see plus"})).text == "see plus is old."


def test_of_two_lexicons_the_other_wins() -> None:
    merged = Lexicon.of({"gif": "jiff", "sql": "sequel"}).merged(Lexicon.of({"gif": "giff"}))
    assert read("gif sql", lexicon=merged).text == "giff sequel"


@pytest.mark.parametrize(
    ("word", "pronunciation", "reason"),
    [
        ("", "jiff", "word or phrase is expected"),
        (" . ", "jiff", "word or phrase is expected"),
        ("gif", "", "'gif'.*empty"),
        ("gif", "//", "'gif'.*IPA"),
        ("gif", "/dʒɪf", "'gif'.*slashes"),
        ("gif", "/dʒ1f/", "'gif'.*not of the IPA: 1"),
        ("gif", "/DJ/", "'gif'.*not of the IPA: D J"),
        ("g" * 201, "jiff", "201 characters"),
        ("gif", "j" * 201, "'gif'.*201 characters"),
    ],
)
def test_an_entry_that_is_none_is_refused_by_name(word: str, pronunciation: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Lexicon.of({word: pronunciation})


def test_too_many_entries_are_refused() -> None:
    with pytest.raises(ValueError, match="at most 1000 entries, this one 1001"):
        Lexicon.of({f"word{number}": "said" for number in range(1001)})


def test_a_lexicon_is_loaded_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "lexicon.json"
    path.write_text('{"gif": "jiff", "naïve": "/naɪˈiːv/"}', "utf-8")
    lexicon = Lexicon.load(path)
    assert read("A naïve GIF.", lexicon=lexicon).text == "A naïve jiff."


@pytest.mark.parametrize("content", [b"[1]", b"{", b'{"gif": 5}', b'{"gif": ""}', b'{"a": "\xff"}'])
def test_a_file_that_is_no_lexicon_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "lexicon.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"lexicon\.json"):
        Lexicon.load(path)


def test_a_file_that_is_not_there_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"missing\.json"):
        Lexicon.load(tmp_path / "missing.json")


def test_a_lexicon_cannot_be_changed_by_its_mapping() -> None:
    mapping = {"gif": "jiff"}
    lexicon = Lexicon.of(mapping)
    mapping["gif"] = "giff"
    assert read("gif", lexicon=lexicon).text == "jiff"
