"""Text as people and LLMs write it, through the server: what is read, what is silent, and where words stand."""

import json
from typing import Any

import httpx
import pytest

from engines.reading import read
from tests.contract import int16_samples
from tests.recognising import transcribe, word_error_rate
from tests.serving import Served

HZ = 24_000
ANSWER = """# Paying

It costs **$5.50**, or *3.20* at 10:30 a.m.:

- by `card`
- in [cash](https://example.com/cash)

```python
print("nobody reads this")
```
"""


def pcm(client: httpx.Client, text: str, **fields: Any) -> bytes:
    body = {"input": text, "response_format": "pcm"} | fields
    response = client.post("/v1/audio/speech", json=body)
    assert response.status_code == 200, response.text
    return response.content


def words(client: httpx.Client, text: str, **fields: Any) -> list[dict[str, Any]]:
    body = {"input": text, "stream_format": "sse", "word_timestamps": True, "response_format": "pcm"} | fields
    lines = client.post("/v1/audio/speech", json=body).raise_for_status().text.splitlines()
    events = [json.loads(line.removeprefix("data: ")) for line in lines if line]
    return [word for event in events if event["type"] == "speech.words" for word in event["words"]]


def heard(client: httpx.Client, text: str, **fields: Any) -> str:
    return transcribe(int16_samples(pcm(client, text, **fields)), HZ)


def test_what_is_written_in_figures_is_spoken_as_the_words_are(client: httpx.Client) -> None:
    assert pcm(client, "It costs $5.50 today.") == pcm(client, "It costs five dollars and fifty cents today.")
    assert pcm(client, "Bring it, i.e. the key.") == pcm(client, "Bring it, that is the key.")


def test_markdown_is_silent_and_words_keep_their_places(client: httpx.Client) -> None:
    found = words(client, ANSWER)
    assert [word["text"] for word in found] == [
        "Paying", "It", "costs", "$5.50", "or", "3.20", "at", "10:30", "a.m.:", "by", "card", "in", "cash"
    ]  # fmt: skip
    assert all(ANSWER[word["char_start"] : word["char_end"]] == word["text"] for word in found)


def test_markdown_can_be_turned_off(client: httpx.Client) -> None:
    text = "It is here.\n```\nAnd this is code, which nobody reads.\n```\n"
    assert pcm(client, text) == pcm(client, "It is here.")
    assert len(pcm(client, text, markdown=False)) > 2 * len(pcm(client, text))


def test_a_text_that_is_all_code_has_nothing_to_speak(client: httpx.Client) -> None:
    response = client.post("/v1/audio/speech", json={"input": "```\nx = 1\n```"})
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "input"


@pytest.mark.parametrize("pause", ["[pause:1s]", '<break time="1000ms"/>', "[PAUSE: 1.0 s]"])
@pytest.mark.parametrize("markdown", [True, False])
def test_a_pause_is_as_long_as_it_says(client: httpx.Client, pause: str, markdown: bool) -> None:
    """In place of that of a sentence's end, which is 250 ms."""
    usual = pcm(client, "The first is here. The second is there.")
    longer = pcm(client, f"The first is here. {pause} The second is there.", markdown=markdown)
    assert (len(longer) - len(usual)) / 2 / HZ == pytest.approx(0.75, abs=0.01)
    fast = pcm(client, f"The first is here. {pause} The second is there.", markdown=markdown, speed=2.0)
    fast_usual = pcm(client, "The first is here. The second is there.", speed=2.0)
    assert (len(fast) - len(fast_usual)) / 2 / HZ == pytest.approx(0.875, abs=0.01)


def test_a_lexicon_says_how_a_word_is_read(client: httpx.Client) -> None:
    assert pcm(client, "A GIF is here.", lexicon={"gif": "jiff"}) == pcm(client, "A jiff is here.")
    assert [word["text"] for word in words(client, "A GIF is here.", lexicon={"GIF": "graphics file"})] == [
        "A", "GIF", "is", "here."
    ]  # fmt: skip


@pytest.mark.parametrize(
    "lexicon", [{"": "x"}, {"a": ""}, {"a": "/5/"}, {"a": "b" * 201}, {f"w{n}": "x" for n in range(1001)}, {"a": 5}, []]
)
def test_a_lexicon_that_cannot_be_used_is_refused(client: httpx.Client, lexicon: Any) -> None:
    response = client.post("/v1/audio/speech", json={"input": "Hello.", "lexicon": lexicon})
    assert response.status_code in (400, 422)
    assert response.json()["error"]["param"].startswith("lexicon")


@pytest.mark.slow
def test_ipa_changes_how_the_real_voice_says_a_word(hibari_server: Served, clients: Any) -> None:
    client = clients(hibari_server)
    plain, other = pcm(client, "The bow is here."), pcm(client, "The bow is here.", lexicon={"bow": "/baʊ/"})
    assert other != plain
    assert other == pcm(client, "The word is here.", lexicon={"word": "/baʊ/"})


@pytest.mark.slow
@pytest.mark.recogniser
@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("Please **do** call Dr. Smith on Jan. 5th.", "please do call doctor smith on january fifth"),
        (
            "The 3rd of March, i.e. tomorrow, it costs $5.50.",
            "the third of march that is tomorrow it costs five dollars and fifty cents",
        ),
        ("- Wash 2 apples\n- Peel them\n- Cut them", "wash two apples peel them cut them"),
    ],
)  # fmt: skip
def test_a_listener_hears_what_a_person_would_have_read(
    hibari_server: Served, clients: Any, written: str, said: str
) -> None:
    """What the recogniser writes in figures is read as well."""
    assert word_error_rate([read(said).text], [read(heard(clients(hibari_server), written)).text]) <= 0.15


@pytest.mark.slow
@pytest.mark.recogniser
def test_ipa_is_heard(hibari_server: Served, clients: Any) -> None:
    text = "We went to the zorgle on a sunny day."
    assert "library" in heard(clients(hibari_server), text, lexicon={"zorgle": "/ˈlaɪbɹɛɹi/"}).lower()
