"""`python -m tests.page.pictures` takes the pictures of the playground that the docs show, on real servers."""

import tempfile
from pathlib import Path
from typing import Final, Literal

from playwright.sync_api import Browser, sync_playwright

from tests.llm import talking
from tests.page.conftest import FLAGS, browser_path
from tests.page.visiting import speak, until, until_sound, visit
from tests.serving import ROOT, free_port, serve_process

SCHEMES: Final[tuple[Literal["light", "dark"], ...]] = ("light", "dark")
TEXT: Final = "Good evening. Your train to Bergen leaves at 7:30 from platform four, and a window seat is $84.50."
QUESTION: Final = "Tell me a short story about a magpie."
HELD: Final = "document.getElementById('llm-state').dataset.state === 'held'"


def take(browser: Browser, url: str, scheme: Literal["light", "dark"]) -> None:
    page = browser.new_page(color_scheme=scheme, viewport={"width": 1000, "height": 940}, device_scale_factor=1.5)
    visit(page, url)
    speak(page, TEXT)
    page.wait_for_timeout(3200)
    page.screenshot(path=ROOT / f"docs/playground-speak-{scheme}.png")
    page.click("#speak-stop")
    page.click("#tab-talk")
    until(page, "!document.getElementById('ask').disabled")
    page.fill("#question", QUESTION)
    page.keyboard.press("Enter")
    until_sound(page)
    page.wait_for_timeout(3000)
    until(page, HELD)
    page.screenshot(path=ROOT / f"docs/playground-talk-{scheme}.png")
    page.close()


def main() -> None:
    port = free_port()
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        log = Path(name)
        browser = playwright.chromium.launch(executable_path=browser_path(), args=[*FLAGS])
        with (
            talking.serve_process("app.serve", "llm", log=log / "llm", speech_port=str(port)) as llm,
            serve_process(log=log / "speech", model="hibari", port=str(port), page_llm_port=str(llm.port)) as speech,
        ):
            for scheme in SCHEMES:
                take(browser, speech.url, scheme)
        browser.close()


if __name__ == "__main__":
    main()
