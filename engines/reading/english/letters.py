"""What is spelled letter by letter, what looks so and is a word, and mixtures of letters and digits.

Words in capitals are left to the voice, which knows most of them; here is what voices get wrong.
"""

import re
from typing import Final

from engines.abbreviations import STARTERS
from engines.reading.english.numbers import cardinal, code, year_words
from engines.reading.rules import INNER_DOT, after, before, needing, numeric, rule, stopped

_WORDS: Final = {
    "AWS": "A W S",
    "JSON": "Jason",
    "YAML": "yammel",
    "TOML": "tommel",
    "IKEA": "Ikea",
    "WiFi": "Wi-Fi",
    "WIFI": "Wi-Fi",
    "PhD": "P H D",
    "PhDs": "P H Ds",
    "nginx": "engine X",
    "PostgreSQL": "Postgres Q L",
    "C++": "C plus plus",
    "C#": "C sharp",
    "F#": "F sharp",
    ".NET": "dot net",
    "I/O": "I O",
    "n/a": "N A",
    "N/A": "N A",
    "w/o": "without",
    "w/": "with",
    "b/c": "because",
    "c/o": "care of",
    "WWI": "World War One",
    "WWII": "World War Two",
    "WW1": "World War One",
    "WW2": "World War Two",
    "OAuth2": "O Auth two",
    "kWh": "kilowatt hours",
    "he/she": "he or she",
    "He/she": "He or she",
    "she/he": "she or he",
    "s/he": "he or she",
    "him/her": "him or her",
    "his/her": "his or her",
    "his/hers": "his or hers",
}
_PRODUCT: Final = (
    r"(?P<front>\b(?:[Vv]ersion|[Rr]elease|Python|Node(?:\.js)?|Ubuntu|Debian|Fedora|Windows|iOS|iPadOS|macOS|Android|"
    r"Java|JDK|PHP|Ruby|Rails|Django|Flask|Go|Rust|Kubernetes|Postgres|PostgreSQL|MySQL|CUDA|PyTorch|TensorFlow|Linux|"
    r"Chrome|Firefox|Safari|React|Angular|Vue|TypeScript|Swift|Kotlin|HTTP/|TLS|USB|Bluetooth) ?)$"
)
_AFTER_PRODUCT = re.compile(_PRODUCT)
_VOWEL = re.compile(r"[aeiouyAEIOUY]")
_GRADE = re.compile(
    r"\b(?:[Pp]lan|[Vv]itamin|[Gg]rade|[Tt]ype|[Gg]roup|[Ss]ection|[Oo]ption|[Hh]epatitis|[Ee]xhibit|[Ss]eries|[Cc]lass|"
    r"[Aa]ppendix|[Ff]igure|[Aa]nswer|[Ll]etter|[Pp]latform|[Tt]erminal) $"
)
_CAPITALS_AROUND = re.compile(r"[A-Z]{2,}[\s,]*$")


def spelled(letters: str) -> str:
    """The letters one by one, in capitals."""
    return " ".join(letters.upper())


def version(text: str) -> str:
    """ "three point eleven", "two point zero point one", "eight oh two point eleven"."""
    return " point ".join(map(_version_part, text.split(".")))


def _version_part(part: str) -> str:
    if len(part) == 2 and part[0] == "0":
        return year_words(part)
    return cardinal(int(part), "en") if len(part) < 3 else code(part)


def _after_product(match: re.Match[str]) -> str | None:
    """3.11 behind "Python"; three parts anywhere."""
    if match[0].count(".") < 2 and not _AFTER_PRODUCT.search(before(match)):
        return None
    return version(match[0])


def _v(match: re.Match[str]) -> str:
    return f"version {version(match['number'])}"


def _dotted(match: re.Match[str]) -> str | None:
    """U.S., Ph.D., J.R.R. Tolkien."""
    return stopped(match, spelled(match[0].replace(".", "")))


def _initial(match: re.Match[str]) -> str | None:
    """George W. Bush, J. Smith; but "plan B. The"."""
    follows = re.match(r"\s+([^\W\d_]+)(\.?)", after(match))
    if follows is None or not follows[1][0].isupper() or follows[1] in STARTERS:
        return None
    is_in_name = re.search(r"(?:[A-Z][a-z]+|\b[A-Z]\.) $", before(match)) or (len(follows[1]) == 1 and follows[2])
    return match[0][0] if is_in_name else None


def _mixed(match: re.Match[str]) -> str:
    """MP3, H2O, COVID-19, A4, BA249, x86."""
    parts = re.findall(r"[^\W\d_]+|\d+", match[0])
    return " ".join(code(part) if part.isdecimal() else _letters(part) for part in parts)


def _letters(part: str) -> str:
    """Letters beside digits: spelled if they are few capitals, or no word."""
    is_short = part.isupper() and len(part) <= 2
    return spelled(part) if len(part) == 1 or is_short or not _VOWEL.search(part) else part


def _model(match: re.Match[str]) -> str:
    """PM2.5, GPT-4.5."""
    return f"{_letters(match['letters'])} {version(match['number'])}"


def _revision(match: re.Match[str]) -> str:
    """802.11ax, 1.0b."""
    return f"{version(match['number'])} {spelled(match['letters'])}"


def _ampersand(match: re.Match[str]) -> str:
    return " and ".join(spelled(part) for part in match[0].split("&"))


def _who(match: re.Match[str]) -> str | None:
    """The organisation, in a sentence that is not all capitals."""
    rest = after(match)
    is_shouted = _CAPITALS_AROUND.search(before(match)) or re.match(r"[\s,]*[A-Z]{2,}\b", rest)
    return None if is_shouted else "W H O"


def _grade_a(match: re.Match[str]) -> str | None:
    """The letter, where it would be taken for the article."""
    is_name = _GRADE.search(before(match)) and not re.match(r" [a-z]", after(match))
    return "A" if is_name else None


_KNOWN: Final = "|".join(re.escape(name) for name in sorted(_WORDS, key=len, reverse=True))

RULES: Final = (
    rule(rf"(?<![\w/.@])(?:{_KNOWN})(?![\w/@]|\.\w)", lambda match: _WORDS[match[0]]),
    *needing("V", rule(r"(?<!\w)VS(?= Code\b)", "V S")),
    *needing("W", rule(r"(?<!\w)WHO(?!\w)", _who)),
    *needing("A", rule(r"(?<![\w'’])A(?![\w'’]|\.\w)", _grade_a)),
    *numeric(rule(r"(?<![\w.])[vV](?P<number>\d{1,4}(?:\.\d{1,6}){0,4})(?![\w.]\w)(?!\w)", _v)),
    *numeric(rule(r"(?<![\w.,:/$€£-])\d{1,4}(?:\.\d{1,6}){1,4}(?!\w)(?!\.\d)", _after_product)),
    *needing("&", rule(r"(?<![\w.])[A-Z]{1,5}(?:&[A-Z]{1,5}){1,2}(?!\w)", _ampersand)),
    *needing(
        (INNER_DOT,),
        rule(r"(?<![\w.])(?:(?:[^\W\d_]\.){2,6}|Ph\.D\.|Ph\.D(?=\W|$))(?!\w)", _dotted),
    ),
    rule(r"(?<![\w.'’])[A-Z]\.(?= )", _initial),
)

MIXED: Final = (
    rule(r"(?<![\w.])(?P<letters>[^\W\d_]{1,12})-?(?P<number>\d{1,3}\.\d{1,3})(?!\w|\.\d)", _model),
    rule(r"(?<![\w.])(?P<number>\d{1,4}\.\d{1,4})(?P<letters>[a-z]{1,3})(?!\w)", _revision),
    rule(
        r"(?<![\w.])(?!(?i:mid|pre|post|non|anti|ex|over|under|sub|top|all)-)(?=[\w-]{0,30}[^\W\d_])(?=[\w-]{0,30}\d)(?:[^\W\d_]{1,20}-?(?=\d)|\d{1,20}-?(?=[^\W\d_])|\d{1,20}-(?=\d)){1,8}"
        r"(?:\d{1,20}|[A-Z]{1,8}|[a-z]{1,2})(?!\w|\.\d)",
        _mixed,
    ),
)
"""After all rules that know what a letter behind a number means."""
