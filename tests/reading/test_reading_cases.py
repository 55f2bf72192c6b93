"""What is written, and what a person would read: a table, by class and language."""

import re
from pathlib import Path
from typing import NamedTuple

import pytest

from engines.reading import read
from engines.reading.english import english
from engines.reading.rules import marks_of

TABLE = Path(__file__).parent / "cases.tsv"
"""Class, language, written, spoken."""


class Case(NamedTuple):
    kind: str
    language: str
    written: str
    spoken: str


CASES = [Case(*line.split("\t")) for line in TABLE.read_text("utf-8").splitlines()]


def name_of(case: Case) -> str:
    """A readable test id."""
    return f"{case.kind}-{case.language}-{re.sub(r'[^!-~]+', '_', case.written)}"


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_it_is_read_as_a_person_would(case: Case) -> None:
    assert read(case.written, case.language).text == case.spoken


def test_every_class_has_several_cases() -> None:
    kinds = {case.kind for case in CASES if case.language == "en"}
    assert all(sum(case.kind == kind for case in CASES) >= 3 for kind in kinds)
    assert len(CASES) >= 170


@pytest.mark.parametrize("region", ["", "US", "GB"])
def test_what_a_rule_needs_is_in_all_that_it_finds(region: str) -> None:
    """Prose is spared the search of rules that find nothing in it; nothing else may change by that."""
    texts = [case.written for case in CASES if case.language.startswith("en")]
    num_found = 0
    for one in english(region).rules:
        for match in (match for text in texts for match in one.pattern.finditer(text)):
            num_found += bool(one.needs) or one.is_numeric
            assert not one.needs or not one.needs.isdisjoint(marks_of(match.string)), (one.pattern, match)
            assert not one.is_numeric or any(map(str.isnumeric, match.string)), (one.pattern, match)
    assert num_found > 100
