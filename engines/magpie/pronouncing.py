"""A lexicon's IPA as the phonemes that one of NeMo's tokenizers knows.

NeMo takes what stands between bars as phonemes, parted by spaces, instead of looking a word up.
Source: nemo_toolkit 3.0.0, `tokenizer_utils._word_tokenize`, `IpaG2p.__call__`.
"""

import logging
import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

from engines.reading.spoken import Sound

logger = logging.getLogger(__name__)

_SILENT: Final = ".‿|‖ːˑ"
"""Syllables, groups and lengths, which no dictionary of NeMo's marks."""

_STRESSES: Final = frozenset("ˈˌ'")

_OTHERS: Final = {
    **{"r": "ɹ ɾ", "ɹ": "r ɾ", "ɾ": "ɹ r t", "ʁ": "ɹ r", "ɻ": "ɹ", "l": "ɫ", "ɫ": "l", "g": "ɡ", "ɡ": "g", "ʔ": "t"},
    **{"e": "ɛ", "ɛ": "e", "o": "ɔ", "ɔ": "o ɑ", "a": "æ ɑ", "ɑ": "a", "æ": "a", "ɒ": "ɑ ɔ", "ɐ": "ʌ ə", "ʌ": "ə a"},
    **{
        "ɜ": "ɝ ə ɛ",
        "ɝ": "ɜ ə",
        "ɚ": "ɝ ə",
        "ɨ": "ɪ i",
        "ᵻ": "ɪ i",
        "ʉ": "u",
        "ɪ": "i",
        "ʊ": "u",
        "y": "u",
        "ø": "œ ə",
    },
    **{
        "œ": "ø ə",
        "ʏ": "y ʊ",
        "ç": "x h",
        "x": "h k",
        "χ": "x h",
        "ɦ": "h",
        "β": "b v",
        "ʋ": "v",
        "ɲ": "n",
        "ʎ": "ʝ j",
    },
    **{"ʝ": "j", "θ": "s", "ð": "d", "ə": "ɐ e", "ʃ": "s", "ʒ": "ʃ z", "ŋ": "n", "ˈ": "'", "'": "ˈ", "ˌ": ""},
}
"""What comes nearest, the best first, where a dictionary spells a sound otherwise or its language lacks it."""

_POSSESSIVE = re.compile(r"['’]s(?!\w)")
_HISSED: Final = frozenset("szʃʒ")
_VOICELESS: Final = frozenset("ptkfθ")


def takes_phonemes(tokenizer: Any) -> bool:
    """Whether it reads what stands between bars, as it stands."""
    g2p = getattr(tokenizer, "g2p", None)
    return type(g2p).__name__ == "IpaG2p" and not getattr(g2p, "grapheme_prefix", "")


def phonemes_of(ipa: str, known: frozenset[str]) -> tuple[str, ...] | None:
    """The symbols of one word that `known` has, or what comes nearest; None where a sound has no counterpart."""
    found: list[str] = []
    for char in unicodedata.normalize("NFD", unicodedata.normalize("NFC", ipa).replace("ç", "\ue000")):
        char = "ç" if char == "\ue000" else char
        if char in _SILENT or unicodedata.combining(char):
            continue
        nearest = (
            char if char in known else next((other for other in _OTHERS.get(char, "").split() if other in known), "")
        )
        if nearest:
            found.append(nearest)
        elif char.isalpha() and char not in _STRESSES:
            return None
    return tuple(found) if set(found) - _STRESSES else None


def with_phonemes(text: str, sounds: Sequence[Sound], known: frozenset[str]) -> str:
    """The text, with phonemes between bars for the words whose sound is given. One that cannot be made of the phonemes
    that are `known` is left as it is written, and a warning says so.
    """
    parts: list[str] = []
    end = 0
    for sound in sorted(sounds, key=lambda sound: sound.start):
        said = _words(sound.ipa, known)
        if said is None:
            _warn(sound.ipa)
            continue
        parts += [text[end : sound.start]]
        end = sound.end
        if (suffix := _POSSESSIVE.match(text, end)) is not None:
            said[-1] += _possessive(said[-1][-1], known)
            end = suffix.end()
        parts.append(" ".join(f"|{' '.join(word)}|" for word in said))
    return "".join([*parts, text[end:]])


def _words(ipa: str, known: frozenset[str]) -> list[tuple[str, ...]] | None:
    words = [phonemes_of(word, known) for word in ipa.split()]
    whole = [word for word in words if word is not None]
    return whole if whole and len(whole) == len(words) else None


def _possessive(last: str, known: frozenset[str]) -> tuple[str, ...]:
    """How 's sounds behind a word."""
    if last in _HISSED:
        return phonemes_of("ɪz", known) or ()
    return phonemes_of("s" if last in _VOICELESS else "z", known) or ()


@lru_cache(maxsize=1024)
def _warn(ipa: str) -> None:
    """Once for each, and without the word: what is spoken is nobody's business."""
    logger.warning("the lexicon's /%s/ is not used: in this language the voice reads that word as it is written", ipa)
