"""Text to ids as NeMo gives them, and which ids are which word."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nemo.collections.common.tokenizers.text_to_speech.tts_tokenizers import (
    AggregatedTTSTokenizer,
    ChinesePhonemesTokenizer,
    GermanCharsTokenizer,
    HindiCharsTokenizer,
    IPATokenizer,
    JapanesePhonemeTokenizer,
)
from nemo.collections.tts.g2p.models.i18n_ipa import IpaG2p
from nemo.collections.tts.g2p.models.ja_jp_ipa import JapaneseKatakanaAccentG2p
from nemo.collections.tts.g2p.models.zh_cn_pinyin import ChineseG2p
from nemo.collections.tts.parts.utils.tts_dataset_utils import chunk_text_for_inference
from transformers import ByT5Tokenizer

from engines.magpie.checkpoint import Checkpoint, load
from engines.magpie.tokens import Tokenizer
from tests.magpie.archives import rewrite
from tests.magpie.random_checkpoint import write_checkpoint

TOKENIZERS = "nemo.collections.common.tokenizers.text_to_speech.tts_tokenizers"
ENGLISH = {
    "HELLO": [["h", "ə", "ˈ", "l", "o", "ʊ"]],
    "HERE": [["h", "ˈ", "i", "ɹ"]],
    "WORLD": [["w", "ˈ", "ɝ", "l", "d"]],
    "BLUE": [["b", "l", "ˈ", "u"]],
    "IS": [["ɪ", "z"]],
    "AN": [["ə", "n"]],
    "ZOO": [["z", "ˈ", "u"]],
}
SPANISH = {"hola": [["ˈ", "o", "l", "a"]], "mundo": [["m", "ˈ", "u", "n", "d", "o"]]}
PINYIN = {"ni": ["#N", "#I"], "hao": ["#H", "#AO"], "shi": ["#SH", "#I"], "jie": ["#J", "#IE"], "a": ["#A"]}
TEXT_EOS = 5000


def ipa(words: dict[str, Any], locale: str, **options: Any) -> IPATokenizer:
    g2p = IpaG2p(
        words,
        locale=locale,
        phoneme_probability=0.8,
        use_chars=True,
        use_stresses=True,
        ignore_ambiguous_words=False,
        grapheme_case="upper" if locale == "en-US" else "lower",
        heteronyms=["read"],
    )
    return IPATokenizer(g2p, locale=locale, apostrophe=True, **options)


@pytest.fixture(scope="module")
def released() -> Any:
    """Tokenizers of the kinds that the released checkpoints have, with small dictionaries."""
    kinds = {
        "english_phoneme": ipa(ENGLISH, "en-US"),
        "text_ce_tokenizer": ByT5Tokenizer(),
        "spanish_phoneme": ipa(SPANISH, "es-ES", pad_with_space=True),
        "german": GermanCharsTokenizer(),
        "mandarin_phoneme": ChinesePhonemesTokenizer(
            ChineseG2p(PINYIN, tone_prefix="#", word_segmenter="jieba"), pad_with_space=True
        ),
        "japanese_phoneme": JapanesePhonemeTokenizer(JapaneseKatakanaAccentG2p()),
        "hindi_chartokenizer": HindiCharsTokenizer(),
        "french_chartokenizer": ByT5Tokenizer(),
        "klingon_phoneme": GermanCharsTokenizer(),
    }
    return AggregatedTTSTokenizer(list(kinds.values()), list(kinds))


@pytest.fixture(scope="module")
def tokenizer(released: Any) -> Tokenizer:
    return Tokenizer(released, TEXT_EOS)


def nemo_ids(aggregate: Any, text: str, language: str, name: str, eos: int) -> list[int]:
    """NeMo's own, with every word as phonemes: what its inference scripts do, and `do_tts` does not."""
    inner = aggregate.tokenizers[name]
    if hasattr(inner, "set_phone_prob"):
        with inner.set_phone_prob(1.0):
            chunks, _, _ = chunk_text_for_inference(text, language, name, aggregate, eos)
    else:
        chunks, _, _ = chunk_text_for_inference(text, language, name, aggregate, eos)
    assert len(chunks) == 1
    return chunks[0].tolist()


def said(released: Any, tokenizer: Tokenizer, text: str, language: str) -> list[tuple[str, str]]:
    """Each word, and what its ids stand for."""
    tokens = tokenizer.encode(text, language)
    name = tokenizer._names[language]
    return [
        (text[word.char_start : word.char_end], released.decode(list(tokens.ids[word.id_start : word.id_end]), name))
        for word in tokens.words
    ]


@pytest.mark.parametrize(
    ("text", "language", "name"),
    [
        ("Hello, world!", "en", "english_phoneme"),
        ("hello... HELLO? 'Tis read here's worlds", "en", "english_phoneme"),
        ("Blue-world isn't (here); café — naïve.", "en", "english_phoneme"),
        ("Room 42 is 3rd, 7:30.", "en", "english_phoneme"),
        ("Hello", "en", "english_phoneme"),
        ("", "en", "english_phoneme"),
        ("!", "en", "english_phoneme"),
        ("¡Hola, mundo! ¿Qué tal?", "es", "spanish_phoneme"),
        ("Grüße aus Köln: 5 Äpfel, ‚so‘.", "de", "german"),
        ("Ça va? Où est-il, 10 h 30 ?", "fr", "french_chartokenizer"),
        ("你好，世界。", "zh", "mandarin_phoneme"),
        ("你好 iPhone 15!", "zh", "mandarin_phoneme"),
        ("नमस्ते दुनिया।", "hi", "hindi_chartokenizer"),
    ],
)
def test_ids_are_those_of_nemo(released: Any, tokenizer: Tokenizer, text: str, language: str, name: str) -> None:
    assert list(tokenizer.encode(text, language).ids) == nemo_ids(released, text, language, name, TEXT_EOS)


def test_the_same_text_gives_the_same_ids(released: Any, tokenizer: Tokenizer) -> None:
    """NeMo leaves every fifth word as letters, by its own dice: five hundred words in a row would not agree."""
    text = "hello " * 500
    once = tokenizer.encode(text, "en").ids
    random.seed(1)
    assert tokenizer.encode(text, "en").ids == once
    assert released.decode(list(once[:6]), "english_phoneme").replace("|", "") == "həˈloʊ"


def test_ids_of_a_checkpoint_are_those_that_nemo_uses(checkpoint: Callable[[str], Checkpoint]) -> None:
    tokens = checkpoint("tiny").tokenizer.encode("Grüße!", "de")
    assert tokens.ids[-1] == checkpoint("tiny").shape.text_eos == 194
    assert all(45 <= token < 135 for token in tokens.ids[:-1])


# -- languages ---------------------------------------------------------------------------------------------------------


def test_languages_are_those_with_a_tokenizer(tokenizer: Tokenizer) -> None:
    """NeMo's table names Italian, Vietnamese and Japanese as well, and would read them as English."""
    assert tokenizer.languages == ("en", "de", "es", "fr", "zh", "hi")
    with pytest.raises(KeyError):
        tokenizer.encode("ciao", "it")


def test_japanese_is_there_once_its_dictionary_is(
    released: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its reader would download it, unchecked, in the middle of a request."""
    monkeypatch.setattr("pyopenjtalk.OPEN_JTALK_DICT_DIR", str(tmp_path).encode())
    assert "ja" in Tokenizer(released, TEXT_EOS).languages
    monkeypatch.setattr("pyopenjtalk.OPEN_JTALK_DICT_DIR", str(tmp_path / "not there").encode())
    assert "ja" not in Tokenizer(released, TEXT_EOS).languages


def test_a_checkpoints_own_table_of_languages_counts(released: Any) -> None:
    """As in v2607, which has languages that NeMo 3.0.0 does not know."""
    mapping = {
        "de": ["german"],
        "ar-AE": ["klingon_phoneme"],
        "ar-MSA": ["french_chartokenizer"],
        "ar-SA": ["german"],
        "pt-BR": ["missing", "spanish_phoneme"],
        "ko": ["missing"],
        "en": "english_phoneme",
    }
    tokenizer = Tokenizer(released, TEXT_EOS, mapping)
    assert tokenizer._names == {
        "en": "english_phoneme",
        "de": "german",
        "ar": "french_chartokenizer",
        "pt": "spanish_phoneme",
    }


def write_released(folder: Path) -> Path:
    """A checkpoint with a dictionary inside, and a tokenizer that is named as on the hub, as in the released ones."""
    folder.mkdir()
    words, bytes_folder = folder / "words.dict", folder / "bytes"
    words.write_text("HELLO  həˈloʊ\nWORLD  wˈɝld\n", "utf-8")
    ByT5Tokenizer().save_pretrained(bytes_folder)
    g2p = {
        "_target_": "nemo.collections.tts.g2p.models.i18n_ipa.IpaG2p",
        "phoneme_dict": str(words),
        "phoneme_probability": 0.8,
        "use_chars": True,
    }
    tokenizers = {
        "english_phoneme": {"_target_": f"{TOKENIZERS}.IPATokenizer", "apostrophe": True, "g2p": g2p},
        "french_chartokenizer": {"_target_": "AutoTokenizer", "pretrained_model": str(bytes_folder)},
    }
    settings = {
        "text_tokenizers": tokenizers,
        "language_to_tokenizer_mapping": {"fr": ["french_chartokenizer"], "en": ["english_phoneme"]},
    }
    written = write_checkpoint("tiny", folder, settings=settings)
    words.unlink()

    def as_released(config: dict[str, Any]) -> None:
        assert config["text_tokenizers"]["english_phoneme"]["g2p"]["phoneme_dict"].startswith("nemo:")
        config["text_tokenizers"]["french_chartokenizer"]["pretrained_model"] = "google/byt5-small"

    return rewrite(written, folder / "released.nemo", as_released)


def test_a_checkpoint_with_dictionaries_and_bytes_needs_no_hub(tmp_path: Path) -> None:
    checkpoint = load(str(write_released(tmp_path / "written")), report=lambda _: None)
    assert checkpoint.tokenizer.languages == ("en", "fr")
    first_byte = checkpoint.shape.num_text_ids - 2 - 384
    french = checkpoint.tokenizer.encode("Ça", "fr")
    assert french.ids == (*(first_byte + 3 + byte for byte in "Ça".encode()), first_byte + 1, checkpoint.shape.text_eos)
    assert len(checkpoint.tokenizer.encode("Hello", "en").ids) == 7


# -- words -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "language", "words"),
    [
        ("Hello, world!", "en", [("Hello,", "h|ə|ˈ|l|o|ʊ|,"), ("world!", "w|ˈ|ɝ|l|d|!")]),
        ("  Hello   world ", "en", [("Hello", "h|ə|ˈ|l|o|ʊ"), ("world", "w|ˈ|ɝ|l|d")]),
        ("Blue\nworld", "en", [("Blue", "b|l|ˈ|u"), ("world", "w|ˈ|ɝ|l|d")]),
        ("hello", "en", [("hello", "h|ə|ˈ|l|o|ʊ")]),
        ("hello 42 world", "en", [("hello", "h|ə|ˈ|l|o|ʊ"), ("42", ""), ("world", "w|ˈ|ɝ|l|d")]),
        ("hola mundo", "es", [("hola", "ˈ|o|l|a"), ("mundo", "m|ˈ|u|n|d|o")]),
        ("Ça va", "fr", [("Ça", "Ça"), ("va", "va")]),
        (
            "你好，世界。",
            "zh",
            [("你", "#N|#I|#3"), ("好，", "#H|#AO|#3|，"), ("世", "#SH|#I|#4"), ("界。", "#J|#IE|#4|。")],
        ),
        ("नमस्ते दुनिया।", "hi", [("नमस्ते", "नमस्ते"), ("दुनिया।", "दुनिया।")]),
    ],
)
def test_each_word_has_its_ids(
    released: Any, tokenizer: Tokenizer, text: str, language: str, words: list[tuple[str, str]]
) -> None:
    assert said(released, tokenizer, text, language) == words


def test_words_of_which_nothing_is_left_stand_where_they_are(tokenizer: Tokenizer) -> None:
    first, gone, last = tokenizer.encode("hello 42 world", "en").words
    assert first.id_end == gone.id_start == gone.id_end <= last.id_start


@pytest.mark.parametrize("text", ["", " ", "42", "42 17", "\n\t", "🙂", "…", "'"])
@pytest.mark.parametrize("language", ["en", "es", "de", "zh", "hi"])
def test_a_text_without_a_sound_says_so(tokenizer: Tokenizer, text: str, language: str) -> None:
    """NeMo's readers of phonemes fail on some of these."""
    tokens = tokenizer.encode(text, language)
    assert tokens.ids[-1] == TEXT_EOS
    assert not tokens.has_sound


@pytest.mark.parametrize(("text", "language"), [("a", "en"), ("42", "fr"), ("好", "zh"), ("ए", "hi"), ("ß", "de")])
def test_a_text_with_a_sound_says_so(tokenizer: Tokenizer, text: str, language: str) -> None:
    assert tokenizer.encode(text, language).has_sound


@given(text=st.text(st.sampled_from("aehéß好你42 .,'-—\n\t</s>🙂ए़1\u00a0"), max_size=30), data=st.data())
def test_words_are_in_order_and_inside_whatever_the_text(tokenizer: Tokenizer, text: str, data: st.DataObject) -> None:
    language = data.draw(st.sampled_from(tokenizer.languages))
    tokens = tokenizer.encode(text, language)
    at_char, at_id = 0, 0
    for word in tokens.words:
        assert at_char <= word.char_start < word.char_end <= len(text)
        assert at_id <= word.id_start <= word.id_end < len(tokens.ids)
        at_char, at_id = word.char_end, word.id_end
    covered = {index for word in tokens.words for index in range(word.char_start, word.char_end)}
    assert all(char.isspace() for index, char in enumerate(text) if index not in covered)


# -- what can be spoken ------------------------------------------------------------------------------------------------


def test_letters_and_digits_that_leave_a_trace_are_speakable(tokenizer: Tokenizer) -> None:
    """Digits and foreign letters have no phonemes; bytes keep everything."""
    assert all(tokenizer.is_speakable(char, "en") for char in "aZéñ")
    assert not any(tokenizer.is_speakable(char, "en") for char in "42好ж")
    assert all(tokenizer.is_speakable(char, "de") for char in "aßÄ")
    assert not tokenizer.is_speakable("4", "de")
    assert tokenizer.is_speakable("好", "zh")
    assert all(tokenizer.is_speakable(char, "fr") for char in "4çж好")
    assert all(tokenizer.is_speakable(char) for char in "4ж好")
