"""What is written, and what a person would read: a table, by class and language."""

import re
from pathlib import Path
from typing import NamedTuple

import pytest

from engines.reading import read

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
