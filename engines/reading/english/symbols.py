"""Symbols in English: said between words and numbers, silent where they only decorate."""

import re
import unicodedata
from typing import Final

from engines.reading.english.numbers import VULGAR, cardinal, fraction
from engines.reading.rules import after, before, rule

_SAID: Final = {
    "&": "and",
    "&&": "and",
    "||": "or",
    "+": "plus",
    "=": "equals",
    "==": "equals",
    "±": "plus or minus",
    "×": "times",
    "÷": "divided by",
    "≈": "about",
    "≠": "is not equal to",
    "!=": "is not equal to",
    "≤": "less than or equal to",
    "<=": "less than or equal to",
    "≥": "greater than or equal to",
    ">=": "greater than or equal to",
    "√": "the square root of",
    "∞": "infinity",
    "−": "minus",
    "%": "percent",
    "‰": "per mille",
    "°": "degrees",
    "@": "at",
    "§": "section",
    "©": "copyright",
    "№": "number",
    "$": "dollar",
    "€": "euro",
    "£": "pound",
    "¥": "yen",
    "¢": "cents",
    "->": "to",
    "=>": "to",
    "→": "to",
    "µ": "micro",
    "Ω": "ohms",
    "¬": "not",
}
_SILENT: Final = "*_^~`|\\{}<>®™℠•·¤¦†‡◦▪■□●○′″#/₹₩₽₺₴₫₪₿⁄"
_POWERS: Final = {"2": "squared", "3": "cubed"}
_SUPERSCRIPTS: Final = "⁰¹²³⁴⁵⁶⁷⁸⁹"
_OPERAND: Final = r"[\w)\]²³%°]"


def _power(match: re.Match[str]) -> str:
    """x², 2^10, 10⁻³."""
    written = unicodedata.normalize("NFKC", match.groupdict().get("inner") or match["power"]).replace("−", "-")
    digits = written.lstrip("-")
    if not digits.isdecimal():
        return f"to the power of {digits}"
    if written in _POWERS:
        return _POWERS[written]
    return f"to the power of {'minus ' if written[0] == '-' else ''}{cardinal(int(digits), 'en')}"


def _superscript(match: re.Match[str]) -> str:
    """A mark that stands behind a word or alone."""
    return cardinal(int(unicodedata.normalize("NFKC", match[0])), "en")


def _compared(match: re.Match[str]) -> str:
    return "less than" if match[0] == "<" else "greater than"


def _between_words(match: re.Match[str]) -> str:
    """and/or, his/her; alone it is named."""
    is_between = re.search(r"[\w.]$", before(match)) and re.match(r"\w", after(match))
    return "" if is_between or match[0] != "/" else "slash"


_NAMES: Final = "|".join(re.escape(symbol) for symbol in sorted(_SAID, key=len, reverse=True))

RULES: Final = (
    rule(r"(?<=[\w)])\^(?:\((?P<inner>[-−]?\d{1,3}|[a-z])\)|(?P<power>[-−]?\d{1,3}|[a-z])(?!\w))", _power),
    rule(rf"(?:(?<=[\d)])|(?<=[^\W\d_])(?<![^\W\d_]{{4}}))(?P<power>⁻?[{_SUPERSCRIPTS}]{{1,3}})", _power),
    rule(rf"[{_SUPERSCRIPTS}]{{1,3}}", _superscript),
    rule(rf"[{VULGAR}]", lambda match: fraction(match[0])),
    rule(r"(?<!\S)\*(?=\d)", "star"),
    rule(r"(?<=\w)\*\*(?=\w)", "to the power of"),
    rule(r"(?<!\S)#(?!\w)", "hash"),
    rule(r"(?<=\d)\*(?=\d)|(?<=\d )\*(?= \d)|(?<=\w )\*(?= \w)", "times"),
    rule(r"(?<=\d)/(?=\d)|(?<=\d )/(?= \d)", "over"),
    rule(rf"(?<={_OPERAND})[<>](?=[\w(-])|(?<={_OPERAND} )[<>](?= [\w(-])|(?<!\S)[<>](?= ?\d)", _compared),
    rule(r"(?<!\w)[~≈](?= ?[$€£]?\d)", "about"),
    rule(r"(?<!\w)#(?=\d)", "number"),
    rule(r"(?<=[\w)²³] )[-−](?= (?:\d[\w.]{0,8}|[a-z]) ?[=+×÷*^])", "minus"),
    rule(r"(?<=\d )[-−](?= \d+ ?=)|(?<=\d)[-−](?=\d+ ?=)", "minus"),
    rule(_NAMES, lambda match: _SAID[match[0]]),
    rule(r"/", _between_words),
    rule(rf"[{re.escape(_SILENT)}]", ""),
)
