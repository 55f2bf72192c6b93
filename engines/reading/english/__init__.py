"""How English is read."""

from functools import cache
from typing import Final

from engines.reading.english import (
    abbreviated,
    addresses,
    calendar,
    clock,
    counting,
    formulas,
    letters,
    money,
    phones,
    places,
    quantities,
    roman,
    symbols,
)
from engines.reading.english.numbers import with_and
from engines.reading.rules import Reader, numeric

__all__ = ["english"]

_AMERICAN: Final = ("", "US", "PH", "PR")


@cache
def _reader(order: str, *, has_and: bool) -> Reader:
    rules = (
        *formulas.RULES,
        *addresses.RULES,
        *calendar.rules(order),
        *numeric(*clock.RULES, *money.RULES, *counting.GROUPED, *phones.RULES),
        *abbreviated.RULES,
        *places.RULES,
        *letters.RULES,
        *numeric(*quantities.RULES, *counting.NAMES, *calendar.YEARS, *counting.RULES),
        *numeric(*letters.MIXED, *counting.LEFT_OVER),
        *roman.RULES,
        *symbols.RULES,
    )
    return Reader(rules, with_and if has_and else str)


def english(region: str) -> Reader:
    """English of a region (ISO 3166, "" where it is not known): months or days first, "one hundred and one" or not."""
    order = "" if not region else "month" if region in _AMERICAN else "day"
    return _reader(order, has_and=region not in (*_AMERICAN, "CA"))
