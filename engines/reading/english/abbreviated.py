"""Abbreviated words in English, and the full stop of theirs that may also have ended the sentence."""

import re
from typing import Final

from engines.abbreviations import STARTERS
from engines.reading.rules import after, before, needing, numeric, rule, stopped

_ALWAYS: Final = {
    "e.g.": "for example",
    "i.e.": "that is",
    "etc.": "et cetera",
    "vs.": "versus",
    "approx.": "approximately",
    "dept.": "department",
    "misc.": "miscellaneous",
    "cf.": "compare",
    "et al.": "and others",
    "a.k.a.": "also known as",
    "aka": "also known as",
    "Jr.": "Junior",
    "Sr.": "Senior",
    "Inc.": "Incorporated",
    "Ltd.": "Limited",
    "Corp.": "Corporation",
    "Co.": "Company",
    "Bros.": "Brothers",
    "Ave.": "Avenue",
    "Blvd.": "Boulevard",
    "Rd.": "Road",
    "Hwy.": "Highway",
    "Pkwy.": "Parkway",
    "Bldg.": "Building",
    "apt.": "apartment",
    "govt.": "government",
    "Univ.": "University",
    "Assn.": "Association",
    "max.": "maximum",
    "min.": "minimum",
    "avg.": "average",
    "incl.": "including",
    "excl.": "excluding",
    "feat.": "featuring",
    "tel.": "telephone",
    "ext.": "extension",
    "viz.": "namely",
    "esp.": "especially",
    "w.r.t.": "with respect to",
}
_IN_MIDDLE: Final = ("e.g.", "i.e.", "vs.", "approx.", "cf.", "viz.", "incl.", "excl.", "feat.")
"""Something has to follow these: "No. 1 vs. No. 2" is one sentence."""

_ANY_CASE: Final = (
    "etc.",
    "vs.",
    "approx.",
    "dept.",
    "misc.",
    "apt.",
    "govt.",
    "max.",
    "min.",
    "tel.",
    "ext.",
    "e.g.",
    "i.e.",
    "cf.",
)
_TITLES: Final = {
    "Mr": "Mister",
    "Mrs": "Missus",
    "Ms": "Miz",
    "Prof": "Professor",
    "Gen": "General",
    "Sen": "Senator",
    "Gov": "Governor",
    "Rep": "Representative",
    "Capt": "Captain",
    "Lt": "Lieutenant",
    "Col": "Colonel",
    "Sgt": "Sergeant",
    "Rev": "Reverend",
    "Hon": "Honorable",
    "Pres": "President",
    "Mt": "Mount",
    "Ft": "Fort",
}
_UNDOTTED_TITLES: Final = ("Mr", "Mrs", "Ms", "Prof")
_NUMBERED: Final = {
    **{
        "no": "number",
        "nos": "numbers",
        "vol": "volume",
        "vols": "volumes",
        "p": "page",
        "pp": "pages",
        "ch": "chapter",
    },
    **{
        "fig": "figure",
        "figs": "figures",
        "sec": "section",
        "eq": "equation",
        "ca": "circa",
        "c": "circa",
        "art": "article",
    },
    **{"ext": "extension", "est": "established", "op": "opus", "ver": "version", "ed": "edition", "para": "paragraph"},
}
_NAME_BEFORE = re.compile(r"(?:\b([^\W\d_]+)|\d+(?:st|nd|rd|th)) $")
_NAME_AFTER = re.compile(r"\s+([A-Z][^\W\d_]*)")


def _always(match: re.Match[str]) -> str:
    written = match[0]
    words = _ALWAYS.get(written) or _ALWAYS[written.lower()].capitalize()
    if written[0].isupper() and words.islower():
        words = words.capitalize()
    return words if match[0].lower() in _IN_MIDDLE and match.end() < len(match.string) else stopped(match, words)


def _title(match: re.Match[str]) -> str:
    return _TITLES[match["title"]]


def _numbered(match: re.Match[str]) -> str:
    name = match["name"]
    words = _NUMBERED[name.lower()]
    is_first = not before(match).strip() or before(match).rstrip()[-1:] in ".!?"
    return words.capitalize() if is_first and name[0].isupper() else words


def _doctor_or_saint(match: re.Match[str]) -> str | None:
    """Doctor and Saint before a name, Drive and Street behind one."""
    is_doctor = match["name"] == "Dr"
    follows = _NAME_AFTER.match(after(match))
    name = _NAME_BEFORE.search(before(match))
    is_behind = name is not None and (name[1] is None or (name[1][0].isupper() and name[1] not in STARTERS))
    is_before = follows is not None and (follows[1] not in STARTERS or not is_behind)
    if is_before and not (is_behind and re.match(r"\s+[A-Z]{2}\b", after(match))):
        return "Doctor" if is_doctor else "Saint"
    if not is_behind:
        return "doctor" if is_doctor and match[0].endswith(".") else None
    return stopped(match, "Drive" if is_doctor else "Street")


_PATTERN: Final = "|".join(
    f"[{name[0]}{name[0].upper()}]{re.escape(name[1:])}" if name in _ANY_CASE else re.escape(name)
    for name in sorted(_ALWAYS, key=len, reverse=True)
)

RULES: Final = (
    *numeric(rule(rf"(?<![\w.])(?P<name>(?i:{'|'.join(_NUMBERED)}))\.(?= ?\d)", _numbered)),
    *needing(
        "IVXL",
        rule(r"(?<![\w.])(?P<name>[Vv]ol|[Cc]h|[Ss]ec|[Ff]ig|[Aa]rt|[Oo]p)\.(?= (?:[VX]|[IVXL]{2,6})\b)", _numbered),
    ),
    rule(rf"(?<![\w.])(?:{_PATTERN})(?!\w)", _always),
    rule(r"(?<![\w.])[Ee]st\.(?= [a-z])", "estimated"),
    rule(r"(?<![\w.])vs(?= )", "versus"),
    *needing(
        {name[0] for name in _TITLES},
        rule(rf"(?<![\w.])(?P<title>{'|'.join(_TITLES)})\.(?=\s+[^\W\d_])", _title),
        rule(rf"(?<![\w.])(?P<title>{'|'.join(_UNDOTTED_TITLES)})(?=\s[A-Z])", _title),
    ),
    *needing("DS", rule(r"(?<![\w.'’])(?P<name>Dr|St)(?:\.(?!\w)|(?=\s[A-Z]))", _doctor_or_saint)),
)
