"""How Italian is read."""

import re
from typing import Final

from engines.reading.languages.table import Table, nouns
from engines.reading.number_words import cardinal, ordinal
from engines.reading.rules import Rule, rule

_ARTICLES: Final = {"ora": "un'", "tonnellata": "una", "sterlina": "una"}

TABLE: Final = Table(
    language="it",
    decimal_mark=",",
    group_marks=".\u00a0\u202f",
    point="virgola",
    minus="meno",
    plus="più",
    to="a",
    percent="per cento",
    one="un",
    per="su",
    months=(
        *("gennaio", "febbraio", "marzo", "aprile", "maggio", "giugno"),
        *("luglio", "agosto", "settembre", "ottobre", "novembre", "dicembre"),
    ),
    units=nouns(
        """
        km: chilometro, chilometri
        m: metro, metri
        cm: centimetro, centimetri
        mm: millimetro, millimetri
        kg: chilo, chili
        g: grammo, grammi
        mg: milligrammo, milligrammi
        t: tonnellata, tonnellate
        l L: litro, litri
        ml: millilitro, millilitri
        km/h: chilometro orario, chilometri orari
        m/s: metro al secondo, metri al secondo
        m²: metro quadrato, metri quadrati
        m³: metro cubo, metri cubi
        km²: chilometro quadrato, chilometri quadrati
        °C: grado Celsius, gradi Celsius
        °: grado, gradi
        h: ora, ore
        min: minuto, minuti
        s: secondo, secondi
        kWh: chilowattora
        kW: chilowatt
        W: watt
        V: volt
        MB: megabyte
        GB: gigabyte
        TB: terabyte
        GHz: gigahertz
        """,
        "un",
        _ARTICLES,
    ),
    currencies=nouns(
        "€ EUR: euro\n$ USD: dollaro, dollari\n£ GBP: sterlina, sterline\nCHF: franco, franchi\n¥: yen", "un", _ARTICLES
    ),
    hundredths=nouns("€ EUR $ USD CHF: centesimo, centesimi\n£ GBP: penny, pence", "un"),
    and_cents="e ",
    symbols={
        "&": "e",
        "+": "più",
        "=": "uguale",
        "%": "per cento",
        "×": "per",
        "€": "euro",
        "$": "dollari",
        "<": "minore di",
        ">": "maggiore di",
        "÷": "diviso",
        "−": "meno",
        "@": "chiocciola",
        "°": "gradi",
        "§": "paragrafo",
    },
    address_marks={
        "@": "chiocciola",
        ".": "punto",
        "-": "trattino",
        "_": "trattino basso",
        "/": "barra",
        "+": "più",
        ":": "due punti",
    },
    abbreviations={
        "Sig.": "signor",
        "Sig.ra": "signora",
        "Sig.na": "signorina",
        "Dott.": "dottor",
        "Dott.ssa": "dottoressa",
        "Prof.": "professor",
        "Prof.ssa": "professoressa",
        "Avv.": "avvocato",
        "Ing.": "ingegner",
        "ecc.": "eccetera",
        "p. es.": "per esempio",
        "p.es.": "per esempio",
        "a.C.": "avanti Cristo",
        "d.C.": "dopo Cristo",
        "ca.": "circa",
        "tel.": "telefono",
    },
    numbered={
        "n.": "numero",
        "n°": "numero",
        "N.": "numero",
        "p.": "pagina",
        "pag.": "pagina",
        "pagg.": "pagine",
        "art.": "articolo",
        "cap.": "capitolo",
    },
)


def date_words(match: re.Match[str], day: int, month: int, in_year: int | None) -> str:
    """ "quindici marzo duemilaventiquattro"."""
    words = f"{'primo' if day == 1 else cardinal(day, 'it')} {TABLE.months[month - 1]}"
    return f"{words} {cardinal(in_year, 'it')}" if in_year is not None else words


def time_words(hour: int, minute: int) -> str:
    """ "quindici e trenta"."""
    hours = "una" if hour == 1 else cardinal(hour, "it")
    return f"{hours} e {cardinal(minute, 'it')}" if minute else hours


def _ordinal(match: re.Match[str]) -> str:
    """1º, 2ª."""
    word = ordinal(int(match["number"]), "it")
    return word[:-1] + "a" if match["mark"] == "ª" else word


RULES: Final[tuple[Rule, ...]] = (rule(r"(?<![\w.,])(?P<number>\d{1,3})(?P<mark>º|ª|°(?= [a-z]))(?!\w)", _ordinal),)

TIME_BEHIND: Final = r""
