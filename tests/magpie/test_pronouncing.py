"""A lexicon's IPA reaches Magpie's encoder as phonemes, where the tokenizer of the language reads any."""

import logging
from typing import Any

import pytest
from nemo.collections.common.tokenizers.text_to_speech.tts_tokenizers import (
    AggregatedTTSTokenizer,
    GermanCharsTokenizer,
)

from engines.magpie.pronouncing import phonemes_of
from engines.magpie.tokens import Tokenizer, Tokens
from engines.reading import Lexicon, read
from engines.reading.spoken import Sound
from tests.magpie.test_tokens import ENGLISH, SPANISH, TEXT_EOS, ipa

KNOWN = frozenset("abdefhijklmnoprstuvwzəˈɪʊɛɔʌɝɹɡŋʃʒθðɫ")


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    kinds: dict[str, Any] = {
        "english_phoneme": ipa(ENGLISH, "en-US"),
        "spanish_phoneme": ipa(SPANISH, "es-ES", pad_with_space=True),
        "german": GermanCharsTokenizer(),
    }
    return Tokenizer(AggregatedTTSTokenizer(list(kinds.values()), list(kinds)), TEXT_EOS)


def encoded(tokenizer: Tokenizer, text: str, lexicon: dict[str, str], language: str = "en") -> Tokens:
    spoken = read(text, language, Lexicon(lexicon))
    return tokenizer.encode(spoken.text, language, spoken.sounds)


@pytest.mark.parametrize(
    ("text", "lexicon", "same"),
    [
        ("The gif is here.", {"gif": "/həˈloʊ/"}, "The hello is here."),
        ("The SQL server is here.", {"SQL server": "/wˈɝld blˈu/"}, "The world blue is here."),
        ("gif", {"gif": "/wˈɝːld/"}, "world"),
        ("gif, gif!", {"gif": "/ˈh‿i.ɹ/"}, "here, here!"),
        ("A gif is a gif.", {"gif": "/ən/"}, "A an is a an."),
    ],
)
def test_a_word_with_ipa_is_read_as_one_that_sounds_so(
    tokenizer: Tokenizer, text: str, lexicon: dict[str, str], same: str
) -> None:
    known = set(tokenizer._aggregate.tokenizers["english_phoneme"].tokens)
    assert {"h", "ə", "ˈ", "l", "o", "ʊ", "ɝ"} <= known
    expected = tokenizer.encode(same, "en").ids
    ids = encoded(tokenizer, text, lexicon).ids
    if "ˈ" in next(iter(lexicon.values()))[1:2]:  # where the dictionary has the stress elsewhere
        assert sorted(ids) == sorted(expected)
    else:
        assert ids == expected


def test_words_keep_their_places(tokenizer: Tokenizer) -> None:
    text = "The gif is here."
    tokens = encoded(tokenizer, text, {"gif": "/həˈloʊ/"})
    assert [text[word.char_start : word.char_end] for word in tokens.words] == ["The", "gif", "is", "here."]
    gif = tokens.words[1]
    assert gif.id_end - gif.id_start == len("həˈloʊ")
    assert tokens.has_sound


def test_a_possessive_sounds(tokenizer: Tokenizer) -> None:
    plain, possessive = (encoded(tokenizer, text, {"gif": "/wˈɝld/"}).ids for text in ("gif", "gif's"))
    assert possessive[: len(plain) - 1] == plain[:-1]
    assert len(possessive) == len(plain) + 1


def test_another_language_with_phonemes_takes_ipa_as_well(tokenizer: Tokenizer) -> None:
    spoken = Sound(3, 6, "ˈola")
    assert tokenizer.encode("el gif", "es", (spoken,)).ids == tokenizer.encode("el hola", "es").ids


@pytest.mark.parametrize(("language", "ipa"), [("de", "həˈloʊ"), ("en", "ʘǃ")])
def test_what_cannot_be_taken_is_read_as_written_and_said(
    tokenizer: Tokenizer, caplog: pytest.LogCaptureFixture, language: str, ipa: str
) -> None:
    """By letters in German; a click in English."""
    text = f"hello {language}"
    sound = Sound(0, 5, ipa)
    with caplog.at_level(logging.WARNING, "engines.magpie.pronouncing"):
        tokens = tokenizer.encode(text, language, (sound,))
        tokenizer.encode(text, language, (sound,))
    assert tokens == tokenizer.encode(text, language)
    assert len(caplog.records) == 1, "once for an entry"
    assert ipa in caplog.text
    assert "hello" not in caplog.text


def test_sounds_that_a_dictionary_spells_otherwise_are_what_comes_nearest() -> None:
    assert phonemes_of("ɹɛd", KNOWN) == ("ɹ", "ɛ", "d")
    assert phonemes_of("gɜːɫ", KNOWN) == ("ɡ", "ɝ", "ɫ")
    assert phonemes_of("t͡ʃaɪ", KNOWN) == ("t", "ʃ", "a", "ɪ")
    assert phonemes_of("fɑðə", KNOWN - {"ɑ", "ð"}) == ("f", "a", "d", "ə")
    assert phonemes_of("ˈˌ", KNOWN) is None
    assert phonemes_of("ǃa", KNOWN) is None
