"""Abbreviations, addresses and symbols outside English."""

import re

from engines.reading.languages.table import Table
from engines.reading.number_words import cardinal, digits
from engines.reading.rules import Rule, rule, stopped

_TOKEN = re.compile(r"[^\W\d_]+|\d+|[^\w\s]|_")
_LABEL = r"[^\W_](?:[\w-]{0,40}[^\W_])?"
_DOMAINS = "com|org|net|edu|gov|info|io|ai|app|dev|eu|de|at|ch|es|fr|it|vn|mx|ar|be|uk|co"
_TAIL = r"(?:/[\w.~%@+=-]{0,80}(?<![.,])){0,8}(?:\?[\w.~%=&-]{1,200}(?<![.,]))?"
_SILENT = r"[*_^~`|\\{}<>®™℠•·¤¦†‡◦▪■□●○′″#/$£€¥₫@+=&%°§→⁄¢©×÷±−]"


class Marks:
    """The rules of one table. Any thread."""

    def __init__(self, table: Table) -> None:
        self._table = table
        short = _alternatives([*table.abbreviations])
        numbered = _alternatives([*table.numbered])
        symbols = _alternatives([*table.symbols])
        self.first: tuple[Rule, ...] = (
            rule(rf"(?<!\w)[\w.%+-]{{1,64}}@{_LABEL}(?:\.{_LABEL}){{1,4}}(?!\w)", self._address),
            rule(rf"(?<!\w)(?:https?://(?:www\.)?|www\.){_LABEL}(?:\.{_LABEL}){{0,5}}{_TAIL}", self._web),
            rule(rf"(?<![\w@.])(?:{_LABEL}\.){{1,4}}(?:{_DOMAINS})(?![\w@.-]\w|\w){_TAIL}", self._web),
            rule(rf"(?<![\w.])(?:{numbered})(?= ?\d)", lambda match: table.numbered[match[0]]),
            rule(rf"(?<![\w.])(?:{short})(?!\w)", lambda match: stopped(match, table.abbreviations[match[0]])),
        )
        self.last: tuple[Rule, ...] = (
            rule(rf"(?<=[\w)\]] )(?:{symbols})(?= [\w(])|(?<!\w)[&+=%§€$£](?!\w)|(?<=\w)[&+=](?=\w)", self._symbol),
            rule(r"(?<=\w)/(?=\w)", ""),
            rule(_SILENT, self._symbol),
        )

    def _address(self, match: re.Match[str]) -> str:
        return self._said(match[0])

    def _web(self, match: re.Match[str]) -> str:
        address, _, _ = re.sub(r"^https?://(?:www\.)?|^www\.", "", match[0]).partition("?")
        return self._said(address.rstrip("/"))

    def _said(self, text: str) -> str:
        return " ".join(filter(None, map(self._token, _TOKEN.findall(text))))

    def _token(self, token: str) -> str:
        if token.isdecimal():
            is_short = len(token) < 3 and token[0] != "0"
            return cardinal(int(token), self._table.language) if is_short else digits(token, self._table.language)
        return token if token.isalpha() else self._table.address_marks.get(token, "")

    def _symbol(self, match: re.Match[str]) -> str:
        return self._table.symbols.get(match[0], "")


def _alternatives(names: list[str]) -> str:
    return "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True)) or "(?!)"
