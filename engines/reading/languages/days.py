"""Dates and times of day outside English."""

import re
from collections.abc import Callable
from typing import TypeAlias

from engines.reading.languages.numerals import DASH, START
from engines.reading.rules import Rule, rule

DateWords: TypeAlias = Callable[[re.Match[str], int, int, int | None], str]
"""A date in words: of a match, and of day, month and year."""

TimeWords: TypeAlias = Callable[[int, int], str]
"""A time in words: of hours and minutes."""

_END = r"(?![\w/])(?!\.\d)"


def date_rules(words: DateWords) -> tuple[Rule, ...]:
    """2024-03-15, 15.03.2024, 15/3/2024."""

    def read(match: re.Match[str]) -> str | None:
        day, month, year = int(match["day"]), int(match["month"]), int(match["year"])
        return words(match, day, month, year) if 1 <= day <= 31 and 1 <= month <= 12 else None

    return (
        rule(rf"(?<![\w/-])(?P<year>\d{{4}})-(?P<month>\d\d)-(?P<day>\d\d){_END}(?!-)", read),
        rule(
            rf"(?<![\w./-])(?P<day>\d\d?)(?P<mark>[./-]) ?(?P<month>\d\d?)(?P=mark) ?(?P<year>(?:1\d|20)\d\d){_END}",
            read,
        ),
    )


def time_rules(words: TimeWords, behind: str = "") -> tuple[Rule, ...]:
    """15:30, 15h30, 7:30-9:00; `behind` is a pattern of what belongs to a time and is said by it."""
    time = r"(?P<{0}hour>[01]?\d|2[0-4])(?::|[hH](?=[0-5]\d))(?P<{0}minute>[0-5]\d)"
    last = f"{behind}(?![\\w:])"

    def read(match: re.Match[str]) -> str:
        return words(int(match["hour"]), int(match["minute"]))

    def read_range(match: re.Match[str]) -> str:
        return f"{read(match)}, {words(int(match['last_hour']), int(match['last_minute']))}"

    return (
        rule(rf"{START}{time.format('')} ?{DASH} ?{time.format('last_')}{last}", read_range),
        rule(rf"{START}{time.format('')}{last}", read),
    )
