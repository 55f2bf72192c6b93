"""Numbers as they are written on the Continent and in Vietnam: 1.234,5 or 1 234,5."""

import re

from engines.reading.languages.table import Noun, Table
from engines.reading.number_words import cardinal, digits, whole

START = r"(?<![\w.,])(?<!\d[:/-])"
DASH = "(?:\u2013|\u2012|\u2010|\u2011|-)"
SPACE = "[ \u00a0\u2009\u202f]"
SIGN = r"(?:(?<![\w)])[-−+])?"


def number_pattern(table: Table) -> str:
    """Digits in groups or not, and what may stand behind the decimal mark, or behind a point in its place."""
    group = f"[{re.escape(table.group_marks)}]"
    integer = rf"(?:\d{{1,3}}(?:{group}\d{{3}}){{1,6}}(?!\d)|\d{{1,40}})"
    return rf"(?:{integer}(?:{re.escape(table.decimal_mark)}\d{{1,20}}(?!\d))?|\d{{1,15}}\.\d{{1,2}}(?!\d))"


def number(text: str, table: Table) -> str:
    """ "1.234,5" or "-3" in words."""
    if text[0] in "-−+":
        return f"{table.plus if text[0] == '+' else table.minus} {number(text[1:], table)}"
    plain = text if re.fullmatch(r"\d{1,15}\.\d{1,2}", text) else text.replace(table.decimal_mark, "·")
    plain = re.sub(rf"[{re.escape(table.group_marks)}](?=\d{{3}}(?!\d))", "", plain)
    integer, mark, decimals = re.sub(r"[.·]", "·", plain).partition("·")
    words = whole(integer, table.language)
    return f"{words} {table.point} {_decimals(decimals, table)}" if mark else words


def _decimals(text: str, table: Table) -> str:
    is_spelled = table.are_decimals_spelled or len(text) > 2 or text[0] == "0"
    return digits(text, table.language) if is_spelled else cardinal(int(text), table.language)


def counted(text: str, noun: Noun, table: Table) -> str:
    """A number and what it counts: "ein Kilometer", "veintiún kilómetros"."""
    if text == "1":
        return f"{noun.article} {noun.one}".replace("' ", "'")
    words = number(text, table)
    for ending, masculine, feminine in table.endings_of_one:
        if words.endswith(ending):
            words = words.removesuffix(ending) + (masculine if noun.article == table.one else feminine)
            break
    return f"{words} {noun.many}"
