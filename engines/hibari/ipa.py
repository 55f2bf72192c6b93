"""IPA, as dictionaries write English, in the alphabet of hibari's network.

Source: misaki 0.9.4, EN_PHONES.md, for the alphabet (A I O W Y are diphthongs, ᵊ ᵻ reduced vowels, T a flapped t, a
stress mark stands right in front of its vowel); hibari-tts 0.2.1, assets/lexicon_us_gold.json.gz, for which of it an
American voice has heard. What is British or foreign becomes what an American says for it.
"""

import re
import unicodedata
from typing import Final

_VOWELS: Final = "AIOWYiuæɑəɛɜɪɔʊʌᵊᵻ"
_REDUCED: Final = "əᵊᵻ"
_CONSONANTS: Final = "bdfhjklmnpstvwzðŋɡɹʃʒʤʧθT"
_KEPT: Final = frozenset(f"{_VOWELS}{_CONSONANTS}ˈˌ ")

_SYLLABIC: Final = re.compile("([nlmŋ])\u0329")
_SYLLABIC_R: Final = re.compile("[rɹ]\u0329")
_MARKS: Final = str.maketrans({"'": "ˈ", "’": "ˈ", "ʼ": "ˈ", ":": "ː", "ꞌ": "ˈ"})

_SPELLINGS: Final = (
    # Before length marks go: what is long is another vowel, or has lost its r.
    ("[rʁʀɻɽɺ]", "ɹ"),
    ("ɜː(?!\\(?ɹ)", "ɜɹ"),
    ("(?:eə|ɛə|ɛː)(?!\\(?ɹ)", "ɛɹ"),
    ("(?:eə|ɛə)(?=\\(?ɹ)", "ɛ"),
    ("ɪə(?=\\(?ɹ)", "ɪ"),
    ("ʊə(?=\\(?ɹ)", "ʊ"),
    ("ɒː", "ɔ"),
    ("aː", "ɑ"),
    ("[()ː\u02d1]", ""),
    ("[eɛ][ɪi]", "A"),
    ("[aɑʌ][ɪi]", "I"),
    ("[aɑæ][ʊu]", "W"),
    ("[ɔoɒ][ɪi]", "Y"),
    ("[oəɔɜ][ʊu]", "O"),
    ("t[ʃɕ]|[ʨꭧ]", "ʧ"),
    ("d[ʒʑ]|ʥ", "ʤ"),
    ("ʦ", "ts"),
    ("ʣ", "dz"),
    ("ɲ", "nj"),
    ("ʎ", "lj"),
    ("ɝ", "ɜɹ"),
    ("ɚ", "əɹ"),
    ("ˈɐ", "ˈʌ"),
)
_LETTERS: Final = str.maketrans(
    {
        **dict.fromkeys("aæ", "æ"),
        **dict.fromkeys("øœɞ", "ɜ"),
        **dict.fromkeys("yʉɯ", "u"),
        **dict.fromkeys("ʏɵ", "ʊ"),
        **dict.fromkeys("ɐɘɤ", "ə"),
        **dict.fromkeys("xχqc", "k"),
        **dict.fromkeys("ɕʂ", "ʃ"),
        **dict.fromkeys("ʑʐ", "ʒ"),
        **dict.fromkeys("gɣɢɟ", "ɡ"),
        **dict.fromkeys("ʍɥɰ", "w"),
        **dict.fromkeys("ɫɬɭʟ", "l"),
        **dict.fromkeys("βʋ", "v"),
        **dict.fromkeys("çħɦ", "h"),
        **dict.fromkeys("ɳɴ", "n"),
        "e": "ɛ",
        "o": "O",
        "ɒ": "ɑ",
        "ɨ": "ᵻ",
        "ɸ": "f",
        "ʝ": "j",
        "ɱ": "m",
        "ʈ": "t",
        "ɖ": "d",
        "ɾ": "T",
        "ʔ": "t",
    }
)
_STRESS = re.compile(f"([ˈˌ]+)([{_CONSONANTS}]*)(?=[{_VOWELS}])")
_LOST_STRESS = re.compile(f"[ˈˌ](?![{_VOWELS}])")


def phonemes(ipa: str) -> str:
    """The phonemes that hibari's network reads for a word's IPA, with or without marks of stress, length, syllables and
    ties. What has no counterpart is left out; empty where nothing is left that has a sound."""
    text = _without_diacritics(ipa.translate(_MARKS))
    for spelling, phoneme in _SPELLINGS:
        text = re.sub(spelling, phoneme, text)
    text = "".join(char for char in text.translate(_LETTERS) if char in _KEPT)
    return " ".join(filter(None, map(_stressed, text.split())))


def _without_diacritics(ipa: str) -> str:
    """Base letters only, but for a consonant that is a syllable: it gets a vowel."""
    text = unicodedata.normalize("NFD", unicodedata.normalize("NFC", ipa).replace("ç", "h"))
    text = _SYLLABIC_R.sub("əɹ", _SYLLABIC.sub(r"ᵊ\1", text))
    return "".join(char for char in text if not unicodedata.combining(char))


def _stressed(word: str) -> str:
    """The word with each stress in front of its vowel, and with one where the dictionary leaves it to the reader."""
    marked = _LOST_STRESS.sub("", _STRESS.sub(lambda match: match[2] + match[1][0], word))
    if "ˈ" in marked or "ˌ" in marked:
        return marked
    vowels = [index for index, char in enumerate(marked) if char in _VOWELS]
    full = [index for index in vowels if marked[index] not in _REDUCED]
    place = next(iter(full or vowels), 0)
    return f"{marked[:place]}ˈ{marked[place:]}" if vowels else marked
