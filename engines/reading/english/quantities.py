"""What numbers count in English: units, percent, degrees; and whether they stand in front of a noun."""

import re
from typing import Final

from engines.abbreviations import words
from engines.reading.english.numbers import AMOUNT, DASH, DECIMAL, SIGN, SPACE, START, counted, is_one, number
from engines.reading.english.unit_names import AREAS, UNITS
from engines.reading.rules import after, before, rule, stopped

_UNIT: Final = "|".join(re.escape(name) for name in sorted(UNITS, key=len, reverse=True))
_POWER: Final = r"(?:\^?[23]|[²³])"
_STOPPED: Final = words("""
    lb lbs oz ft in hr hrs min mins sec secs mi yd yds tsp tbsp pt qt gal wk wks yr yrs
""")
_RANGE: Final = rf"(?P<first>{SIGN}{AMOUNT}) ?(?:{DASH}|to|x|×|by) ?"
_NUMBER: Final = rf"{START}(?:{_RANGE})?(?P<number>{SIGN}{AMOUNT})"
_NOUN_FOLLOWS = re.compile(
    r"[ -](?!of\b|in\b|on\b|at\b|by\b|to\b|from\b|for\b|and\b|or\b|but\b|is\b|was\b|are\b|per\b|a\b|an\b|the\b|than\b|"
    r"with\b|if\b|when\b|each\b|every\b|more\b|less\b|off\b|so\b|as\b|away\b|ago\b|long\b|wide\b|tall\b|high\b|deep\b)[a-z]{3,}"
)
_ARTICLE = re.compile(r"\b(?:[Aa]n?|[Tt]his|[Tt]hat) $")
_QUOTATION = re.compile(r"(?:^|[\s(])\"[^\"]*$")
_TURNED = re.compile(r" ?(?:angle|turn|rotation|bend|slope|incline|arc|corner|view|tilt|change|heat|weather)\b")
_MANY = re.compile(
    r" (?:dollars|euros|pounds|people|users|customers|members|followers|subscribers|downloads|views|visitors|copies|"
    r"parameters|tokens|residents|inhabitants|deaths|cases|jobs|shares|units|lines)\b"
)
"""What is counted in millions where "m" stands behind a number."""

_VOWEL = re.compile(r"(?:[aeio]|hour)")
_INCHES = re.compile(r"\.?(?:$|[\s]*[,;.!?)x×]|\s(?:by|wide|long|tall|high|thick|deep|in diameter|of|and|screen|or)\b)")


def is_in_front(match: re.Match[str]) -> bool:
    """Whether a match stands between an article and a noun, where English has no plural: "a 5 km run"."""
    rest = after(match)
    return bool(_TURNED.match(rest) or (_ARTICLE.search(before(match)) and _NOUN_FOLLOWS.match(rest)))


def is_singular(match: re.Match[str]) -> bool:
    """Whether what the group "number" counts has no plural here."""
    return (is_one(match["number"]) and not match["first"]) or is_in_front(match)


def amount(match: re.Match[str]) -> str:
    """The groups "first" and "number" in words: "five to ten"."""
    words = counted(match["number"])
    if not match["first"]:
        return words
    between = "by" if re.match(r" ?(?:x|×|by)", match.string[match.end("first") :][:4]) else "to"
    return f"{number(match['first'])} {between} {words}"


def _unit_words(symbol: str, power: str, *, is_one: bool) -> str:
    one, many = UNITS[symbol]
    name = one if is_one else many
    if not power:
        return name
    return f"{'square' if power[-1] in '2²' else 'cubic'} {name}"


def _units(match: re.Match[str]) -> str | None:
    """5 km, 20 km/h, 9.81 m/s², 5-10 kg, 60 lbs."""
    written, power, rest = match["unit"], match["power"] or "", after(match)
    symbol = "min" if written == "m" and re.search(r"\dh ?$", before(match)) else written
    if symbol == "in" and not match["below"] and not _is_inches(match):
        return None
    if (power and symbol not in AREAS) or re.fullmatch(r"[01]s", match[0]):  # 1s and 0s
        return None
    if symbol == "m" and _MANY.match(rest):
        return None
    has_stop = rest.startswith(".") and written in _STOPPED and re.match(r"\.(?: [a-z]|\s*$|[,;:)?!])", rest)
    words = _counted_unit(match, symbol, power)
    if below := match["below"]:
        words += f" per {_below(below)}"
    return None if has_stop else words


def _counted_unit(match: re.Match[str], symbol: str, power: str = "") -> str:
    """ "five kilograms", "half an hour"."""
    count, name = amount(match), _unit_words(symbol, power, is_one=is_singular(match))
    return f"{count}{'n' if count.endswith('half a') and _VOWEL.match(name) else ''} {name}"


def _stopped_unit(match: re.Match[str]) -> str:
    """5 lb. of flour."""
    return stopped(match, _counted_unit(match, match["unit"]))


def _below(text: str) -> str:
    """What stands behind the slash: "second squared", "cubic meter"."""
    symbol = re.sub(rf"{_POWER}$", "", text)
    power = text[len(symbol) :]
    if power and symbol == "s":
        return "second squared" if power[-1] in "2²" else "second cubed"
    return _unit_words(symbol, power, is_one=True)


def _is_inches(match: re.Match[str]) -> bool:
    is_attached = match.end("number") == match.start("unit")
    return is_attached or bool(_INCHES.match(after(match)))


def _percent(match: re.Match[str]) -> str:
    return f"{amount(match)} {'per mille' if match[0][-1] == '‰' else 'percent'}"


def _degrees(match: re.Match[str]) -> str:
    """20°C, -5 °F, 45°, 40° N."""
    names = {"C": " Celsius", "F": " Fahrenheit", "N": " north", "S": " south", "E": " east", "W": " west"}
    degrees = "degree" if is_singular(match) else "degrees"
    return f"{amount(match)} {degrees}{names.get(match['scale'] or '', '')}"


def _feet(match: re.Match[str]) -> str:
    """5'11": five foot eleven; 6'; 8' x 4'."""
    feet, inches = match["number"], match.groupdict().get("inches")
    if inches:
        return f"{number(feet)} foot {number(inches)}"
    return f"{number(feet)} {'foot' if is_one(feet) else 'feet'}"


def _inches(match: re.Match[str]) -> str | None:
    """12", unless it closes a quotation."""
    is_quote = _QUOTATION.search(before(match)) or "“" in match.string[: match.start()]
    if is_quote and match[0][-1] in '"”':
        return None
    return f"{amount(match)} {'inch' if is_singular(match) else 'inches'}"


def _by(match: re.Match[str]) -> str | None:
    """The sign between two lengths: 3 ft x 4 ft, 8.5" x 11"."""
    return "by" if re.search(r"\d ?(?:[a-z]{1,3}\.?|[\"”″′'’]) ?$", before(match)) else None


_BEHIND: Final = r"(?![\w'’]|[/²³^]\w?)"

RULES: Final = (
    rule(rf"{_NUMBER}{SPACE}?[%‰](?!\w)", _percent),
    rule(rf"{_NUMBER}{SPACE}?°{SPACE}?(?P<scale>[CFNSEW](?![\w]))?", _degrees),
    rule(rf"{START}(?P<number>\d{{1,3}})['’′]{SPACE}?(?P<inches>\d{{1,2}}(?:\.\d)?)(?:[\"”″]|['’]['’]|(?!\w))", _feet),
    rule(rf"{_NUMBER}(?:[\"”](?!\w|[x×]\D)|[\"”](?=[x×]\d)|″)", _inches),
    rule(
        rf"{START}(?P<number>{DECIMAL})(?:′|['’](?= (?:tall|high|wide|long|deep|by|x)\b|{SPACE}?[x×]{SPACE}?\d))", _feet
    ),
    rule(r"(?:(?<=\d['’]x)|(?<=\d['’] x ))(?P<number>\d{1,3})['’]", _feet),
    rule(r"(?<!\w)[x×](?= ?\d)", _by),
    rule(
        rf"{_NUMBER}(?:{SPACE}|-)?(?P<unit>{_UNIT})(?P<power>{_POWER})?"
        rf"(?:/(?P<below>(?:{_UNIT}|s|h|d){_POWER}?))?{_BEHIND}",
        _units,
    ),
    rule(
        rf"{_NUMBER}{SPACE}?(?P<unit>{'|'.join(sorted(_STOPPED, key=len, reverse=True))})\.(?= [a-z]|\s*$|[,;:)?!])",
        _stopped_unit,
    ),
)
