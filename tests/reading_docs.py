"""The documentation as tests see it: pages, sections, table rows, links and snippets."""

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

from tests.serving import ROOT

PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]

_FENCE = re.compile(r"^```(.*?)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)
_LINK = re.compile(r"\[[^]]*\]\(([^)\s]+)\)")


class Snippet(msgspec.Struct, frozen=True):
    """A fenced block that says of itself that it runs."""

    language: str
    code: str


def reference(name: str) -> str:
    return (ROOT / "docs/reference" / f"{name}.md").read_text("utf-8")


def snippets(page: Path, mark: str = "runnable") -> list[Snippet]:
    """The blocks of a page that are marked so, in order. `clients`: what needs other frameworks to run."""
    found = [(info.split(), code) for info, code in _FENCE.findall(page.read_text("utf-8"))]
    return [Snippet(info[0], code) for info, code in found if mark in info]


def sections(text: str) -> dict[str, str]:
    """Heading -> what stands under it, up to the next heading of any level."""
    text = _FENCE.sub("", text)
    headings = list(_HEADING.finditer(text))
    ends = [heading.start() for heading in headings[1:]] + [len(text)]
    return {heading[2]: text[heading.end() : end] for heading, end in zip(headings, ends, strict=True)}


def rows(text: str) -> dict[str, str]:
    """First cell -> the rest of its row; a cell that names several things counts for each."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        first, _, rest = line.strip().removeprefix("| ").partition(" | ")
        if line.startswith("|"):
            found |= dict.fromkeys(re.findall(r"`([^`(]+)[^`]*`", first), rest)
    return found


def links(page: Path) -> Iterator[tuple[Path, str]]:
    """Each relative link: the file that it names, and the heading within it ("" where it names none)."""
    for target in _LINK.findall(_FENCE.sub("", page.read_text("utf-8"))):
        if "://" not in target:
            path, _, anchor = target.partition("#")
            yield (page.parent / path if path else page), anchor


def anchors(page: Path) -> set[str]:
    """What a heading is called in a link. Source: GitHub's rendering: lower case, marks dropped, hyphens for spaces."""
    headings = _HEADING.findall(_FENCE.sub("", page.read_text("utf-8")))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for _, heading in headings}
