"""Numbers and what they count, outside English: money, units, percent, ranges."""

import re

from engines.reading.languages.numerals import DASH, SIGN, SPACE, START, counted, number, number_pattern
from engines.reading.languages.table import Table
from engines.reading.number_words import cardinal, digits
from engines.reading.rules import Rule, rule

_SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹"
_HALVES = {"½": (1, 2), "¼": (1, 4), "¾": (3, 4), "⅓": (1, 3), "⅔": (2, 3), "⅛": (1, 8)}


class Amounts:
    """The rules of one table. Any thread."""

    def __init__(self, table: Table) -> None:
        self._table = table
        written = number_pattern(table)
        units = _alternatives([*table.units])
        symbols = _alternatives([*table.currencies])
        some = rf"{START}(?:(?P<first>{written}) ?{DASH} ?)?(?P<number>{SIGN}{written})"
        self.rules: tuple[Rule, ...] = (
            rule(rf"(?<![\w$])(?P<symbol>{symbols}){SPACE}?(?P<number>{written})(?!\w)", self._money),
            rule(rf"{some}{SPACE}?(?P<symbol>{symbols})(?!\w)", self._money),
            rule(rf"{some}{SPACE}?%", self._percent),
            rule(rf"{some}{SPACE}?(?P<symbol>{units})(?![\w/²³^])", self._unit),
            rule(rf"{START}(?P<first>{written}) ?{DASH} ?(?P<number>{written})(?!{DASH}?\w)", self._range),
            rule(rf"{START}{SIGN}{written}(?!\w)", lambda match: number(match[0], table)),
            rule(r"\d{1,40}", self._left_over),
            rule(rf"[{''.join(_HALVES)}]", lambda match: self._fraction(*_HALVES[match[0]])),
            rule(rf"[{_SUPERSCRIPTS}]", lambda match: cardinal(_SUPERSCRIPTS.index(match[0]), table.language)),
        )

    def _first(self, match: re.Match[str]) -> str:
        first = match.groupdict().get("first")
        return f"{number(first, self._table)} {self._table.to} " if first else ""

    def _money(self, match: re.Match[str]) -> str:
        """5,50 €, $5, 10-20 €."""
        table, symbol, written = self._table, match["symbol"], match["number"]
        found = re.fullmatch(rf"(.+)[{re.escape(table.decimal_mark)}.](\d\d)", written)
        if found is None or symbol not in table.hundredths:
            return self._first(match) + counted(written, table.currencies[symbol], table)
        cents = counted(str(int(found[2])), table.hundredths[symbol], table)
        if not int(found[2]):
            return self._first(match) + counted(found[1], table.currencies[symbol], table)
        if not found[1].strip("0"):
            return self._first(match) + cents
        return f"{self._first(match)}{counted(found[1], table.currencies[symbol], table)} {table.and_cents}{cents}"

    def _percent(self, match: re.Match[str]) -> str:
        return f"{self._first(match)}{number(match['number'], self._table)} {self._table.percent}"

    def _unit(self, match: re.Match[str]) -> str:
        return self._first(match) + counted(match["number"], self._table.units[match["symbol"]], self._table)

    def _range(self, match: re.Match[str]) -> str:
        return self._first(match) + number(match["number"], self._table)

    def _fraction(self, above: int, below: int) -> str:
        language = self._table.language
        return f"{cardinal(above, language)} {self._table.per} {cardinal(below, language)}"

    def _left_over(self, match: re.Match[str]) -> str:
        return number(match[0], self._table) if len(match[0]) < 4 else digits(match[0], self._table.language)


def _alternatives(names: list[str]) -> str:
    return "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
