"""Symbols of units, and their names in the singular and the plural.

Source: the SI brochure (9th edition), tables 2, 4, 7 and 8; NIST Handbook 44, appendix C, for customary units.
"""

from typing import Final

from engines.abbreviations import words

_METRIC: Final = {"m": "meter", "g": "gram", "l": "liter", "L": "liter", "s": "second", "W": "watt", "V": "volt"}
_PREFIXES: Final = {
    "m": ("km kilo", "cm centi", "mm milli", "μm micro", "µm micro", "nm nano", "dm deci"),
    "g": ("kg kilo", "mg milli", "μg micro", "µg micro"),
    "l": ("ml milli", "cl centi", "dl deci"),
    "L": ("mL milli", "dL deci"),
    "s": ("ms milli", "μs micro", "µs micro", "ns nano"),
    "W": ("kW kilo", "MW mega", "GW giga", "mW milli", "TW tera"),
    "V": ("kV kilo", "mV milli"),
}

_COUNTED: Final = {
    "mi": "mile",
    "yd": "yard",
    "yds": "yard",
    "oz": "ounce",
    "fl oz": "fluid ounce",
    "lb": "pound",
    "lbs": "pound",
    "gal": "gallon",
    "qt": "quart",
    "pt": "pint",
    "tsp": "teaspoon",
    "tbsp": "tablespoon",
    "ha": "hectare",
    "h": "hour",
    "hr": "hour",
    "hrs": "hour",
    "min": "minute",
    "mins": "minute",
    "sec": "second",
    "secs": "second",
    "wk": "week",
    "wks": "week",
    "yr": "year",
    "yrs": "year",
    "kB": "kilobyte",
    "KB": "kilobyte",
    "MB": "megabyte",
    "GB": "gigabyte",
    "TB": "terabyte",
    "PB": "petabyte",
    "KiB": "kibibyte",
    "MiB": "mebibyte",
    "GiB": "gibibyte",
    "kb": "kilobit",
    "Mb": "megabit",
    "Gb": "gigabit",
    "kWh": "kilowatt hour",
    "MWh": "megawatt hour",
    "Wh": "watt hour",
    "mAh": "milliamp hour",
    "mA": "milliamp",
    "kJ": "kilojoule",
    "kcal": "kilocalorie",
    "cal": "calorie",
    "Pa": "pascal",
    "kPa": "kilopascal",
    "hPa": "hectopascal",
    "kN": "kilonewton",
    "dB": "decibel",
    "px": "pixel",
    "sq ft": "square foot/square feet",
    "sq. ft": "square foot/square feet",
    "sq mi": "square mile",
    "sq m": "square meter",
    "ft": "foot/feet",
    "in": "inch/inches",
    "mph": "mile per hour/miles per hour",
    "kph": "kilometer per hour/kilometers per hour",
    "kmh": "kilometer per hour/kilometers per hour",
    "mpg": "mile per gallon/miles per gallon",
    "fps": "frame per second/frames per second",
    "rpm": "revolution per minute/revolutions per minute",
    "dpi": "dot per inch/dots per inch",
    "ppm": "part per million/parts per million",
    "bpm": "beat per minute/beats per minute",
    "kbps": "kilobit per second/kilobits per second",
    "Mbps": "megabit per second/megabits per second",
    "Gbps": "gigabit per second/gigabits per second",
    "Hz": "hertz/hertz",
    "kHz": "kilohertz/kilohertz",
    "MHz": "megahertz/megahertz",
    "GHz": "gigahertz/gigahertz",
    "THz": "terahertz/terahertz",
    "Ω": "ohm",
    "kΩ": "kilohm",
    "hp": "horsepower/horsepower",
    "psi": "P S I/P S I",
    "mmHg": "millimeter of mercury/millimeters of mercury",
    "atm": "atmosphere",
}


def _units() -> dict[str, tuple[str, str]]:
    names = dict(_COUNTED) | _METRIC
    for symbol, prefixed in _PREFIXES.items():
        for entry in prefixed:
            key, prefix = entry.split()
            names[key] = prefix + _METRIC[symbol]
    return {symbol: _both(name) for symbol, name in names.items()}


def _both(name: str) -> tuple[str, str]:
    one, slash, many = name.partition("/")
    return one, many if slash else f"{one}s"


UNITS: Final = _units()

AREAS: Final = words("km m cm mm dm ft in mi yd μm µm nm")
"""Lengths, which may be squared or cubed."""
