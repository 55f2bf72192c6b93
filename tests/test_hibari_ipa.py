"""IPA as dictionaries write it, in the alphabet of hibari's network."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.hibari.ipa import phonemes
from engines.hibari.model import ASSETS

VOCABULARY = json.loads((ASSETS / "vocab.json").read_text("utf-8"))
VOWELS = "AIOWYiuæɑəɛɜɪɔʊʌᵊᵻ"

# A line: the phonemes, then ways to write them.
DICTIONARY = """
bˈɜɹd bɝd bɜːd ˈbɝd /bɜɹd/ [bɝːd]
kəmpjˈuTəɹ kəmˈpjuːɾəɹ kəmˈpjuɾɚ kəm.ˈpjuː.ɾə(ɹ)
ʧˈɜɹʧ t͡ʃɝt͡ʃ tʃɜːtʃ ˈt͜ʃɜɹtʃ
ʤˈʌʤ dʒʌdʒ ˈd͡ʒʌd͡ʒ
ɡˈOt ɡəʊt goʊt ˈɡoʊt ɡo͡ʊt ɡəʊ̯t
fˈAs feɪs fɛɪs ˈfe͡ɪs
pɹˈIs praɪs pɹʌɪs ˈpɹaɪ̯s
mˈWθ maʊθ mɑʊθ mæʊθ
ʧˈYs tʃɔɪs ˈtʃɔɪ̯s
skwˈɛɹ skweə skwɛː skwɛəɹ ˈskwɛə(r)
lˈɑt lɒt lɑːt ˈlɑt
sˈʌdᵊn ˈsʌdn̩ ˈsʌdᵊn
lˈɪTəl ˈlɪɾəɫ ˈlɪɾəl
bˈɔn bɔ̃n bɔːn
əmˌɛɹəkənəzˈAʃən əˌmɛɹəkənəˈzeɪʃən
"""


@pytest.mark.parametrize(
    ("expected", "ipa"),
    [(line.split(" ")[0], ipa) for line in DICTIONARY.strip().splitlines() for ipa in line.split(" ")[1:]],
)
def test_the_spellings_of_dictionaries_are_one(expected: str, ipa: str) -> None:
    assert phonemes(ipa) == expected


def test_words_that_are_pronounced_together_stay_apart() -> None:
    assert phonemes("ˈnjuː  ˈjɔːɹk") == "njˈu jˈɔɹk"


@pytest.mark.parametrize("ipa", ["wˈɔTəɹ", "ˈwɔTəɹ", "kəmˌjunəkˈAʃən"])
def test_a_stress_stands_in_front_of_its_vowel(ipa: str) -> None:
    read = phonemes(ipa)
    assert all(read[index + 1] in "ɔuAə" for index, char in enumerate(read) if char in "ˈˌ")
    assert phonemes(read) == read


@pytest.mark.parametrize(("ipa", "place"), [("wɪn", 1), ("əbaʊt", 2), ("ðə", 1), ("ˌoʊ", 0)])
def test_a_word_without_a_stress_gets_one_on_a_full_vowel(ipa: str, place: int) -> None:
    assert phonemes(ipa)[place] in "ˈˌ"


@pytest.mark.parametrize("ipa", ["", "123", "//", "ˈ", "˥˩", "ʘǃ", "。"])
def test_nothing_is_left_of_what_has_no_counterpart(ipa: str) -> None:
    assert phonemes(ipa) == ""


@pytest.mark.parametrize(
    ("ipa", "expected"), [("ǃwɪn", "wˈɪn"), ("w˥ɪn", "wˈɪn"), ("lɒx", "lˈɑk"), ("paˈeʎa", "pæˈɛljæ")]
)
def test_foreign_sounds_become_near_ones_or_are_left_out(ipa: str, expected: str) -> None:
    assert phonemes(ipa) == expected


@given(st.text(alphabet="abdefhijklmnoprstuvwyzæɑɒɐəɚɝɛɜɪɔʊʌɹɡŋθðʃʒʔɾɫxçøœ̩̃͡ːˈˌ.()/ -'", max_size=30))
def test_all_that_comes_out_is_in_the_alphabet(ipa: str) -> None:
    read = phonemes(ipa)
    assert set(read) <= set(VOCABULARY)
    assert all(vowel in VOWELS for _, vowel in re.findall(r"([ˈˌ])(.?)", read))
