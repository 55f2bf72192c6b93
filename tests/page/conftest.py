"""A real browser for tests: Chromium without a window, a fresh page for each test, and what it complains about.

Playwright's plain functions keep an event loop running while the browser lives: tests here are no coroutines.
"""

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")

FLAGS = (
    "--no-sandbox",  # root has none
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
)


def browser_path() -> str:
    """Of the browser to use: `CHROMIUM` names another than the one on PATH."""
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    assert path is not None, f"none of {', '.join(NAMES)} is on PATH: `just test-page` installs one where it can"
    return path


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests."""
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=browser_path(), args=[*FLAGS])
        yield started
        started.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A browser without a past."""
    made = browser.new_context()
    yield made
    made.close()


@pytest.fixture
def complaints() -> list[str]:
    """What the page's console has warned of, and what was thrown in it: nothing, when a test ends."""
    return []


@pytest.fixture
def page(context: BrowserContext, complaints: list[str]) -> Iterator[Page]:
    """A fresh page. Warnings, errors and what nobody caught fail the test, unless it takes them out of `complaints`."""
    made = context.new_page()

    def on_console(message: ConsoleMessage) -> None:
        if message.type in ("warning", "error"):
            complaints.append(f"{message.type}: {message.text}")

    made.on("console", on_console)
    made.on("pageerror", lambda error: complaints.append(f"thrown: {error}"))
    yield made
    assert not complaints
