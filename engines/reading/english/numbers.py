"""Numbers in English words: cardinals, decimals, fractions, years, codes; and what a number looks like in a pattern."""

import re
import unicodedata
from typing import Final

from engines.reading.number_words import MAX_DIGITS, cardinal, digits, ordinal, whole, year

DIGITS: Final = r"\d{1,40}"
INTEGER: Final = (
    rf"(?:\d{{1,3}}(?:,\d{{3}}){{1,6}}(?!\d)|\d{{1,3}}(?:[\u00a0\u2009\u202f]\d{{3}}){{1,6}}(?!\d)|{DIGITS}(?!\d))"
)
DECIMAL: Final = rf"(?:{INTEGER}(?:\.\d{{1,20}}(?!\d))?|\.\d{{1,20}})"
VULGAR: Final = "½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅐⅛⅜⅝⅞⅑⅒"
FRACTION: Final = rf"(?:(?:\d{{1,4}}[ -])?\d{{1,3}}[/⁄]\d{{1,3}}(?![\d/⁄])|(?:\d{{1,4}} ?)?[{VULGAR}])"
AMOUNT: Final = rf"(?:{FRACTION}|{DECIMAL})"
SIGN: Final = r"(?:(?<![\w)])[-−+])?"
START: Final = r"(?<![\w.,])(?<![\d][:/-])"
"""No number begins in the middle of a word, of another number, or of a date."""

SPACE: Final = "[ \u00a0\u2009\u202f]"
DASH: Final = "(?:\u2013|\u2012|\u2010|\u2011|-)"

_PARTS: Final = {2: "half", 3: "third", 4: "quarter"}
_SCALES: Final = {"k": "thousand", "m": "million", "b": "billion", "bn": "billion", "mn": "million", "t": "trillion"}
_AND: Final = re.compile(
    r"\bhundred (?=(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\w+teen|\w+ty)\b)"
    r"|\b(?:thousand|million|billion|trillion) (?=(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|"
    r"\w+teen|\w+ty)(?:-\w+)?(?! (?:hundred|thousand|million|billion|point)))"
)


def number(text: str) -> str:
    """A number as it is written: "1,250", "3.14", ".5", "-2", "½", "2 1/2"."""
    if text[0] in "-−+":
        return f"{'plus' if text[0] == '+' else 'minus'} {number(text[1:])}"
    if any(char in VULGAR or char in "/⁄" for char in text):
        return fraction(text)
    integer, point, decimals = re.sub(r"[,\s]", "", text).partition(".")
    if not point:
        return whole(integer, "en")
    return f"{whole(integer, 'en')} point {digits(decimals, 'en')}" if integer else f"point {digits(decimals, 'en')}"


def fraction(text: str) -> str:
    """ "one half", "three quarters", "two and a half"."""
    plain = "".join(f" {unicodedata.normalize('NFKC', char)}" if char in VULGAR else char for char in text)
    *wholes, part = re.split(r"[ -]", plain.replace("⁄", "/").strip())
    above, below = part.split("/")
    words = _part(int(above), int(below))
    if not any(wholes):
        return words
    return f"{whole(''.join(wholes), 'en')} and {words.replace('one ', 'a ', 1)}"


def _part(above: int, below: int) -> str:
    if below < 2 or (below > 20 and below not in (32, 64, 100, 1000)):
        return f"{cardinal(above, 'en')} over {cardinal(below, 'en')}"
    name = _PARTS.get(below) or ordinal(below, "en")
    if above == 1:
        return f"one {name}"
    return f"{cardinal(above, 'en')} {'halves' if below == 2 else name + 's'}"


def is_one(text: str) -> bool:
    """Whether what is counted stands in the singular: one, or a part of one."""
    return text.lstrip("-−+") == "1" or bool(re.fullmatch(rf"\d{{1,2}}[/⁄]\d{{1,3}}|[{VULGAR}]", text))


def counted(text: str) -> str:
    """A number in front of what it counts: "half a" for one half."""
    return "half a" if text.replace("⁄", "/") in ("1/2", "½") else number(text)


def scale(letters: str) -> str:
    """ "thousand" for "k", "million" for "M"; a word is itself."""
    return _SCALES.get(letters.lower(), letters)


def ordinal_words(text: str) -> str:
    """ "twenty-second" of "22"."""
    plain = text.replace(",", "")
    return ordinal(int(plain), "en") if len(plain) <= MAX_DIGITS else digits(plain, "en")


def year_words(text: str) -> str:
    """ "nineteen eighty-four" of "1984"; of two digits, "oh five" or "ninety-nine"."""
    if len(text) == 2:
        return "two thousand" if text == "00" else f"oh {cardinal(int(text), 'en')}" if text[0] == "0" else number(text)
    return year(int(text), "en")


def code(text: str) -> str:
    """A number that names: "one oh one", "seven forty-seven", "nineteen twenty"; of five digits and more, each."""
    if len(text) > 4 or text[0] == "0":
        return digits(text, "en")
    if len(text) < 3 or not int(text) % 100:
        return year(int(text), "en") if len(text) == 4 else cardinal(int(text), "en")
    head, tail = text[:-2], text[-2:]
    if len(text) == 4 and head[1] == "0" and tail[0] == "0":
        return cardinal(int(text), "en")
    return f"{cardinal(int(head), 'en')} {year_words(tail)}"


def with_and(words: str) -> str:
    """As the British say it: "one hundred and one"."""
    return _AND.sub(lambda found: found[0] + "and ", words)


def plural(words: str) -> str:
    """ "nineteen nineties", "twos"."""
    if words.endswith("y"):
        return words[:-1] + "ies"
    return words + ("es" if words.endswith("x") else "s")
