"""The tab that talks: an answer is heard while it is written, an interruption is silence, a pause holds the LLM."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page

from app.stand_in import StandIn
from tests.llm import talking
from tests.page.visiting import lit, number, silenced_ms, until, until_sound, until_status, visit
from tests.serving import Served, free_port, serve_process

LLM = ("tests.llm.served",)
MAX_SILENCE_MS = 150.0


class Both:
    """Where both servers are, and the LLM's."""

    def __init__(self, speech: Served, llm: talking.Served) -> None:
        self.speech = speech
        self.llm = llm


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    folder, port = tmp_path_factory.mktemp("talk"), free_port()
    with (
        talking.serve_process(*LLM, log=folder / "llm", speech_port=str(port), remembered="0") as llm,
        serve_process(log=folder / "speech", model="hibari", port=str(port), page_llm_port=str(llm.port)) as speech,
    ):
        yield Both(speech, llm)


def open_talk(page: Page, url: str) -> None:
    visit(page, url)
    page.click("#tab-talk")
    until(page, "!document.getElementById('ask').disabled")


def ask(page: Page, question: str) -> None:
    page.fill("#question", question)
    page.keyboard.press("Enter")


def state(page: Page) -> str:
    return page.get_attribute("#llm-state", "data-state") or ""


def test_an_answer_is_heard_and_its_words_light_up(page: Page, both: Both) -> None:
    open_talk(page, both.speech.url)
    underruns: list[str] = []
    while len(underruns) < 3 and "0" not in underruns:  # the machine is shared
        ask(page, "Say hello.")
        until_sound(page)
        until_status(page, "talk", "Spoken")
        underruns.append(number(page, "talk", "underruns"))
        assert [word.casefold() for word in lit(page)] == ["hello."] * len(underruns)
    assert page.text_content(".said.you") == "Say hello."
    assert (page.text_content(".said.tiding") or "").casefold() == "hello."
    assert "0" in underruns, underruns


def test_stop_is_a_barge_in_and_the_transcript_shows_where(page: Page, both: Both) -> None:
    open_talk(page, both.speech.url)
    took_ms: list[float] = []
    while len(took_ms) < 3 and (not took_ms or took_ms[-1] > MAX_SILENCE_MS):  # the machine is shared
        ask(page, "Tell me a story.")
        until_sound(page)
        page.wait_for_timeout(1500)
        took_ms.append(silenced_ms(page, "talk-stop"))
        until_status(page, "talk", "Interrupted")
    assert took_ms[-1] <= MAX_SILENCE_MS, took_ms
    heard = page.text_content(".said.tiding:last-child .heard") or ""
    unheard = page.text_content(".said.tiding:last-child del") or ""
    assert heard.casefold().startswith("once there was")
    assert unheard
    assert heard.split()[-1] in lit(page), "what was heard ends with a word that lit up"
    assert is_idle(both.llm)


def test_who_interrupts_may_ask_again_at_once(page: Page, both: Both) -> None:
    open_talk(page, both.speech.url)
    ask(page, "Tell me a story.")
    until_sound(page)
    ask(page, "Say hello.")
    until_status(page, "talk", "Spoken")
    assert page.locator(".said.tiding").count() == 2
    assert (page.text_content(".said.tiding:last-child") or "").casefold() == "hello."
    assert lit(page)[-1].casefold() == "hello."
    assert page.locator(".said.tiding del").count() == 1


def test_pause_holds_the_llm_and_the_sound_and_resume_loses_nothing(page: Page, both: Both) -> None:
    open_talk(page, both.speech.url)
    ask(page, "Tell me a story.")
    until_sound(page)
    page.click("#talk-pause")
    until(page, "document.getElementById('llm-state').textContent === 'LLM: held by you' || level() === 0")
    page.wait_for_timeout(300)
    before = page.text_content(".said.tiding"), len(lit(page))
    assert state(page) in ("held", "done")
    page.wait_for_timeout(700)
    assert (page.text_content(".said.tiding"), len(lit(page))) == before
    assert page.get_attribute("#talk-pause", "aria-pressed") == "true"
    page.click("#talk-pause")
    until_status(page, "talk", "Spoken")
    text = page.text_content(".said.tiding") or ""
    assert lit(page) == text.split()
    assert text.casefold().endswith("ducks are not what they were.")


def test_the_llm_is_held_while_enough_is_waiting_to_be_heard(page: Page, both: Both) -> None:
    open_talk(page, both.speech.url)
    ask(page, "Tell me a story.")
    until(page, "document.getElementById('llm-state').dataset.state === 'held'")
    until(page, "parseFloat(document.querySelector('#talk-numbers [data-number=held]').textContent) > 0")
    page.keyboard.press("Escape")
    until_status(page, "talk", "Interrupted")


def is_idle(llm: talking.Served) -> bool:
    """Whether nothing is left of any stream, soon."""
    for _ in range(500):
        health = httpx.get(f"{llm.url}/health").json()
        if health["active_streams"] == health["busy_slots"] == 0:
            return True
        time.sleep(0.01)
    return False


@contextmanager
def standing_in(port: int, detail: str) -> Iterator[None]:
    """What answers in the LLM server's place, on a loop of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    stand_in = StandIn("127.0.0.1", port)
    stand_in.wait("installing", detail)
    asyncio.run_coroutine_threadsafe(stand_in.open(), loop).result(5)
    try:
        yield
    finally:
        asyncio.run_coroutine_threadsafe(stand_in.close(), loop).result(5)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def test_who_comes_while_the_llm_is_compiled_hears_speech_and_sees_how_far_it_is(page: Page, tmp_path: Path) -> None:
    llm_port, port = free_port(), free_port()
    with serve_process(log=tmp_path / "speech", model="fake", port=str(port), page_llm_port=str(llm_port)) as speech:
        with standing_in(llm_port, "compiling llama.cpp: 41 of 120"):
            visit(page, speech.url)
            until(page, "document.getElementById('llm-state').textContent.includes('41 of 120')")
            page.click("#speak")
            until_sound(page)
            page.click("#tab-talk")
            assert page.is_disabled("#ask")
        with talking.serve_process(*LLM, log=tmp_path / "llm", port=str(llm_port), speech_port=str(port)):
            until(page, "!document.getElementById('ask').disabled")
            ask(page, "Say hello.")
            until_status(page, "talk", "Spoken")
