"""Whole numbers in words, in the languages that are read. More than 15 digits are read one by one."""

from functools import lru_cache
from typing import Final, Literal

from num2words import num2words

MAX_DIGITS: Final = 15
"""Quadrillions and more are names that few listeners can place."""

_VIETNAMESE_SCALES: Final = ("", " nghìn", " triệu", " tỷ", " nghìn tỷ")


@lru_cache(maxsize=4096)
def cardinal(number: int, language: str) -> str:
    """How many: "twenty-one". `number` is not negative, and has at most 15 digits."""
    if language == "vi":
        return _vietnamese(number)
    words = num2words(number, lang=language).replace(",", "")
    if language == "en":
        return words.replace(" and ", " ")
    if language == "es":  # "veintiuno mil"
        return words.replace("veintiuno mil", "veintiún mil").replace("uno mil", "un mil")
    return words


@lru_cache(maxsize=4096)
def ordinal(number: int, language: str) -> str:
    """Which one: "twenty-first"; in its masculine form, where a language has several."""
    return _named(number, language, "ordinal")


@lru_cache(maxsize=4096)
def year(number: int, language: str) -> str:
    """A year as it is said: "nineteen eighty-four"."""
    return cardinal(number, language) if language == "vi" else _named(number, language, "year")


def digits(text: str, language: str) -> str:
    """Each digit of a text by itself; what is no digit is left out."""
    return " ".join(cardinal(int(char), language) for char in text if char.isdecimal())


def whole(text: str, language: str) -> str:
    """A run of digits as a number; one by one if there are too many, or if a zero leads."""
    if len(text) > MAX_DIGITS or (len(text) > 1 and text[0] == "0"):
        return digits(text, language)
    return cardinal(int(text), language)


def _named(number: int, language: str, kind: Literal["ordinal", "year"]) -> str:
    words = num2words(number, lang=language, to=kind).replace(",", "")
    return words.replace(" and ", " ").replace("oh-", "oh ") if language == "en" else words


def _vietnamese(number: int) -> str:
    """Groups of three digits; num2words reads 2024 as if it were 2,24."""
    if number < 1000:
        return num2words(number, lang="vi")
    groups = [int(group) for group in f"{number:,}".split(",")]
    scales = _VIETNAMESE_SCALES[len(groups) - 1 :: -1]
    parts = [
        _vietnamese_group(group, is_first=at == 0) + scale
        for at, (group, scale) in enumerate(zip(groups, scales, strict=True))
        if group
    ]
    return " ".join(parts)


def _vietnamese_group(group: int, *, is_first: bool) -> str:
    words = num2words(group, lang="vi")
    if is_first or group >= 100:
        return words
    return f"không trăm lẻ {words}" if group < 10 else f"không trăm {words}"
