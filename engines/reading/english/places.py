"""States of the USA by their letters, behind a town: Los Angeles, CA."""

from typing import Final

from engines.reading.rules import rule

_STATES: Final = {
    **{"AL": "Alabama", "AK": "Alaska", "AZ": "Arizona", "AR": "Arkansas", "CA": "California", "CO": "Colorado"},
    **{"CT": "Connecticut", "DE": "Delaware", "FL": "Florida", "GA": "Georgia", "HI": "Hawaii", "ID": "Idaho"},
    **{"IL": "Illinois", "IN": "Indiana", "IA": "Iowa", "KS": "Kansas", "KY": "Kentucky", "LA": "Louisiana"},
    **{"ME": "Maine", "MD": "Maryland", "MA": "Massachusetts", "MI": "Michigan", "MN": "Minnesota"},
    **{"MS": "Mississippi", "MO": "Missouri", "MT": "Montana", "NE": "Nebraska", "NV": "Nevada"},
    **{"NH": "New Hampshire", "NJ": "New Jersey", "NM": "New Mexico", "NY": "New York", "NC": "North Carolina"},
    **{"ND": "North Dakota", "OH": "Ohio", "OK": "Oklahoma", "OR": "Oregon", "PA": "Pennsylvania"},
    **{"RI": "Rhode Island", "SC": "South Carolina", "SD": "South Dakota", "TN": "Tennessee", "TX": "Texas"},
    **{"UT": "Utah", "VT": "Vermont", "VA": "Virginia", "WA": "Washington", "WV": "West Virginia"},
    **{"WI": "Wisconsin", "WY": "Wyoming"},
}
"""Source: USPS Publication 28, appendix B."""

_WORDS: Final = ("HI", "ID", "IN", "LA", "MA", "ME", "OH", "OK", "OR", "PA")
"""Those that may be words, or other towns, are states only in front of a ZIP code."""

_SURE: Final = "|".join(name for name in _STATES if name not in _WORDS)

RULES: Final = (
    rule(
        rf"(?<=[a-z], )(?:(?:{_SURE})(?=$|[ ,.;:!?)])(?! ?\d{{1,4}}(?!\d))|(?:{'|'.join(_STATES)})(?= \d{{5}}(?!\d)))",
        lambda match: _STATES[match[0]],
    ),
)
