"""The JavaScript client by itself, in a real browser against real servers: what its page says of it holds."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.page.visiting import LISTENING, page_elsewhere, run_elsewhere, speak, until, visit
from tests.reading_docs import snippets
from tests.serving import ROOT, Served, free_port, serve_process

HELPERS = """
    const {Tiding, TidingError, samplesOf} = await import("/page/tiding.js");
    const collect = async utterance => {
        const heard = {num: 0, sum: 0, words: [], kinds: [], error: null};
        try {
            for await (const event of utterance) {
                heard.kinds.push(event.type);
                if (event.type === "audio") heard.num += event.samples.length;
                if (event.type === "audio") heard.sum += event.samples.reduce((sum, x) => sum + Math.abs(x), 0);
                if (event.type === "words") heard.words.push(...event.words.map(word => word.text));
            }
        } catch (error) { heard.error = error.code; }
        return heard;
    };
    const rest = ms => new Promise(resolve => setTimeout(resolve, ms));
"""


def run(page: Page, script: str, argument: object = None) -> Any:
    return page.evaluate(f"async argument => {{ {HELPERS} {script} }}", argument)


@pytest.fixture
def client(page: Page, hibari_server: Served) -> Page:
    visit(page, hibari_server.url)
    return page


def test_an_utterance_brings_audio_and_words_and_ends(client: Page) -> None:
    heard = run(client, 'return await collect(new Tiding().say("Good morning, all of you.", {send_rate: 0}));')
    assert heard["words"] == ["Good", "morning,", "all", "of", "you."]
    assert heard["num"] > 10_000
    assert heard["sum"] / heard["num"] > 0.005
    assert heard["kinds"][-1] == "done"
    assert heard["error"] is None


def test_several_at_once_are_each_heard_as_if_alone(client: Page) -> None:
    alone, together = run(
        client,
        """
        const texts = ["This is the first.", "And here is another.", "Three."];
        const tiding = new Tiding();
        const say = (text, n) => collect(tiding.say(text, {send_rate: 0, sample_rate: [8000, 22050, 48000][n]}));
        const alone = [];
        for (const [n, text] of texts.entries()) alone.push(await say(text, n));
        return [alone, await Promise.all(texts.map(say))].map(all => all.map(({num, words}) => [num, words]));
        """,
    )
    assert together == alone


def test_what_is_cancelled_says_what_was_heard_and_the_others_go_on(client: Page) -> None:
    cancelled, heard, other = run(
        client,
        """
        const tiding = new Tiding();
        const long = tiding.say("One two three four five six seven eight nine ten. ".repeat(5), {send_rate: 1});
        const other = collect(tiding.say("Good morning.", {send_rate: 2}));
        const hearing = collect(long);
        while (!long.hasBegun) await rest(5);
        await rest(900);
        const cancelled = await long.cancel(800);
        return [cancelled, await hearing, await other];
        """,
    )
    assert 0 < len(cancelled["text_spoken"]) < 40
    assert heard["kinds"][-1] == "cancelled"
    assert other["kinds"][-1] == "done"


def test_what_has_all_come_and_still_sounds_can_be_cancelled(client: Page) -> None:
    cancelled = run(
        client,
        """
        const utterance = new Tiding().say("One two three four five six seven eight.", {send_rate: 0});
        await collect(utterance);
        return await utterance.cancel(500);
        """,
    )
    assert cancelled["text_spoken"].startswith("One")
    assert not cancelled["text_spoken"].endswith("eight.")


def test_leaving_the_loop_cancels(client: Page) -> None:
    num_after = run(
        client,
        """
        const tiding = new Tiding();
        const utterance = tiding.say("One two three four five six seven eight. ".repeat(20), {send_rate: 1});
        for await (const event of utterance) if (event.type === "audio") break;
        await rest(300);
        return utterance.isOver;
        """,
    )
    assert num_after


def test_what_goes_wrong_is_thrown_where_it_is_heard(client: Page) -> None:
    wrong, good = run(
        client,
        """
        const tiding = new Tiding();
        const wrong = collect(tiding.say("Hello.", {voice: "nobody"}));
        return [await wrong, await collect(tiding.say("Hello.", {send_rate: 0}))];
        """,
    )
    assert wrong["error"] == "unknown_voice"
    assert good["kinds"][-1] == "done"


def test_a_lost_connection_is_made_again(
    page: Page, fake_server: Served, tmp_path: Path, complaints: list[str]
) -> None:
    """What has been heard in part is an error; what has not begun is asked again; what comes later is as ever."""
    visit(page, fake_server.url)
    settings = {"model": "fake", "port": str(free_port()), "drain_s": "0"}
    setup = """
        globalThis.lib = await import("/page/tiding.js");
        class Allowed extends WebSocket {}
        globalThis.client = new lib.Tiding(location.origin, {retryMs: 100, retries: 20, WebSocket: Allowed});
    """
    with serve_process(log=tmp_path / "log", **settings) as served:
        visit(page, served.url)
        run(page, setup)
        run(
            page,
            """
            globalThis.begun = client.say("One two three four five six seven. ".repeat(50), {send_rate: 1});
            globalThis.hearing = collect(begun);
            while (!begun.hasBegun) await rest(5);
            """,
        )
    lost = run(page, "return (await hearing).error;")
    run(page, 'globalThis.waiting = collect(client.say("Hello there.", {send_rate: 0})); await rest(150);')
    with serve_process(log=tmp_path / "log", **settings):
        again = run(page, "return await waiting;")
    assert lost == "connection_lost"
    assert again["kinds"][-1] == "done"
    assert again["num"] > 0
    complaints.clear()  # of refused connections, which were meant


@pytest.fixture(scope="module")
def hospitable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that lets in the pages of this machine."""
    log = tmp_path_factory.mktemp("hospitable") / "log"
    with serve_process(log=log, origins="http://127.0.0.1:*") as served:
        yield served


def test_a_page_of_somebody_else_is_kept_out(page: Page, hibari_server: Served, complaints: list[str]) -> None:
    code = f"new WebSocket('{hibari_server.socket_url}').onclose = ({{code}}) => document.title = code;"
    with page_elsewhere(code) as address:
        page.goto(address)
        until(page, "document.title === '1006'")
    assert "403" in complaints.pop()


@pytest.mark.parametrize("place", range(3))
def test_the_snippets_of_its_page_run_in_a_page_of_somebody_else(page: Page, hospitable: Served, place: int) -> None:
    found = [each for each in snippets(ROOT / "docs/how-to/javascript.md") if each.language == "js"]
    assert len(found) == 3
    code = found[place].code.replace("http://localhost:8001", hospitable.url)
    printed = run_elsewhere(page, code)
    assert printed


# -- where a key is asked for ------------------------------------------------------------------------------------------

KEYS = ("correct-horse-battery-staple", "c29tZSBrZXk/Zm9yIHRlc3Rz+Q==")


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve_process(log=tmp_path_factory.mktemp("keyed") / "log", api_keys=",".join(KEYS)) as served:
        yield served


@pytest.mark.parametrize("key", KEYS)
def test_a_client_shows_its_key(page: Page, keyed: Served, complaints: list[str], key: str) -> None:
    page.goto(f"{keyed.url}/page/icon.svg")
    say = """
        const tiding = new Tiding(undefined, {apiKey: argument, retries: 0});
        return await collect(tiding.say("Good morning.", {send_rate: 0}));
    """
    heard = run(page, say, key)
    assert heard["words"] == ["Good", "morning."]
    assert run(page, say, "wrong")["error"] == "connection_lost"
    assert any("Authentication failed" in complaint for complaint in complaints)
    complaints.clear()


def test_the_page_asks_for_a_key_until_it_is_right(page: Page, keyed: Served, complaints: list[str]) -> None:
    page.add_init_script(LISTENING)
    page.goto(keyed.url)
    page.get_by_label("This server asks for an API key.").fill("wrong")
    page.get_by_role("button", name="Use it").click()
    page.get_by_label("The server does not know this key.").fill(KEYS[0])
    page.get_by_role("button", name="Use it").click()
    page.wait_for_selector("html[data-ready]")
    assert not page.locator("#key-form").is_visible()
    for mode in ("batch", "stream", "adaptive", "websocket"):
        speak(page, "Good morning.", mode)
        page.click("#speak-stop")
        until(page, "document.getElementById('speak-stop').disabled")
        until(page, "level() < 0.001")
    page.reload()
    page.wait_for_selector("html[data-ready]")
    assert not page.locator("#key-form").is_visible()
    assert all("401" in complaint for complaint in complaints)
    complaints.clear()
