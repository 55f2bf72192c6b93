"""Dates, weekdays, years, decades and eras in English."""

import re
from typing import Final

from engines.reading.english.numbers import DASH, START, cardinal, code, ordinal_words, plural, year_words
from engines.reading.number_words import whole
from engines.reading.rules import Rule, after, before, needing, numeric, rule, stopped

MONTHS: Final = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_BY_LETTERS: Final = {name[:3]: name for name in (*MONTHS, *_DAYS)}
_SHORT: Final = "Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept|Sep|Oct|Nov|Dec"
_MONTH: Final = rf"(?:{'|'.join(MONTHS)}|(?:{_SHORT})(?![a-z])\.?)"
_DAY: Final = r"(?:Mon|Tues|Tue|Wed|Thurs|Thur|Thu|Fri|Sat|Sun)(?![a-z])\.?"
_NUMBER: Final = r"(?:[12]\d|3[01]|0?[1-9])"
_YEAR: Final = r"(?:1\d|20)\d\d(?!\d|,\d)"
_ORDINAL: Final = r"(?:st|nd|rd|th)?(?!\w)"
_SUFFIX: Final = r"(?:,? (?P<year>" + _YEAR + r"))?(?![\w])(?!" + DASH + r"\d|[:/%]\d?|[.,]\d)"
_ERA: Final = r"(?P<era>B\.?C\.?E\.?|B\.?C\.?|C\.?E\.?|A\.?D\.?)(?!\w)"

_COUNTED = re.compile(
    r" (?:people|men|women|children|percent|feet|fish|sheep|million|thousand|hundred|dozen|more|of the|different)\b"
    r"|(?: (?!the|in|on|at|by|to|is|as|was|has|and|or|of|he|she|it|we|they|with|for|from)[a-z]+)?"
    r" (?!was\b|is\b|has\b|his\b|its\b|this\b|as\b|us\b|plus\b|versus\b|does\b|thus\b|less\b|yes\b|always\b|across\b|"
    r"besides\b|sometimes\b|various\b|perhaps\b|unless\b|sees\b|ends\b|[a-z]+ous\b)[a-z]{2,}[^s\Wiu]s\b"
)
_DATING = re.compile(
    r"\b(?:[Ii]n|[Ss]ince|[Uu]ntil|[Ff]rom|[Bb]y|[Tt]he|[Yy]ear|[Oo]f|'s|’s|[Ee]arly|[Ll]ate|[Ss]ummer)[ -]$"
)
_ABOUT = re.compile(
    r"\b(?:[Aa]bout|[Oo]ver|[Nn]early|[Aa]lmost|[Aa]pproximately|[Rr]oughly|[Uu]p to|than|[Aa]t least|[Aa]t most|"
    r"[Tt]otal of|all|only|[Ee]xactly|weighs?|costs?|worth) $"
)
_IN_OLD_YEAR = re.compile(r"\b(?:[Ii]n|[Ss]ince|[Uu]ntil|[Ff]rom|[Bb]y|[Yy]ear|[Aa]round|[Cc]irca) $")
_DUE = re.compile(r"\b(?:on|by|until|before|after|from|due|dated|since) $", re.IGNORECASE)
_QUARTER = re.compile(r"\b[QH][1-4] $")


def _date(day: int, month: int, year: str, *, is_day_first: bool) -> str:
    if is_day_first:
        words = f"the {ordinal_words(str(day))} of {MONTHS[month - 1]}"
    else:
        words = f"{MONTHS[month - 1]} {ordinal_words(str(day))}"
    return f"{words}, {year_words(year)}" if year else words


def _is_date(day: int, month: int) -> bool:
    return 1 <= month <= 12 and 1 <= day <= 31


def _iso(match: re.Match[str]) -> str | None:
    day, month = int(match["day"]), int(match["month"])
    return _date(day, month, match["year"], is_day_first=False) if _is_date(day, month) else None


def _numeric(match: re.Match[str], order: str) -> str | None:
    """3/15/2024 and 15.03.2024 by their numbers; 3/4/2024 by the region, and without names where it is not known."""
    first, second, year = int(match["first"]), int(match["second"]), match["year"]
    may_be_american, may_be_british = _is_date(second, first), _is_date(first, second)
    if not may_be_american and not may_be_british:
        return None
    is_dotted = match["mark"] == "."
    if may_be_american and may_be_british and first != second and not order and not is_dotted:
        return f"{cardinal(first, 'en')}, {cardinal(second, 'en')}, {year_words(year)}"
    is_american = may_be_american and (not may_be_british or (order != "day" and not is_dotted))
    month, day = (first, second) if is_american else (second, first)
    return _date(day, month, year, is_day_first=not is_american)


def _short_numeric(match: re.Match[str], order: str) -> str | None:
    """ "on 3/15": without a year, only where a date is due."""
    first, second = int(match["first"]), int(match["second"])
    if match[0] == "9/11":  # which has become a name
        return None
    if not _DUE.search(before(match)) or first < 1 or second < 1 or min(first, second) > 12 or max(first, second) > 31:
        return None
    if max(first, second) <= 12 and not order:
        return f"{cardinal(first, 'en')}, {cardinal(second, 'en')}"
    is_american = second > 12 or (order == "month" and first <= 12)
    month, day = (first, second) if is_american else (second, first)
    return _date(day, month, "", is_day_first=not is_american)


def _month_first(match: re.Match[str]) -> str:
    """March 3, Mar 3-5, Sept. 5, 2024."""
    days = f"{name_of(match['name'])} {ordinal_words(str(int(match['day'])))}"
    if match["last"]:
        days += f" to {ordinal_words(str(int(match['last'])))}"
    return f"{days}, {year_words(match['year'])}" if match["year"] else days


def _day_first(match: re.Match[str]) -> str:
    """3 March 2024, 3rd of March, 3-5 March."""
    days = ordinal_words(str(int(match["day"])))
    if match["last"]:
        days += f" to {ordinal_words(str(int(match['last'])))}"
    article = "" if re.search(r"\b[Tt]he $", before(match)) else "the "
    words = f"{article}{days} of {name_of(match['name'])}"
    return f"{words}, {year_words(match['year'])}" if match["year"] else stopped(match, words)


def name_of(written: str) -> str:
    """The month or the weekday that letters stand for."""
    return _BY_LETTERS[written[:3]]


def _name(match: re.Match[str]) -> str:
    return stopped(match, name_of(match[0]))


def _name_range(match: re.Match[str]) -> str:
    return stopped(match, f"{name_of(match['first'])} to {name_of(match['last'])}")


def _year(match: re.Match[str]) -> str | None:
    """A bare number that may be a year, if nothing shows that it counts things."""
    front, rest = before(match), after(match)
    if _QUARTER.search(front):
        return year_words(match[0])
    if match[0] < "1100":
        return year_words(match[0]) if _IN_OLD_YEAR.search(front) else None
    if _ABOUT.search(front) and int(match[0]) < 2000:
        return None
    found = _COUNTED.match(rest)
    if found is not None and not (_DATING.search(front) and found[0].split()[0] not in ("people", "men", "women")):
        return None
    return year_words(match[0])


def _year_range(match: re.Match[str]) -> str:
    """1914-1918, 1914–18."""
    return f"{year_words(match['first'])} to {year_words(match['second'])}"


def _decade(match: re.Match[str]) -> str:
    written = match["year"]
    if len(written) == 4:
        return plural(year_words(written))
    return plural(whole(written, "en"))


def _with_era(match: re.Match[str]) -> str:
    letters = match["era"].replace(".", "")
    written = match["year"].replace(",", "")
    words = year_words(written) if len(written) == 4 else code(written) if len(written) == 3 else whole(written, "en")
    return stopped(match, f"{words} {letters}")


def _before_era(match: re.Match[str]) -> str:
    written = match["year"]
    return f"AD {year_words(written) if len(written) == 4 else whole(written, 'en')}"


def rules(order: str) -> tuple[Rule, ...]:
    """The rules; `order` is what comes first in 3/4/2024: "month", "day", or "" where that is not known."""
    last = rf"(?: ?{DASH} ?(?P<last>{_NUMBER}))?"
    dates = (
        rule(
            r"(?<![\w/-])(?P<year>\d{4})[-/](?P<month>\d\d)[-/](?P<day>\d\d)(?:T(?=\d\d:)|(?![\w/-]))",
            _iso,
        ),
        rule(
            r"(?<![\w./-])(?P<first>\d\d?)(?P<mark>[/.-])(?P<second>\d\d?)(?P=mark)"
            r"(?P<year>(?:1\d|20)\d\d|\d\d)(?![\w/-])(?!\.\d)",
            lambda match: _numeric(match, order),
        ),
        rule(r"(?<![\w./-])(?P<first>\d\d?)/(?P<second>\d\d?)(?![\w/])", lambda match: _short_numeric(match, order)),
        rule(rf"(?<!\w)(?P<name>{_MONTH}) (?P<day>{_NUMBER}){_ORDINAL}{last}{_ORDINAL}{_SUFFIX}", _month_first),
        rule(
            rf"{START}(?P<day>{_NUMBER}){_ORDINAL}{last}{_ORDINAL} (?:of )?(?P<name>{_MONTH})"
            rf"(?:,? (?P<year>{_YEAR}))?(?!\w)",
            _day_first,
        ),
    )
    names = (
        *needing(
            "JFMASONDTW",
            rule(rf"(?<!\w)(?P<first>{_MONTH}|{_DAY}) ?{DASH} ?(?P<last>{_MONTH}|{_DAY})(?!\w)", _name_range),
            rule(rf"(?<!\w)(?:{_SHORT})(?:\.(?!\w)|(?= (?:{_YEAR})))", _name),
            rule(
                rf"(?<!\w)(?:Mon|Tues|Tue|Wed|Thurs|Thur|Thu|Fri|Sat|(?<=& )Sun|(?<=and )Sun|(?<=on )Sun)\.(?!\w)"
                rf"|(?<!\w){_DAY}(?=,? (?:{_MONTH}|\d))",
                _name,
            ),
        ),
    )
    eras = (
        rule(rf"{START}(?P<year>(?:\d{{1,3}}(?:,\d{{3}}){{1,4}}|\d{{1,5}})) ?{_ERA}\.?", _with_era),
        rule(r"(?<!\w)A\.?D\.? (?P<year>\d{1,4})(?!\w)", _before_era),
        rule(r"(?<![\w’'])['’](?P<year>\d0)s(?!\w)", _decade),
        rule(rf"{START}(?P<year>1\d\d0|20\d0|\d0)(?:['’])?s(?!\w)", _decade),
        rule(r"(?<![\w’'])['’](?P<year>\d\d)(?![\w'’\"])", lambda match: year_words(match["year"])),
    )
    return *numeric(*dates), *names, *numeric(*eras)


YEARS: Final = (
    rule(rf"{START}(?P<first>{_YEAR}) ?{DASH} ?(?P<second>{_YEAR}|\d\d)(?!{DASH}?\w)", _year_range),
    rule(rf"{START}(?P<first>{_YEAR})/(?P<second>\d\d)(?![\w/])", _year_range),
    rule(rf"{START}(?:1\d|20)\d\d(?!\w)(?![.,:]\d)(?![.,]?[%°])", _year),
)
"""After what is counted: 1200 W."""
