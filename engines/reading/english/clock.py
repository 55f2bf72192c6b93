"""Times of day and lengths of time in English."""

import re
from typing import Final

from engines.reading.english.numbers import DASH, START
from engines.reading.number_words import cardinal
from engines.reading.rules import before, rule, stopped

_HALF: Final = r"(?: ?(?P<{}>[AaPp])(?:\.[Mm]\.?|[Mm])(?!\w))"
_TIME: Final = r"(?P<{0}hour>[01]?\d|2[0-4])(?::(?P<{0}minute>[0-5]\d))"


def _hour_and_minute(hour: str, minute: str | None, *, is_alone: bool) -> str:
    """ "twelve oh five", "ten o'clock", "fifteen hundred"."""
    hours = cardinal(int(hour), "en")
    if minute is None:
        return hours
    if int(minute):
        return f"{hours} {'oh ' if minute[0] == '0' else ''}{cardinal(int(minute), 'en')}"
    if not is_alone:
        return hours
    if int(hour) in (0, 24):
        return "midnight"
    return f"{hours} o'clock" if int(hour) <= 12 else f"{hours} hundred"


def _half(letter: str | None) -> str:
    return f" {letter.upper()} M" if letter else ""


def _seconds(match: re.Match[str]) -> str:
    """3:45:10, 1:23:45.5."""
    minutes = _hour_and_minute(match["hour"], match["minute"], is_alone=True)
    second = int(match["second"])
    words = f"{minutes} and {cardinal(second, 'en')} second{'' if second == 1 else 's'}"
    return stopped(match, words + _half(match["half"]))


def _time(match: re.Match[str]) -> str:
    is_alone = not match["half"] and not re.match(r" o['’]clock", match.string[match.end() :][:9])
    return stopped(match, _hour_and_minute(match["hour"], match["minute"], is_alone=is_alone) + _half(match["half"]))


def _hour(match: re.Match[str]) -> str:
    return stopped(match, cardinal(int(match["hour"]), "en") + _half(match["half"]))


def _range(match: re.Match[str]) -> str | None:
    """7:30–9:00, 9am-5pm, 9-5 p.m."""
    if not (match["minute"] or match["last_minute"] or match["half"] or match["last_half"]):
        return None
    first = _hour_and_minute(match["hour"], match["minute"], is_alone=False) + _half(match["half"])
    last = _hour_and_minute(match["last_hour"], match["last_minute"], is_alone=False) + _half(match["last_half"])
    return stopped(match, f"{first} to {last}")


def _zulu(match: re.Match[str]) -> str | None:
    """The time of 2024-03-15T10:30:00Z, behind its date."""
    if not re.search(r"\d-\d\d-\d\dT$", before(match)):
        return None
    words = _hour_and_minute(match["hour"], match["minute"], is_alone=True)
    return f", {words}{' UTC' if match[0][-1] == 'Z' else ''}"


def _military(match: re.Match[str]) -> str:
    """0900 hours."""
    hour, minute = int(match["hour"]), int(match["minute"])
    first = f"{'oh ' if hour < 10 else ''}{cardinal(hour, 'en')}" if hour else "zero"
    if not minute:
        return f"{first} hundred"
    return f"{first} {'oh ' if minute < 10 else ''}{cardinal(minute, 'en')}"


def _hours_and_minutes(match: re.Match[str]) -> str:
    """1h30, 2h05m."""
    hour, minute = int(match["hour"]), int(match["minute"])
    hours = f"{cardinal(hour, 'en')} hour{'' if hour == 1 else 's'}"
    return f"{hours} {cardinal(minute, 'en')}" + (
        f" minute{'' if minute == 1 else 's'}" if match[0][-1] in "mn" else ""
    )


_FIRST: Final = _TIME.format("") + "?" + _HALF.format("half") + "?"
_LAST: Final = _TIME.format("last_") + "?" + _HALF.format("last_half") + "?"

RULES: Final = (
    rule(rf"(?<=T){_TIME.format('')}(?::\d\d(?:\.\d{{1,6}})?)?Z?(?!\w)", _zulu),
    rule(rf"{START}(?P<hour>[01]\d|2[0-3])(?P<minute>[0-5]\d)(?= hours\b)", _military),
    rule(rf"{START}(?P<hour>\d{{1,2}})h(?P<minute>[0-5]\d)(?:m|min)?(?!\w)", _hours_and_minutes),
    rule(rf"{START}{_FIRST} ?{DASH} ?{_LAST}(?!{DASH}?\w)(?![:/%]\d?)(?!\.\d)", _range),
    rule(rf"{START}{_TIME.format('')}:(?P<second>[0-5]\d)(?![\w:]){_HALF.format('half')}?", _seconds),
    rule(rf"{START}{_TIME.format('')}(?![\d:]){_HALF.format('half')}?(?:(?!\w)|(?=ish\b))", _time),
    rule(rf"{START}(?P<hour>1[0-2]|0?[1-9]){_HALF.format('half')}", _hour),
)
