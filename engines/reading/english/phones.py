"""Numbers that are dialled or copied, digit by digit in the groups they are written in."""

import re
from typing import Final

from engines.reading.english.numbers import DASH, cardinal
from engines.reading.number_words import digits
from engines.reading.rules import before, rule

_GAP: Final = rf"(?:[ .\u00a0]|{DASH})"
_START: Final = r"(?<![\w.,/-])"
_END: Final = r"(?![\w]|[.,/]\d|-\w)"
_EXTENSION: Final = r"(?:,? ?(?:x|ext\.?|extension) ?(?P<extension>\d{1,6}))?"
_STATE: Final = re.compile(
    r"\b(?:A[KLRZ]|C[AOT]|D[CE]|FL|GA|HI|I[ADLN]|K[SY]|LA|M[ADEINOST]|N[CDEHJMVY]|O[HKR]|PA|RI|S[CD]|T[NX]|UT|V[AT]|"
    r"W[AIVY]),? $"
)
_TO_CALL: Final = re.compile(
    r"\b(?:call|dial|ring|text|phone|tel\.?|(?:phone|my|your|the) number is):? $", re.IGNORECASE
)


def _group(text: str) -> str:
    """ "five five five"; 800 and the like as hundreds; letters as they stand."""
    if text.isalpha():
        return text
    if len(text) == 3 and text.endswith("00") and text[0] != "0":
        return cardinal(int(text), "en")
    return digits(text, "en")


def _phone(match: re.Match[str]) -> str:
    number = match["number"]
    words = ", ".join(_group(part) for part in re.findall(r"\d+|[A-Za-z]+", number))
    plus = "plus " if number[0] == "+" else ""
    return f"{plus}{words}{_extension(match.groupdict().get('extension'))}"


def _extension(written: str | None) -> str:
    if not written:
        return ""
    return f", extension {digits(written, 'en') if len(written) > 2 else cardinal(int(written), 'en')}"


def _groups(match: re.Match[str]) -> str:
    return ", ".join(digits(part, "en") for part in re.findall(r"\d+", match[0]))


def _zip(match: re.Match[str]) -> str | None:
    """90210 behind the letters of a state."""
    return _groups(match) if _STATE.search(before(match)) else None


def _local(match: re.Match[str]) -> str | None:
    """555 0199, where somebody is to be called."""
    return _groups(match) if _TO_CALL.search(before(match)) else None


RULES: Final = (
    rule(rf"(?<![\w.,/-])(?P<number>\+\d{{1,3}}(?:{_GAP}?\(?\d{{1,5}}\)?){{2,6}}){_EXTENSION}{_END}", _phone),
    rule(
        rf"{_START}(?P<number>(?:1{_GAP})?(?:\(\d{{3}}\){_GAP}?|\d{{3}}{_GAP})\d{{3}}{_GAP}\d{{4}}){_EXTENSION}{_END}",
        _phone,
    ),
    rule(
        rf"{_START}(?P<number>(?:1-)?8(?:00|33|44|55|66|77|88)-[A-Z]{{4,9}}(?:-[A-Z]{{2,7}})?)(?!\w)",
        _phone,
    ),
    rule(rf"{_START}(?P<number>\d{{3}}-\d{{4}}){_EXTENSION}{_END}", _phone),
    rule(rf"{_START}\d{{3}} \d{{4}}{_END}", _local),
    rule(rf"{_START}(?P<number>0\d{{2,4}}[ -]\d{{3,4}}(?:[ -]\d{{3,4}})?){_EXTENSION}{_END}", _phone),
    rule(rf"{_START}\d{{4}}(?:[ -]\d{{4}}){{2,4}}{_END}", _groups),
    rule(rf"{_START}\d{{3}}-\d{{2}}-\d{{4}}{_END}", _groups),
    rule(rf"{_START}\d{{5}}(?:-\d{{4}})?{_END}", _zip),
    rule(r"(?<![\w])(?:x|ext\. ?|Ext\. ?)(?P<extension>\d{2,6})(?!\w)", lambda m: _extension(m["extension"])[2:]),
)
