"""What hibari reads where somebody says how a word is pronounced."""

import json
import re
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.hibari.model import ASSETS
from engines.hibari.reading import Reader, Reading
from engines.reading.spoken import Sound

LETTERS = {number: char for char, number in json.loads((ASSETS / "vocab.json").read_text("utf-8")).items()}
UNSTRESSED = {ord(mark): None for mark in "ˈˌ"}
MEETING = "Dr. Nguyen meets Siobhan at 7:30 pm, for $5."


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader(ASSETS)


def sounds(text: str, **by_word: str) -> list[Sound]:
    """A sound for each of the words, wherever it stands."""
    found = [(match, ipa) for word, ipa in by_word.items() for match in re.finditer(rf"\b{word}\b", text)]
    return [Sound(match.start(), match.end(), ipa) for match, ipa in found]


def heard(reading: Reading) -> str:
    return "".join(LETTERS[number] for number in reading.ids)


def by_word(reading: Reading) -> dict[str, str]:
    return {
        word.text: "".join(LETTERS[number] for number in reading.ids[round(word.id_start) : round(word.id_end)])
        for word in reading.words
    }


def test_a_word_is_pronounced_as_it_is_said_to_be_and_the_others_as_before(reader: Reader) -> None:
    plain = by_word(reader.read(MEETING))
    told = by_word(reader.read(MEETING, sounds(MEETING, Nguyen="wɪn", Siobhan="ʃɪˈvɔːn")))
    assert (told["Nguyen"], told["Siobhan"]) == ("wˈɪn", "ʃɪvˈɔn")
    assert (plain["Nguyen"], plain["Siobhan"]) != (told["Nguyen"], told["Siobhan"])
    assert {word: told[word] for word in told if word not in ("Nguyen", "Siobhan")} == {
        word: plain[word] for word in plain if word not in ("Nguyen", "Siobhan")
    }


def test_written_words_keep_their_places(reader: Reader) -> None:
    told = reader.read(MEETING, sounds(MEETING, Nguyen="wɪn", Siobhan="ʃɪˈvɔːn"))
    assert [word.text for word in told.words] == MEETING.split()
    assert all(MEETING[word.char_start : word.char_end] == word.text for word in told.words)
    edges = [edge for word in told.words for edge in (word.id_start, word.id_end)]
    assert edges == sorted(edges)


@pytest.mark.parametrize("word", ["42", "5/6", "7:30", "Dr.", "km", "$5", "3rd"])
def test_what_normalisation_would_write_out_is_left_to_the_sound(reader: Reader, word: str) -> None:
    text = f"They say {word} here."
    start = text.index(word)
    read = reader.read(text, [Sound(start, start + len(word), "ˈfɔːti")])
    assert by_word(read)[word] == "fˈɔti"
    assert heard(read).startswith(heard(reader.read("They say")))


@pytest.mark.parametrize(
    ("name", "ipa", "expected"),
    [
        ("Nguyen's", "wɪn", "wˈɪnz"),
        ("Pat’s", "pæt", "pˈæts"),
        ("Liz's", "lɪz", "lˈɪzᵻz"),
        ("Siobhan'd", "ʃɔn", "ʃˈɔnd"),
    ],
)
def test_what_is_hung_on_a_word_follows_its_sound(reader: Reader, name: str, ipa: str, expected: str) -> None:
    text = f"It is {name} book."
    start = text.index(name)
    read = by_word(reader.read(text, [Sound(start, start + len(re.split("['’]", name)[0]), ipa)]))
    assert read[name].replace(" ", "") == expected
    assert read["book."] == by_word(reader.read("It is a book."))["book."]


def test_punctuation_around_a_word_stays_with_it(reader: Reader) -> None:
    text = "(Nguyen), Nguyen? Nguyen!"
    read = reader.read(text, sounds(text, Nguyen="wɪn"))
    assert heard(read) == "(wˈɪn), wˈɪn? wˈɪn!"
    assert [word.text for word in read.words] == text.split()


def test_several_words_may_have_one_sound(reader: Reader) -> None:
    text = "I love New York, really."
    start = text.index("New")
    read = reader.read(text, [Sound(start, start + len("New York"), "nuːˈjɔːk")])
    assert "nujˈɔk," in heard(read)
    assert [word.text for word in read.words] == text.split()


@pytest.mark.parametrize(
    "wrong",
    [[Sound(0, 3, "123")], [Sound(0, 3, "")], [Sound(3, 3, "wɪn")], [Sound(3, 4, "wɪn")], [Sound(90, 95, "wɪn")]],
)
def test_a_sound_that_says_nothing_changes_nothing(reader: Reader, wrong: Sequence[Sound]) -> None:
    assert reader.read("Dr. Nguyen is in.", wrong) == reader.read("Dr. Nguyen is in.")


def test_of_two_sounds_for_a_place_the_first_counts(reader: Reader) -> None:
    first, second = Sound(4, 10, "wɪn"), Sound(6, 10, "ˈfɔːti")
    assert reader.read("Dr. Nguyen.", [second, first]) == reader.read("Dr. Nguyen.", [first])


def test_words_that_look_like_our_own_names_are_read(reader: Reader) -> None:
    text = "zqxaz Nguyen zqxaz"
    read = by_word(reader.read(text, sounds(text, Nguyen="wɪn")))
    assert read == {"zqxaz": by_word(reader.read("zqxaz"))["zqxaz"], "Nguyen": "wˈɪn"}


@given(st.lists(st.sampled_from(["Nguyen", "the", "5", "and", "a,", "Siobhan.", "$3", "(x)"]), min_size=1, max_size=14))
def test_any_number_of_sounds_finds_its_words(reader: Reader, words: list[str]) -> None:
    text = " ".join(words)
    read = reader.read(text, sounds(text, Nguyen="wɪn", Siobhan="ʃɪˈvɔːn"))
    assert [word.text for word in read.words] == words
    assert heard(read).count("wˈɪn") == words.count("Nguyen")
    assert heard(read).count("ʃɪvˈɔn") == words.count("Siobhan.")


def test_a_clients_own_mark_for_phonemes_is_text(reader: Reader) -> None:
    """hibari's front end takes `[word](/phonemes/)` for its own."""
    text = "Say [cat](/dɔɡ/) now."
    assert "kˈæt" in heard(reader.read(text))
    assert [word.text for word in reader.read(text).words] == text.split()


# -- capitals ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "So he WENT home.",
        "The river was 3.5 METRES deep.",
        "IT RAINED. So HE WENT home.",
        "And HE WAS called Café.",
        "They gave it to HIM, not to ME!",
        "It was CALLED off, AND we LIVED.",
    ],
)
def test_words_in_capitals_are_read_as_words(reader: Reader, text: str) -> None:
    assert heard(reader.read(text)).translate(UNSTRESSED) == heard(reader.read(text.lower())).translate(UNSTRESSED)


@pytest.mark.parametrize("initials", ["FBI", "CIA", "IBM", "UN", "EU", "HR", "OS", "US", "MIT", "HTML", "FAQ", "ADHD"])
@pytest.mark.parametrize("text", ["We asked {} today.", "WE WENT TO THE {} WITH THEM."])
def test_initials_are_spelled(reader: Reader, text: str, initials: str) -> None:
    sound = by_word(reader.read(text.format(initials)))[initials]
    assert sound.count("ˌ") + sound.count("ˈ") == len(initials), sound


def test_it_is_a_word_among_shouted_ones_alone(reader: Reader) -> None:
    assert by_word(reader.read("I work in IT now."))["IT"] == "ˌItˈi"
    assert by_word(reader.read("Why did IT RAIN so?"))["IT"] == "ˈɪt"
