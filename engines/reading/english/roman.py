"""Roman numerals behind a name: Henry the Eighth, World War Two, Chapter Four."""

import re
from typing import Final

from engines.abbreviations import STARTERS, words
from engines.reading.number_words import cardinal, ordinal
from engines.reading.rules import after, before, needing, rule

_VALUES: Final = {"I": 1, "V": 5, "X": 10, "L": 50}
_CANONICAL: Final = r"(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})"

_SIZES: Final = 40  # XL

_PARTS: Final = words("""
    chapter part book volume section act scene phase type class level stage episode season figure table article
    title war bowl grade appendix unit module mark tier fantasy group round division category schedule amendment
    step
""")
_RULERS: Final = words("""
    Henry Louis Elizabeth George Charles Edward Richard William James Mary Philip Francis Napoleon Catherine Peter
    Alexander Nicholas Ivan Frederick Wilhelm Paul Benedict Pius Leo Gregory Clement Innocent Urban Ramesses Ramses
    Ptolemy Cleopatra Leopold Ferdinand Alfonso Otto Haakon Harald Gustav Carl Christian Margrethe Carlos Felipe
    Umberto Emmanuel Mehmed Murad Suleiman Selim Xerxes Darius Thutmose Amenhotep Seti Joseph Maximilian Rudolf
    Albert Rainier Baldwin Isabella Christina Olav Pedro Robert David Stephen John Boniface Sixtus Julius
    Paul Rama
""")
_PREVIOUS = re.compile(r"(?:\b([^\W\d_]+)[ \u00a0])?\b([^\W\d_]+)[ \u00a0]$")
_VERB = re.compile(
    r"\s(?:am|have|had|was|will|would|can|could|did|do|saw|think|know|like|need|want|got|said|must|may)\b"
)
_NOT_I = re.compile(r"[,.;:!?)]|$|\s(?:of|and|was|is|to|by|in|died|ruled|reigned|had|became|from|with)\b")


def _value(numeral: str) -> int:
    values = [_VALUES[letter] for letter in numeral]
    return sum(-one if one < after else one for one, after in zip(values, [*values[1:], 0], strict=True))


def _numeral(match: re.Match[str]) -> str | None:
    """In words behind a part, a ruler or another name; None for the pronoun, a size and a drip."""
    found = _PREVIOUS.search(before(match))
    if found is None or (match[0] == "I" and not _is_one(match, found[2])):
        return None
    earlier, previous = found[1] or "", found[2]
    value, is_short = _value(match[0]), len(match[0]) == 1
    if previous.lower() in _PARTS and (previous[0].isupper() or not is_short):
        words = cardinal(value, "en")
        return words.capitalize() if previous[0].isupper() else words
    if not previous.istitle() or previous in STARTERS:
        return None
    if previous in _RULERS or (earlier in _RULERS and not is_short):
        return f"the {ordinal(value, 'en').capitalize()}"
    return cardinal(value, "en").capitalize() if not is_short and value < _SIZES else None


def _is_one(match: re.Match[str], previous: str) -> bool:
    """Whether "I" is a numeral here, and no pronoun."""
    rest = after(match)
    if previous == "War" or _NOT_I.match(rest):
        return True
    return previous in ("Type", "Class", "Phase", "Stage", "Grade", "Level") and not _VERB.match(rest)


def _small(match: re.Match[str]) -> str | None:
    """Scene iii, page iv."""
    found = _PREVIOUS.search(before(match))
    if found is None or found[2].lower() not in (*_PARTS, "page"):
        return None
    return cardinal(_value(match[0].upper()), "en")


RULES: Final = (
    rule(r"(?<![\w.'’-])(?:i{2,3}|iv|vi{1,3}|ix|xi{1,3}|xi?v|xvi{1,3}|xi?x)(?!\w|-\w|['’]\w)", _small),
    *needing("IVXL", rule(rf"(?<![\w.'’-])(?=[IVXL]){_CANONICAL}(?!\w|-\w|['’](?!s\b)\w|\.[A-Z])", _numeral)),
)
