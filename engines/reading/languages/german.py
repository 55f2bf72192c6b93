"""How German is read."""

import re
from typing import Final

from engines.abbreviations import ORDINAL_ARTICLES, ORDINAL_NOUNS
from engines.reading.languages.table import Table, nouns
from engines.reading.number_words import cardinal, ordinal, year
from engines.reading.rules import Rule, after, before, rule

_FEMININE: Final[dict[str, str]] = dict.fromkeys(
    ("Sekunde", "Minute", "Stunde", "Tonne", "Kilowattstunde", "Meile"), "eine"
)

TABLE: Final = Table(
    language="de",
    decimal_mark=",",
    group_marks=".\u00a0\u202f'",
    point="Komma",
    minus="minus",
    plus="plus",
    to="bis",
    percent="Prozent",
    one="ein",
    per="durch",
    months=(
        *("Januar", "Februar", "März", "April", "Mai", "Juni"),
        *("Juli", "August", "September", "Oktober", "November", "Dezember"),
    ),
    units=nouns(
        """
        km: Kilometer
        m: Meter
        cm: Zentimeter
        mm: Millimeter
        kg: Kilogramm
        g: Gramm
        mg: Milligramm
        t: Tonne, Tonnen
        l L: Liter
        ml: Milliliter
        km/h: Stundenkilometer
        m/s: Meter pro Sekunde
        m²: Quadratmeter
        m³: Kubikmeter
        km²: Quadratkilometer
        °C: Grad Celsius
        °F: Grad Fahrenheit
        °: Grad
        h Std.: Stunde, Stunden
        min Min.: Minute, Minuten
        s Sek.: Sekunde, Sekunden
        kWh: Kilowattstunde, Kilowattstunden
        kW: Kilowatt
        W: Watt
        V: Volt
        MB: Megabyte
        GB: Gigabyte
        TB: Terabyte
        GHz: Gigahertz
        Hz: Hertz
        """,
        "ein",
        _FEMININE,
    ),
    currencies=nouns("€ EUR: Euro\n$ USD: Dollar\n£ GBP: Pfund\nCHF: Franken\n¥: Yen", "ein"),
    hundredths=nouns("€ EUR $ USD: Cent\n£ GBP: Penny, Pence\nCHF: Rappen", "ein"),
    and_cents="und ",
    symbols={
        "&": "und",
        "+": "plus",
        "=": "gleich",
        "%": "Prozent",
        "§": "Paragraf",
        "×": "mal",
        "€": "Euro",
        "$": "Dollar",
        "<": "kleiner als",
        ">": "größer als",
        "÷": "durch",
        "−": "minus",
        "±": "plus minus",
        "@": "at",
        "°": "Grad",
    },
    address_marks={
        "@": "at",
        ".": "Punkt",
        "-": "Bindestrich",
        "_": "Unterstrich",
        "/": "Schrägstrich",
        "+": "plus",
        ":": "Doppelpunkt",
    },
    abbreviations={
        "z. B.": "zum Beispiel",
        "z.B.": "zum Beispiel",
        "d. h.": "das heißt",
        "d.h.": "das heißt",
        "usw.": "und so weiter",
        "bzw.": "beziehungsweise",
        "ca.": "circa",
        "u. a.": "unter anderem",
        "u.a.": "unter anderem",
        "Dr.": "Doktor",
        "Prof.": "Professor",
        "Hr.": "Herr",
        "Fr.": "Frau",
        "inkl.": "inklusive",
        "ggf.": "gegebenenfalls",
        "evtl.": "eventuell",
        "etc.": "et cetera",
        "vgl.": "vergleiche",
        "Mio.": "Millionen",
        "Mrd.": "Milliarden",
        "Tel.": "Telefon",
    },
    numbered={"Nr.": "Nummer", "Kap.": "Kapitel", "Abb.": "Abbildung", "S.": "Seite", "Bd.": "Band"},
    are_decimals_spelled=True,
)

_NOUNS: Final = "|".join(sorted(ORDINAL_NOUNS, key=len, reverse=True))
_DATIVE = re.compile(
    r"\b(?:am|vom|zum|dem|den|im|beim|seit|ab|bis|zur|des|ihrem|seinem|meinem|ihren|seinen|unserem),? $|\w+tag, dem $",
    re.I,
)
_YEAR_BEFORE = re.compile(
    r"\b(?:Jahr|Jahre|Jahren|seit|von|bis|um|nach|vor|Anfang|Ende|Mitte|Sommer|Winter|Herbst|Januar|Februar|"
    r"März|April|Mai|Juni|Juli|August|September|Oktober|November|Dezember) $"
)


def _ordinal(number: int, front: str) -> str:
    """ "dritten" behind "am", "dritte" behind "der", else "dritter"."""
    word = ordinal(number, "de")
    if _DATIVE.search(front):
        return f"{word}n"
    return word if re.search(r"\b(?:der|die|das) $", front, re.IGNORECASE) else f"{word}r"


def date_words(match: re.Match[str], day: int, month: int, in_year: int | None) -> str:
    """ "fünfzehnten März zweitausendvierundzwanzig"."""
    words = f"{_ordinal(day, before(match))} {TABLE.months[month - 1]}"
    return f"{words} {year(in_year, 'de')}" if in_year is not None else words


def time_words(hour: int, minute: int) -> str:
    """ "fünfzehn Uhr dreißig"."""
    hours = "ein" if hour == 1 else cardinal(hour, "de")
    return f"{hours} Uhr {cardinal(minute, 'de')}" if minute else f"{hours} Uhr"


def _before_noun(match: re.Match[str]) -> str | None:
    """Der 3. Oktober, im 19. Jahrhundert, zum 5. Mal."""
    has_noun = re.match(rf" (?:{_NOUNS})\b", after(match))
    article = re.search(r"\b([^\W\d_]+) $", before(match))
    is_counted = article is not None and article[1].lower() in ORDINAL_ARTICLES and re.match(r" [A-ZÄÖÜ]", after(match))
    return _ordinal(int(match["number"]), before(match)) if has_noun or is_counted else None


def _year(match: re.Match[str]) -> str | None:
    return year(int(match[0]), "de") if _YEAR_BEFORE.search(before(match)) else None


RULES: Final[tuple[Rule, ...]] = (
    rule(r"(?<![\w.,])(?P<number>\d{1,3})\.(?= [A-ZÄÖÜ])", _before_noun),
    rule(r"(?<![\w.,])(?:1[1-9])\d\d(?![\w%°])(?![.,]\d)(?! ?[€$£])", _year),
)

TIME_BEHIND: Final = r"(?: Uhr\b)?"
