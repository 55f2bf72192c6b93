"""Numbers by themselves: negative, ranges, ordinals, fractions, ratios, sizes, scores, codes."""

import re
from typing import Final

from engines.reading.english.numbers import (
    AMOUNT,
    DASH,
    DECIMAL,
    DIGITS,
    FRACTION,
    INTEGER,
    SIGN,
    SPACE,
    START,
    VULGAR,
    code,
    number,
    ordinal_words,
    plural,
    scale,
)
from engines.reading.number_words import digits
from engines.reading.rules import after, before, rule

_NAMED = re.compile(
    r"\b(?:[Rr]oom|[Ff]light|[Ss]uite|[Aa]pt\.?|[Aa]partment|Boeing|Airbus|[Hh]ighway|Route|Interstate|[Bb]us|Channel|"
    r"Area|[Gg]ate|Studio|Building|[Tt]rain|[Pp]ort|I)[ -](?:[A-Z]{2} )?$"
)
_SECRET = re.compile(
    r"\b(?:code|PIN|passcode|password|OTP|ZIP|postcode|extension|ISBN(?:-1[03])?|SSN|IMEI|"
    r"(?:serial|account|confirmation|tracking|order|reference|case|ticket|booking|policy|card|routing|member(?:ship)?|"
    r"part|model|invoice) (?:number|no\.|ID|#)|end(?:s|ing) in|last (?:four|4)(?: digits)?)(?: is| are| was|:)?:? ?#?$",
    re.IGNORECASE,
)
_MODEL = re.compile(r"\b[A-Z]{2,3} $")
_CALLED = re.compile(r"\b(?:[Cc]all|[Cc]alled|[Cc]alling|[Dd]ial|[Dd]ialed|[Tt]ext|[Pp]hone|[Rr]ing|[Pp]ress) $")
_RATED = re.compile(
    r"\b(?:rate|rated|rating|score|scored|scores|gave it an?|give it an?|got an?|pain|is an?)(?: of)?:? $"
)
_COUNTING = re.compile(r"\b(?:[Ss]tep|[Pp]age|[Pp]art|[Qq]uestion|[Ss]lide|[Ll]evel|[Rr]ound) $")
_OPERATOR_BEFORE = re.compile(r"[-+=*×÷] ?$")
_OPERATOR_AFTER = re.compile(r" ?[+=*×÷]")
_EMERGENCY: Final = ("911", "999", "112", "411", "311", "988")
_SCALED: Final = (
    rf"{START}(?P<sign>{SIGN})(?P<number>{DECIMAL})"
    r"(?:(?P<letter>[kKmM]|bn|mn)|(?P<big>[BT])(?= [a-z]{3,}s\b))\+?(?![\w'’])"
)


def _scaled(match: re.Match[str]) -> str:
    """10k users, 3M, 1.5B parameters; but 4K and a 5k run."""
    letter = match["letter"] or match["big"]
    is_name = re.match(r" (?:run|race|walk|fun)", after(match)) or (letter == "K" and len(match["number"]) == 1)
    words = number(match["sign"] + match["number"])
    return f"{words} {'K' if is_name else scale(letter)}" + (" plus" if match[0][-1] == "+" else "")


def _range(match: re.Match[str]) -> str:
    """3-5, 10–20, 50-50, 1.5-2."""
    first, second = match["first"], match["second"]
    if _NAMED.search(before(match)):
        return f"{code(first)} {code(second)}"
    if _OPERATOR_BEFORE.search(before(match)) or _OPERATOR_AFTER.match(after(match)):
        return f"{number(first)} minus {number(second)}"
    between = " " if first == second else " to "
    return f"{number(first)}{between}{number(second)}"


def _chain(match: re.Match[str]) -> str:
    return " ".join(number(part) for part in re.split(DASH, match[0]))


def _scientific(match: re.Match[str]) -> str:
    """1e-5, 6.02E23."""
    return f"{number(match['number'])} times ten to the power of {number(match['power'].lstrip('+'))}"


def _ratio(match: re.Match[str]) -> str:
    return f"{number(match['first'])} to {number(match['second'])}"


def _size(match: re.Match[str]) -> str:
    """3x4, 1920x1080, 2 × 3 × 4."""
    parts = re.split(rf"{SPACE}?[x×]{SPACE}?", match[0])
    is_formula = " × " in match[0] or re.match(r" ?=", after(match))
    is_pixels = len(parts) == 2 and all(part.isdecimal() and len(part) in (3, 4) for part in parts)
    return (" times " if is_formula else " by ").join(code(part) if is_pixels else number(part) for part in parts)


def _fraction(match: re.Match[str]) -> str | None:
    above, slash, below = match[0].partition("/")
    if match[0] == "24/7":
        return "twenty-four seven"
    if match[0] == "9/11":
        return "nine eleven"
    if slash and above == below and len(above) > 1:
        return f"{number(above)} {number(below)}"
    if slash and _COUNTING.search(before(match)):
        return f"{number(above)} of {number(below)}"
    if slash and above.isdecimal() and (below == "100" or _RATED.search(before(match))):
        return f"{number(above)} out of {number(below)}"
    return number(match[0])


def _named(match: re.Match[str]) -> str | None:
    """Room 101, call 911, your code is 4821."""
    front = before(match)
    if _SECRET.search(front):
        return digits(match[0], "en")
    if len(match[0]) == 4 and _MODEL.search(front):
        return code(match[0])
    if len(match[0]) <= 6 and (match[0] in _EMERGENCY or _CALLED.search(front)):
        return digits(match[0], "en")
    return code(match[0]) if _NAMED.search(front) else None


def _copied(match: re.Match[str]) -> str | None:
    """A number in groups that somebody writes down: case number 2024-0815."""
    if not _SECRET.search(before(match)):
        return None
    return ", ".join(digits(part, "en") for part in re.split(DASH, match[0]))


GROUPED: Final = (
    rule(
        rf"{START}(?:[1-9]\d{{0,2}}(?: 000){{1,5}}|[1-9]\d?(?: \d{{3}}){{2,5}})(?![\w]|{DASH}\d| ?\d|[.,]\d)",
        lambda match: number(match[0].replace(" ", "")),
    ),
)
"""1 000 000, which might be dialled as well."""

NAMES: Final = (
    rule(rf"{START}\d{{1,13}}(?:{DASH}\d{{1,13}}){{1,5}}(?!\w|{DASH}\w)", _copied),
    rule(rf"{START}{DIGITS}(?![\w.,]\d|{DASH}\d|\w)", _named),
)
"""Numbers that name, before those that may be years."""

RULES: Final = (
    rule(rf"{START}(?P<number>{SIGN}{DECIMAL})[eE](?P<power>[-+]?\d{{1,3}})(?!\w)", _scientific),
    rule(_SCALED, _scaled),
    rule(
        rf"{START}\d{{1,4}}(?:\.\d{{1,4}})?(?:{SPACE}?[x×]{SPACE}?\d{{1,4}}(?:\.\d{{1,4}})?){{1,3}}(?![\w.]\w)(?!\w)",
        _size,
    ),
    rule(
        rf"{START}(?P<number>{DIGITS})[xX]/(?P<per>day|week|month|year|hour|night)(?!\w)",
        lambda match: f"{number(match['number'])} times a {match['per']}",
    ),
    rule(rf"(?<![\w.])(?P<number>{DECIMAL})[xX×](?!\w|\^| ?[-+=] ?\d)", lambda m: f"{number(m['number'])} times"),
    rule(rf"{START}(?P<first>\d{{1,3}}):(?P<second>\d{{1,3}})(?![\w:])", _ratio),
    rule(rf"{START}{INTEGER}(?:st|nd|rd|th|ST|ND|RD|TH)(?!\w)", lambda m: ordinal_words(m[0][:-2])),
    rule(
        rf"{START}\d{{1,3}}\.\d{{1,2}}/\d{{1,3}}(?![\w/])",
        lambda match: " out of ".join(map(number, match[0].split("/"))),
    ),
    rule(rf"{START}{FRACTION}(?![\w/])|[{VULGAR}]", _fraction),
    rule(rf"{START}(?P<first>{SIGN}{DECIMAL}) ?{DASH} ?(?P<second>{DECIMAL})(?!{DASH}?\w)(?!\.\d)", _range),
    rule(rf"{START}\d{{1,4}}(?:{DASH}\d{{1,4}}){{2,6}}(?!{DASH}?\w)", _chain),
    rule(rf"{START}(?P<number>{INTEGER})(?:'s|’s|s)(?!\w)", lambda m: plural(number(m["number"]))),
    rule(rf"{START}{SIGN}{AMOUNT}(?!\w|-\d|\.\d)", lambda match: number(match[0])),
)

LEFT_OVER: Final = (rule(DIGITS, lambda match: number(match[0])), rule(r"(?<=\d),(?=\d)", ", "))
"""Digits that nothing else knows."""
