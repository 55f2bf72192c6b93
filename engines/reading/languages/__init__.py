"""How German, Spanish, French, Italian and Vietnamese are read: one set of rules, and a table for each."""

from functools import cache

from engines.reading.languages import french, german, italian, spanish, vietnamese
from engines.reading.languages.amounts import Amounts
from engines.reading.languages.days import DateWords, TimeWords, date_rules, time_rules
from engines.reading.languages.marks import Marks
from engines.reading.languages.table import Table
from engines.reading.rules import Reader, Rule

__all__ = ["other_language"]


def _reader(table: Table, rules: tuple[Rule, ...], dates: DateWords, times: TimeWords, behind: str) -> Reader:
    marks = Marks(table)
    return Reader(
        (*marks.first, *date_rules(dates), *time_rules(times, behind), *rules, *Amounts(table).rules, *marks.last)
    )


@cache
def other_language(primary: str) -> Reader | None:
    """The rules of a language (its primary subtag) besides English; None where it is not known."""
    for module in (german, spanish, french, italian, vietnamese):
        if module.TABLE.language == primary:
            return _reader(module.TABLE, module.RULES, module.date_words, module.time_words, module.TIME_BEHIND)
    return None
