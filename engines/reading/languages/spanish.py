"""How Spanish is read."""

import re
from typing import Final

from engines.reading.languages.table import Table, nouns
from engines.reading.number_words import cardinal, ordinal
from engines.reading.rules import Rule, rule

_FEMININE: Final[dict[str, str]] = dict.fromkeys(("hora", "tonelada", "libra", "milla"), "una")

TABLE: Final = Table(
    language="es",
    decimal_mark=",",
    group_marks=".\u00a0\u202f",
    point="coma",
    minus="menos",
    plus="más",
    to="a",
    percent="por ciento",
    one="un",
    per="partido por",
    months=(
        *("enero", "febrero", "marzo", "abril", "mayo", "junio"),
        *("julio", "agosto", "septiembre", "octubre", "noviembre", "diciembre"),
    ),
    units=nouns(
        """
        km: kilómetro, kilómetros
        m: metro, metros
        cm: centímetro, centímetros
        mm: milímetro, milímetros
        kg: kilo, kilos
        g: gramo, gramos
        mg: miligramo, miligramos
        t: tonelada, toneladas
        l L: litro, litros
        ml: mililitro, mililitros
        km/h: kilómetro por hora, kilómetros por hora
        m/s: metro por segundo, metros por segundo
        m²: metro cuadrado, metros cuadrados
        m³: metro cúbico, metros cúbicos
        km²: kilómetro cuadrado, kilómetros cuadrados
        °C ºC: grado Celsius, grados Celsius
        °: grado, grados
        h: hora, horas
        min: minuto, minutos
        s: segundo, segundos
        kWh: kilovatio hora, kilovatios hora
        kW: kilovatio, kilovatios
        W: vatio, vatios
        V: voltio, voltios
        MB: megabyte, megabytes
        GB: gigabyte, gigabytes
        TB: terabyte, terabytes
        GHz: gigahercio, gigahercios
        """,
        "un",
        _FEMININE,
    ),
    currencies=nouns(
        "€ EUR: euro, euros\n$ USD: dólar, dólares\n£ GBP: libra, libras\nMXN: peso, pesos\n¥: yen, yenes",
        "un",
        _FEMININE,
    ),
    hundredths=nouns("€ EUR: céntimo, céntimos\n$ USD MXN: centavo, centavos\n£ GBP: penique, peniques", "un"),
    and_cents="con ",
    symbols={
        "&": "y",
        "+": "más",
        "=": "igual a",
        "%": "por ciento",
        "×": "por",
        "€": "euros",
        "$": "dólares",
        "<": "menor que",
        ">": "mayor que",
        "÷": "entre",
        "−": "menos",
        "@": "arroba",
        "°": "grados",
        "§": "párrafo",
    },
    address_marks={
        "@": "arroba",
        ".": "punto",
        "-": "guion",
        "_": "guion bajo",
        "/": "barra",
        "+": "más",
        ":": "dos puntos",
    },
    abbreviations={
        "Sr.": "señor",
        "Sra.": "señora",
        "Srta.": "señorita",
        "Dr.": "doctor",
        "Dra.": "doctora",
        "p. ej.": "por ejemplo",
        "p.ej.": "por ejemplo",
        "etc.": "etcétera",
        "EE. UU.": "Estados Unidos",
        "EE.UU.": "Estados Unidos",
        "Ud.": "usted",
        "Uds.": "ustedes",
        "aprox.": "aproximadamente",
        "Av.": "avenida",
        "Avda.": "avenida",
        "a. C.": "antes de Cristo",
        "d. C.": "después de Cristo",
        "tel.": "teléfono",
    },
    numbered={
        "n.º": "número",
        "nº": "número",
        "N.º": "número",
        "núm.": "número",
        "pág.": "página",
        "págs.": "páginas",
        "art.": "artículo",
        "cap.": "capítulo",
    },
    endings_of_one=(("veintiuno", "veintiún", "veintiuna"), ("uno", "un", "una")),
)

_FEMININE_MARKS: Final = "ª"


def date_words(match: re.Match[str], day: int, month: int, in_year: int | None) -> str:
    """ "quince de marzo de dos mil veinticuatro"."""
    words = f"{'primero' if day == 1 else cardinal(day, 'es')} de {TABLE.months[month - 1]}"
    return f"{words} de {cardinal(in_year, 'es')}" if in_year is not None else words


def time_words(hour: int, minute: int) -> str:
    """ "quince treinta", "una cero cinco"."""
    hours = "una" if hour == 1 else cardinal(hour, "es")
    if not minute:
        return hours
    return f"{hours} {'cero ' if minute < 10 else ''}{cardinal(minute, 'es')}"


def _ordinal(match: re.Match[str]) -> str:
    """1.º, 2ª, 3.er."""
    word = ordinal(int(match["number"]), "es")
    if match["mark"] == _FEMININE_MARKS:
        return re.sub(r"o\b", "a", word)
    return word.removesuffix("o") if match["mark"] == "er" and word.endswith("ero") else word


RULES: Final[tuple[Rule, ...]] = (
    rule(r"(?<![\w.,])(?P<number>\d{1,3})\.?(?P<mark>º|ª|er|°(?= [a-z]))(?!\w)", _ordinal),
)

TIME_BEHIND: Final = r"(?: ?h(?:oras|s)?\b)?"
