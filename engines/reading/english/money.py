"""Amounts of money in English."""

import re
from typing import Final

from engines.reading.english.numbers import DASH, DECIMAL, SPACE, START, number, scale
from engines.reading.english.quantities import is_in_front
from engines.reading.rules import rule

_NAMES: Final = {
    "$": "dollar/dollars cent/cents",
    "€": "euro/euros cent/cents",
    "£": "pound/pounds penny/pence",
    "¥": "yen/yen sen/sen",
    "₹": "rupee/rupees paisa/paise",
    "₩": "won/won jeon/jeon",
    "₽": "ruble/rubles kopek/kopeks",
    "₺": "lira/lira kurus/kurus",
    "₴": "hryvnia/hryvnias kopek/kopeks",
    "₫": "dong/dong hao/hao",
    "₪": "shekel/shekels agora/agorot",
    "₿": "bitcoin/bitcoins satoshi/satoshis",
    "Rs.": "rupee/rupees paisa/paise",
    "US$": "U_S_dollar/U_S_dollars cent/cents",
    "C$": "Canadian_dollar/Canadian_dollars cent/cents",
    "CA$": "Canadian_dollar/Canadian_dollars cent/cents",
    "A$": "Australian_dollar/Australian_dollars cent/cents",
    "AU$": "Australian_dollar/Australian_dollars cent/cents",
    "HK$": "Hong_Kong_dollar/Hong_Kong_dollars cent/cents",
    "NZ$": "New_Zealand_dollar/New_Zealand_dollars cent/cents",
    "R$": "real/reais centavo/centavos",
    "USD": "U_S_dollar/U_S_dollars cent/cents",
    "EUR": "euro/euros cent/cents",
    "GBP": "pound/pounds penny/pence",
    "JPY": "yen/yen sen/sen",
    "CNY": "yuan/yuan fen/fen",
    "RMB": "yuan/yuan fen/fen",
    "INR": "rupee/rupees paisa/paise",
    "CAD": "Canadian_dollar/Canadian_dollars cent/cents",
    "AUD": "Australian_dollar/Australian_dollars cent/cents",
    "CHF": "Swiss_franc/Swiss_francs centime/centimes",
    "SEK": "Swedish_krona/Swedish_kronor öre/öre",
    "NOK": "Norwegian_krone/Norwegian_kroner øre/øre",
    "DKK": "Danish_krone/Danish_kroner øre/øre",
    "PLN": "zloty/zlotys grosz/groszy",
    "MXN": "Mexican_peso/Mexican_pesos centavo/centavos",
    "BTC": "bitcoin/bitcoins satoshi/satoshis",
}
"""Symbol or code (ISO 4217) -> unit and its hundredth, each in the singular and the plural."""

_PERIODS: Final = {
    **{"mo": "month", "yr": "year", "y": "year", "h": "hour", "hr": "hour", "wk": "week", "d": "day", "min": "minute"},
    **{"kg": "kilogram", "g": "gram", "lb": "pound", "oz": "ounce", "l": "liter", "L": "liter", "gal": "gallon"},
    **{
        "sqft": "square foot",
        "m": "meter",
        "km": "kilometer",
        "kWh": "kilowatt hour",
        "M": "million",
        "MTok": "million tokens",
    },
}


def _alternatives(names: list[str]) -> str:
    return "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))


_SYMBOL: Final = rf"(?:{_alternatives([name for name in _NAMES if not name.isalpha()])})"
_CODE: Final = rf"(?:{_alternatives([name for name in _NAMES if name.isalpha()])})"
_SIGN: Final = r"(?P<sign>(?:(?<![\w)])[-−+])?)"
_SCALE: Final = (
    rf"(?:(?:{SPACE}|-)?(?P<scale>hundred|thousand|million|billion|trillion|bn|mn)|(?P<letter>[kKmMbBtT]))?(?![A-Za-z])"
)
_PER: Final = r"(?: ?/ ?(?P<per>[A-Za-z]{1,12})(?![\w/]))?"
_RANGE: Final = rf"(?:(?P<first>{DECIMAL})(?P<first_scale>[kKmMbB])? ?(?:{DASH}|to) ?)?"


def _money(match: re.Match[str]) -> str:
    """$5.50, -$5, $10-20, $1.5 billion, $5/month, 20 €, USD 100."""
    groups = match.groupdict()
    written, symbol = match["number"].rstrip("."), match["symbol"]
    big = groups.get("scale") or groups.get("letter") or ""
    names = [name.replace("_", " ").split("/") for name in _NAMES[symbol].split()]
    words = _amount(written, scale(big), names, is_attribute=is_in_front(match))
    if first := groups.get("first"):
        words = f"{_first(first, groups.get('first_scale') or '', big, names)} to {words}"
    sign = {"-": "minus ", "−": "minus ", "+": "plus "}.get(groups.get("sign") or "", "")
    per = groups.get("per")
    return f"{sign}{words} per {_PERIODS.get(per, per)}" if per else f"{sign}{words}"


def _amount(written: str, big: str, names: list[list[str]], *, is_attribute: bool) -> str:
    whole, _, cents = written.replace(",", "").partition(".")
    (one, many), (cent, num_cents) = names
    if big or len(cents) not in (0, 2):
        return f"{number(written)} {f'{big} ' if big else ''}{one if is_attribute else many}"
    units = f"{number(whole or '0')} {one if whole == '1' or is_attribute else many}"
    if not int(cents or 0):
        return units
    parts = f"{number(cents.lstrip('0'))} {cent if int(cents) == 1 else num_cents}"
    return f"{units} and {parts}" if int(whole or 0) else parts


def _first(written: str, first_scale: str, big: str, names: list[list[str]]) -> str:
    """The lower end of a range: its unit is only said where it has hundredths."""
    if re.search(r"\.\d\d$", written) and not first_scale and not big:
        return _amount(written, "", names, is_attribute=False)
    return f"{number(written)} {scale(first_scale)}".rstrip()


def _continental(match: re.Match[str]) -> str:
    """3,50 €, €1.000,50."""
    names = [name.split("/") for name in _NAMES["€"].split()]
    return _amount(match["number"].replace(".", "").replace(",", "."), "", names, is_attribute=False)


def _pence(match: re.Match[str]) -> str | None:
    """20p, beside pounds."""
    return (
        f"{number(match['number'])} {'penny' if match['number'] == '1' else 'pence'}" if "£" in match.string else None
    )


def _cents(match: re.Match[str]) -> str:
    return f"{number(match['number'])} {'cent' if match['number'] == '1' or is_in_front(match) else 'cents'}"


_COMMA: Final = r"(?P<number>\d{1,3}(?:\.\d{3}){0,4},\d{2})(?![\w]|[.,]\d)"

RULES: Final = (
    rule(rf"(?<![\w$])€{SPACE}?{_COMMA}", _continental),
    rule(rf"{START}{_COMMA}{SPACE}?€", _continental),
    rule(
        rf"(?<![\w$]){_SIGN}(?P<symbol>{_SYMBOL}){SPACE}?{_RANGE}(?:(?P=symbol))?(?P<number>{DECIMAL}){_SCALE}{_PER}",
        _money,
    ),
    rule(rf"(?<!\w)(?P<symbol>{_CODE}){SPACE}?(?P<number>{DECIMAL}){_SCALE}{_PER}", _money),
    rule(
        rf"{START}{_SIGN}{_RANGE}(?P<number>{DECIMAL}){SPACE}?(?P<scale>k|K|million|billion)?{SPACE}?"
        rf"(?P<symbol>[€£¥₹₽₩₫₺₴₪]|{_CODE}(?!\w)){_PER}",
        _money,
    ),
    rule(rf"{START}(?P<number>{DECIMAL}){SPACE}?¢", _cents),
    rule(rf"{START}(?P<number>\d{{1,2}})p(?!\w)", _pence),
)
