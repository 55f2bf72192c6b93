"""Symbols in English: said between words and numbers, silent where they only decorate."""

import re
import unicodedata
from typing import Final

from engines.reading.english.numbers import VULGAR, cardinal, fraction
from engines.reading.rules import after, before, needing, rule

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
    "µ": "micro",
    "Ω": "ohms",
    "¬": "not",
}
_COMPARED: Final = {
    **{"<": "less than", ">": "greater than"},
    **{"<=": "less than or equal to", "≤": "less than or equal to"},
    **{">=": "greater than or equal to", "≥": "greater than or equal to"},
}
_VERBED = re.compile(
    r"\b(?:is|are|was|were|be|been|being|has|have|had|with|of|for|to|at|in|by|from|if|when|than|that|and|or|not) ?$",
    re.IGNORECASE,
)
_COMMANDED = re.compile(
    r"\b(?:[Cc]lick|[Gg]o to|[Oo]pen|[Ss]elect|[Cc]hoose|[Tt]ap|[Nn]avigate|[Pp]ress|[Mm]enu|[Uu]nder|then)\b"
)
_LETTER_BEFORE = re.compile(r"[^\W\d_]{2,} $")
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
    """x > 5, is > 5; Settings > General."""
    front, rest = before(match), after(match)
    if match[0] == ">" and re.search(r"\b[A-Z][\w ]{1,30} $", front) and re.match(r" [A-Z][a-z]", rest):
        return "then"
    has_operand = re.search(r"[\w)\]²³%°] ?$", front) and not _VERBED.search(front)
    return f"is {_COMPARED[match[0]]}" if has_operand else _COMPARED[match[0]]


def _arrow(match: re.Match[str]) -> str:
    """A -> B; File -> Save As; at the beginning it is an ornament."""
    front = before(match)
    if not front.strip():
        return ""
    return "then" if _COMMANDED.search(front) and _LETTER_BEFORE.search(front) else "to"


def _star(match: re.Match[str]) -> str | None:
    """The sign itself: the * key, # or *."""
    is_named = re.search(r"\b(?:the|an|or|and|[Pp]ress) $", before(match))
    return "star" if is_named and re.match(r"$|[.,;:!?]| (?:key|sign|symbol|button|or|and)\b", after(match)) else None


def _divided(match: re.Match[str]) -> str:
    return "divided by" if re.match(r" ?\d[\d.,]* ?=", after(match)) else "over"


def _between_words(match: re.Match[str]) -> str:
    """and/or, his/her; alone it is named."""
    is_between = re.search(r"[\w.]$", before(match)) and re.match(r"\w", after(match))
    return "" if is_between or match[0] != "/" else "slash"


_NAMES: Final = "|".join(re.escape(symbol) for symbol in sorted(_SAID, key=len, reverse=True))

_SYMBOLS: Final = "".join([*_SAID, *_COMPARED, _SILENT, _SUPERSCRIPTS, VULGAR, "-→"])
"""No rule of these matches without one of them."""

_RULES: Final = (
    rule(r"(?<=[\w)])\^(?:\((?P<inner>[-−]?\d{1,3}|[a-z])\)|(?P<power>[-−]?\d{1,3}|[a-z])(?!\w))", _power),
    rule(rf"(?:(?<=[\d)])|(?<=[^\W\d_])(?<![^\W\d_]{{4}}))(?P<power>⁻?[{_SUPERSCRIPTS}]{{1,3}})", _power),
    rule(rf"[{_SUPERSCRIPTS}]{{1,3}}", _superscript),
    rule(rf"[{VULGAR}]", lambda match: fraction(match[0])),
    rule(r"(?<!\S)\*(?=\d)", "star"),
    rule(r"(?<!\S)\*(?!\w)", _star),
    rule(r"->|=>|→", _arrow),
    rule(r"(?<![\w-])--(?=[a-z][\w-]+(?:[\s=.,;:)]|$))", "dash dash"),
    rule(r"<=|>=|≤|≥", _compared),
    rule(r"(?<=\w)\*\*(?=\w)", "to the power of"),
    rule(r"(?<!\S)#(?!\w)", "hash"),
    rule(r"(?<=\d)\*(?=\d)|(?<=\d )\*(?= \d)|(?<=\w )\*(?= \w)", "times"),
    rule(r"(?<=\d)/(?=\d)|(?<=\d )/(?= \d)", _divided),
    rule(rf"(?<={_OPERAND})[<>](?=[\w(-])|(?<={_OPERAND} )[<>](?= [\w(-])|(?<!\S)[<>](?= ?\d)", _compared),
    rule(r"(?<!\w)[~≈](?= ?[$€£]?\d)", "about"),
    rule(r"(?<!\w)#(?=\d)", "number"),
    rule(r"(?<=[\w)²³] )[-−](?= (?:\d[\w.]{0,8}|[a-z]) ?[=+×÷*^])", "minus"),
    rule(r"(?<=\d )[-−](?= \d+ ?=)|(?<=\d)[-−](?=\d+ ?=)", "minus"),
    rule(_NAMES, lambda match: _SAID[match[0]]),
    rule(r"/", _between_words),
    rule(rf"[{re.escape(_SILENT)}]", ""),
)

RULES: Final = needing(_SYMBOLS, *_RULES)
