"""What the rules of one language are made from, besides its numbers."""

from collections.abc import Mapping

import msgspec


class Noun(msgspec.Struct, frozen=True):
    """A thing that is counted: in the singular, in the plural, and with the word for one of it ("une")."""

    one: str
    many: str
    article: str


class Table(msgspec.Struct, frozen=True):
    """The words and signs of a language. `units`, `currencies` and `hundredths` are by symbol; `months` from January.

    `endings_of_one` are what a number ends in that takes the gender of what it counts: alone, masculine, feminine.
    """

    language: str
    decimal_mark: str
    group_marks: str
    point: str
    minus: str
    plus: str
    to: str
    percent: str
    one: str
    months: tuple[str, ...]
    units: Mapping[str, Noun]
    currencies: Mapping[str, Noun]
    hundredths: Mapping[str, Noun]
    and_cents: str
    per: str
    symbols: Mapping[str, str]
    address_marks: Mapping[str, str]
    abbreviations: Mapping[str, str]
    numbered: Mapping[str, str]
    are_decimals_spelled: bool = False
    endings_of_one: tuple[tuple[str, str, str], ...] = ()


def nouns(text: str, article: str, articles: Mapping[str, str] | None = None) -> dict[str, Noun]:
    """Nouns of lines "symbols: one, many"; `articles` are by singular, where they are not the usual one."""
    table: dict[str, Noun] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        symbols, _, names = line.partition(":")
        one, _, many = names.partition(",")
        noun = Noun(one.strip(), (many or one).strip(), (articles or {}).get(one.strip(), article))
        table |= dict.fromkeys(symbols.split(), noun)
    return table
