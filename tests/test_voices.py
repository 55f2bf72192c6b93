"""Which voice a name means."""

import pytest

from engines.errors import UnknownVoice
from engines.types import Voice
from engines.voices import DEFAULT_VOICE, WELL_KNOWN, VoiceBook

HEART = Voice("Heart", "en-US", "female")
ADAM = Voice("Adam", "en-US", "male")
ECHO = Voice("echo", "en-US", "female")

OPENAI = [
    "alloy", "ash", "ballad", "coral", "echo", "fable", "nova", "onyx", "sage", "shimmer", "verse", "marin", "cedar"
]  # fmt: skip
MAGPIE = ["aria", "john", "sofia", "jason", "leo"]


@pytest.mark.parametrize("name", OPENAI + MAGPIE)
def test_well_known_names_always_resolve(name: str) -> None:
    assert VoiceBook([HEART]).resolve(name).name == "Heart"


def test_a_well_known_name_means_a_voice_of_its_gender_where_there_is_one() -> None:
    book = VoiceBook([HEART, ADAM])
    for name, gender in WELL_KNOWN.items():
        assert book.resolve(name).gender == gender


def test_a_models_own_voice_goes_before_a_well_known_name() -> None:
    book = VoiceBook([HEART, ADAM, ECHO])
    assert book.resolve("echo").name == "echo"
    assert all("echo" not in voice.aliases for voice in book.voices)


@pytest.mark.parametrize("name", ["heart", "HEART", "Heart", " heart ", "NOVA"])
def test_names_are_case_insensitive(name: str) -> None:
    assert VoiceBook([HEART]).resolve(name).name == "Heart"


def test_the_default_voice_is_there() -> None:
    assert VoiceBook([ADAM]).resolve(DEFAULT_VOICE).name == "Adam"


@pytest.mark.parametrize("name", ["nobody", "", "hear", "heart2"])
def test_an_unknown_name_is_refused_with_the_choices(name: str) -> None:
    with pytest.raises(UnknownVoice) as caught:
        VoiceBook([HEART, ADAM]).resolve(name)
    assert repr(name) in str(caught.value)
    for choice in ("Heart", "Adam", "alloy", "aria"):
        assert choice in str(caught.value)
    assert (caught.value.code, caught.value.param) == ("unknown_voice", "voice")


def test_every_alias_is_listed_once_at_the_voice_that_answers_to_it() -> None:
    book = VoiceBook([HEART, ADAM])
    assert sorted(alias for voice in book.voices for alias in voice.aliases) == sorted(WELL_KNOWN)
    for voice in book.voices:
        assert all(book.resolve(alias) is voice for alias in voice.aliases)


def test_voices_keep_their_order_and_what_they_are() -> None:
    book = VoiceBook([ADAM, HEART])
    assert [(voice.name, voice.locale, voice.gender) for voice in book.voices] == [
        ("Adam", "en-US", "male"),
        ("Heart", "en-US", "female"),
    ]
