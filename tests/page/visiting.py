"""The playground as a visitor finds it, with a page that is listened to; and the pages of others."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

LISTENING = (Path(__file__).parent / "listening.js").read_text("utf-8")
PATIENCE_MS = 30_000


def visit(page: Page, url: str) -> None:
    """Open the playground, and wait until it can be used."""
    page.add_init_script(LISTENING)
    page.set_default_timeout(PATIENCE_MS)
    page.goto(url)
    page.wait_for_selector("html[data-ready=true]")


def speak(page: Page, text: str, mode: str = "websocket") -> None:
    """Have the first tab say something; returns when it has begun to sound."""
    page.select_option("#mode", mode)
    page.fill("#text", text)
    page.click("#speak")
    until_sound(page)


def until(page: Page, script: str, argument: object = None) -> None:
    """Return when a script is true. Playwright's own way evaluates in the page, which the page's policy forbids."""
    deadline_s = time.monotonic() + PATIENCE_MS / 1000
    while not page.evaluate(script, argument):
        assert time.monotonic() < deadline_s, f"this did not come about: {script}, {argument}"
        page.wait_for_timeout(10)


def until_sound(page: Page) -> None:
    until(page, "level() > 0.01")


def until_status(page: Page, tab: str, status: str) -> None:
    until(page, "([id, text]) => document.getElementById(id).textContent === text", [f"{tab}-status", status])


def number(page: Page, tab: str, name: str) -> str:
    found = page.text_content(f"#{tab}-numbers [data-number={name}]")
    assert found is not None
    return found


def lit(page: Page) -> list[str]:
    """The words that have lit up, in order."""
    return [word for word, _ in page.evaluate("heard.words")]


def silenced_ms(page: Page, button: str) -> float:
    """How long it still sounds when a button is pressed."""
    found: Any = page.evaluate("id => silencedBy(id)", button)
    return float(found)


@contextmanager
def page_elsewhere(code: str) -> Iterator[str]:
    """The address of a page of somebody else's, with this module."""
    body = f"<!doctype html><link rel=icon href=data:,><script type=module>{code}\nconsole.log('end');</script>"

    class Somebody(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Somebody) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def run_elsewhere(page: Page, code: str) -> list[str]:
    """What a module prints in a page of somebody else's."""
    printed: list[str] = []
    page.on("console", lambda message: printed.append(message.text))
    with page_elsewhere(code) as address:
        page.goto(address)
        deadline_s = time.monotonic() + PATIENCE_MS / 1000
        while printed[-1:] != ["end"] and time.monotonic() < deadline_s:
            page.wait_for_timeout(20)
    assert printed[-1:] == ["end"], printed
    return printed[:-1]
