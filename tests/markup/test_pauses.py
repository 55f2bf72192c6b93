"""Inline pauses: silence, a forced end of a segment, and where it was asked for."""

import pytest

from engines.markup import Markup, Rest
from tests.markup.filtering import filtered, spoken

PAUSES = [
    ("[pause]", 500.0),
    ("[PAUSE]", 500.0),
    ("[pause:300ms]", 300.0),
    ("[Pause: 1 s]", 1000.0),
    ("[pause:1.5s]", 1500.0),
    ("[pause:.25S]", 250.0),
    ("[pause:0ms]", 0.0),
    ("[pause:99s]", 10_000.0),
    ('<break time="1s"/>', 1000.0),
    ('<BREAK time="300ms" />', 300.0),
    ("<break time='2s'/>", 2000.0),
    ("<break/>", 500.0),
    ("<break />", 500.0),
]
MALFORMED = [
    "[pause:]",
    "[pause:1]",
    "[pause:-1s]",
    "[pause 1s]",
    "[pause:1,5s]",
    "[paused]",
    "[pause",
    "<break",
    "< break/>",
]
BROKEN_ELEMENTS = ['<break time="x"/>', "<break time=1s/>", '<break time="1s/>', "<breaks/>"]

either_way = pytest.mark.parametrize("is_markdown", [True, False])


@either_way
@pytest.mark.parametrize(("tag", "duration_ms"), PAUSES)
def test_a_pause_is_silent_and_told_with_its_place(tag: str, duration_ms: float, is_markdown: bool) -> None:
    found = filtered([f"Wait {tag} for it."], is_markdown=is_markdown)
    assert found.rests == [Rest(5, duration_ms)]
    assert found.text.split() == ["Wait", "for", "it."]
    assert len(found.text) == len(f"Wait {tag} for it.")


@either_way
@pytest.mark.parametrize("tag", [tag for tag, _ in PAUSES])
def test_a_segment_ends_at_a_pause(tag: str, is_markdown: bool) -> None:
    assert spoken(f"wait{tag}for it", is_markdown=is_markdown) == ["wait", "for it"]


@pytest.mark.parametrize("tag", [*MALFORMED, *BROKEN_ELEMENTS])
def test_what_is_no_pause_is_text(tag: str) -> None:
    assert filtered([f"Wait {tag} now."], is_markdown=False)[:2] == (f"Wait {tag} now.", [])


@pytest.mark.parametrize("tag", MALFORMED)
def test_in_markdown_only_the_brackets_of_what_is_no_pause_are_taken_out(tag: str) -> None:
    found = filtered([f"Wait {tag} now."])
    assert found.rests == []
    assert found.text.split() == f"Wait {tag} now.".replace("[", " ").replace("]", " ").split()


def test_without_markdown_all_marks_stay() -> None:
    text = "# *a* `b` [c](d) <b>e</b>\n- f\n| g |\n```\nh [pause:1s]"
    found = filtered([text], is_markdown=False)
    assert found.text == text.replace("[pause:1s]", "\n\n" + " " * 8)
    assert found.rests == [Rest(text.index("[pause"), 1000.0)]


def test_places_are_counted_over_the_life_of_the_filter() -> None:
    markup = Markup()
    for piece in ("One [pa", "use] two.", "\n- **b** <break/>"):
        markup.push(piece)
    assert [rest.position for rest in markup.take_rests()] == [4, 25]
    markup.flush()
    markup.push("[pause] x")
    assert [rest.position for rest in markup.take_rests()] == [33]
    assert markup.take_rests() == []


@pytest.mark.parametrize("text", ["`[pause]`", "```\n[pause]\n```\n", "\\[pause\\]"])
def test_code_and_escapes_are_no_pauses(text: str) -> None:
    assert filtered([text]).rests == []
