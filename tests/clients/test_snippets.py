"""Snippets that need a framework run, each in a process of its own, against real servers."""

import subprocess
import sys

import pytest

from tests.llm import talking
from tests.reading_docs import PAGES, Snippet, snippets
from tests.serving import ROOT, Served

FOUND = [
    pytest.param(snippet, id=f"{page.stem}-{place}")
    for page in PAGES
    for place, snippet in enumerate(snippets(page, "clients"), 1)
]


@pytest.mark.parametrize("snippet", FOUND)
def test_snippets_run_and_say_nothing_of_errors(
    snippet: Snippet, fake_server: Served, fake_chat_server: talking.Served
) -> None:
    code = snippet.code.replace("http://localhost:8001", fake_server.url)
    code = code.replace("http://localhost:8002", fake_chat_server.url)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=50, check=False
    )
    assert done.returncode == 0, f"{code}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr, done.stderr
    assert ("print(" in code) == bool(done.stdout.strip())
