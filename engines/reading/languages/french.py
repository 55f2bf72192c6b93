"""How French is read."""

import re
from typing import Final

from engines.reading.languages.table import Table, nouns
from engines.reading.number_words import cardinal, ordinal
from engines.reading.rules import Rule, rule

_FEMININE: Final[dict[str, str]] = dict.fromkeys(("heure", "minute", "seconde", "tonne", "livre"), "une")

TABLE: Final = Table(
    language="fr",
    decimal_mark=",",
    group_marks=" .\u00a0\u202f",
    point="virgule",
    minus="moins",
    plus="plus",
    to="à",
    percent="pour cent",
    one="un",
    per="sur",
    months=(
        *("janvier", "février", "mars", "avril", "mai", "juin"),
        *("juillet", "août", "septembre", "octobre", "novembre", "décembre"),
    ),
    units=nouns(
        """
        km: kilomètre, kilomètres
        m: mètre, mètres
        cm: centimètre, centimètres
        mm: millimètre, millimètres
        kg: kilo, kilos
        g: gramme, grammes
        mg: milligramme, milligrammes
        t: tonne, tonnes
        l L: litre, litres
        ml: millilitre, millilitres
        km/h: kilomètre heure, kilomètres heure
        m/s: mètre par seconde, mètres par seconde
        m²: mètre carré, mètres carrés
        m³: mètre cube, mètres cubes
        km²: kilomètre carré, kilomètres carrés
        °C: degré Celsius, degrés Celsius
        °: degré, degrés
        h: heure, heures
        min: minute, minutes
        s: seconde, secondes
        kWh: kilowattheure, kilowattheures
        kW: kilowatt, kilowatts
        W: watt, watts
        V: volt, volts
        Mo: mégaoctet, mégaoctets
        Go: gigaoctet, gigaoctets
        To: téraoctet, téraoctets
        GHz: gigahertz
        """,
        "un",
        _FEMININE,
    ),
    currencies=nouns(
        "€ EUR: euro, euros\n$ USD: dollar, dollars\n£ GBP: livre, livres\nCHF: franc, francs\n¥: yen, yens",
        "un",
        _FEMININE,
    ),
    hundredths=nouns("€ EUR CHF: centime, centimes\n$ USD: cent, cents\n£ GBP: penny, pence", "un"),
    and_cents="et ",
    symbols={
        "&": "et",
        "+": "plus",
        "=": "égale",
        "%": "pour cent",
        "×": "fois",
        "€": "euros",
        "$": "dollars",
        "<": "inférieur à",
        ">": "supérieur à",
        "÷": "divisé par",
        "−": "moins",
        "@": "arobase",
        "°": "degrés",
        "§": "paragraphe",
    },
    address_marks={
        "@": "arobase",
        ".": "point",
        "-": "tiret",
        "_": "tiret bas",
        "/": "slash",
        "+": "plus",
        ":": "deux points",
    },
    abbreviations={
        "Mme": "madame",
        "Mmes": "mesdames",
        "Mlle": "mademoiselle",
        "MM.": "messieurs",
        "Dr": "docteur",
        "p. ex.": "par exemple",
        "p.ex.": "par exemple",
        "etc.": "et cetera",
        "c.-à-d.": "c'est-à-dire",
        "env.": "environ",
        "av. J.-C.": "avant Jésus-Christ",
        "apr. J.-C.": "après Jésus-Christ",
        "bd.": "boulevard",
        "tél.": "téléphone",
    },
    numbered={
        "n°": "numéro",
        "N°": "numéro",
        "nº": "numéro",
        "p.": "page",
        "chap.": "chapitre",
        "art.": "article",
        "vol.": "volume",
    },
    endings_of_one=(("un", "un", "une"),),
)


def date_words(match: re.Match[str], day: int, month: int, in_year: int | None) -> str:
    """ "quinze mars deux mille vingt-quatre"."""
    words = f"{'premier' if day == 1 else cardinal(day, 'fr')} {TABLE.months[month - 1]}"
    return f"{words} {cardinal(in_year, 'fr')}" if in_year is not None else words


def time_words(hour: int, minute: int) -> str:
    """ "quinze heures trente"."""
    hours = "une heure" if hour == 1 else f"{cardinal(hour, 'fr')} heure{'s' if hour else ''}"
    hours = hours.replace("vingt et un heures", "vingt et une heures")
    minutes = re.sub(r"\bun$", "une", cardinal(minute, "fr"))
    return f"{hours} {minutes}" if minute else hours


def _ordinal(match: re.Match[str]) -> str:
    """1er, 1re, 2e, 3ème."""
    number = int(match["number"])
    if number == 1:
        return "premier" if match["mark"] == "er" else "première"
    return ordinal(number, "fr")


RULES: Final[tuple[Rule, ...]] = (
    rule(r"(?<![\w.,])(?P<number>\d{1,3})(?P<mark>er|re|ère|ème|eme|e|ᵉ|ᵉʳ|nd|nde)(?!\w)", _ordinal),
    rule(r"(?<![\w.])M\.(?= [A-ZÀ-Ý])", "monsieur"),
)

TIME_BEHIND: Final = r""
