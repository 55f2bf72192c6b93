"""What Tiding is made of: held to hashes, allowed by its licences, asked for vulnerabilities, and listed."""

import http.server
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.serving import ROOT, free_port

LOCKS = ROOT / "locks"
INSTALLED_FROM = sorted(path for path in LOCKS.glob("*.txt") if path.stem not in ("versions", "licences"))

_spec = importlib.util.spec_from_file_location("licences", LOCKS / "licences.py")
assert _spec is not None
assert _spec.loader is not None
licences: Any = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(licences)


def just(*arguments: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    command = shutil.which("just", path=path)
    assert command is not None, "just runs these tests, and is on PATH or beside this Python"
    return subprocess.run([command, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)


def names(lock: str) -> set[str]:
    return set(re.findall(r"^([a-z0-9][\w.-]*)==", (LOCKS / f"{lock}.txt").read_text(), re.MULTILINE))


@pytest.mark.parametrize("lock", INSTALLED_FROM, ids=lambda path: path.stem)
def test_everything_that_is_installed_has_its_hashes(lock: Path) -> None:
    text = re.sub(r"\\\n", " ", lock.read_text())
    packages = [line for line in text.splitlines() if line and not line.lstrip().startswith(("#", "-"))]
    assert packages
    assert not [line.split()[0] for line in packages if not re.search(r"--hash=sha256:[0-9a-f]{64}", line)]


# -- licences ----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("lock", ["base", "llm"])
def test_the_licences_of_what_serves_are_allowed(lock: str) -> None:
    if lock == "llm" and importlib.util.find_spec("llama_cpp") is None:
        pytest.skip("llama.cpp is not installed")
    done = just("licences", lock)
    assert done.returncode == 0, done.stderr
    reported = {licences.normal(name) for name in re.findall(r"[:,] ([\w.-]+) \d", done.stdout)}
    elsewhere = set(re.findall(r"[\w.-]+", done.stdout.rpartition("not installed here:")[2]))
    assert reported | elsewhere >= names(lock)
    assert elsewhere <= {"colorama", "tzdata", "typing-extensions"}, "of other systems and Pythons"


@pytest.mark.slow
def test_a_licence_that_is_not_on_the_list_is_named_and_fails(tmp_path: Path) -> None:
    just("licences")  # what reads them is installed
    for name in ("licences.py", "base.txt"):
        shutil.copy(LOCKS / name, tmp_path)
    kept = [line for line in (LOCKS / "licences.txt").read_text().splitlines() if "LGPL" not in line]
    (tmp_path / "licences.txt").write_text("\n".join(kept))
    done = subprocess.run(
        [sys.executable, tmp_path / "licences.py", "base", ROOT / ".cache/audit/bin/pip-licenses", sys.executable],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert [line.split(": ")[2].split()[0] for line in done.stderr.splitlines()] == ["num2words", "soxr"]


@pytest.mark.parametrize(
    ("licence", "is_allowed"),
    [
        ("MIT", True), ("MIT License; BSD License", True), ("BSD-3-Clause AND (MIT AND Zlib)", True),
        ("GNU Library or Lesser General Public License (LGPL)", True),
        ("GPL-3.0-only", False), ("MIT AND GPL-3.0-only", False), ("UNKNOWN", False), ("", False),
        ("LIMITED", False), ("Free for MIT students", False), ("Commercial; MIT", False),
    ],
)  # fmt: skip
def test_a_licence_is_allowed_by_its_whole_name(licence: str, is_allowed: bool) -> None:
    assert licences.is_allowed(licences.one_line(licence), licences.allowed_licences()) == is_allowed


# -- vulnerabilities ---------------------------------------------------------------------------------------------------


@contextmanager
def osv(vulnerable: str = "") -> Iterator[tuple[str, dict[str, str]]]:
    """A service that answers as OSV does, on this machine, and what it was asked: package -> version.

    Source: https://google.github.io/osv.dev/post-v1-query/
    """
    asked: dict[str, str] = {}

    class Answer(http.server.BaseHTTPRequestHandler):
        known: ClassVar[dict[str, Any]] = {
            "id": "PYSEC-2026-1",
            "summary": "It sings out of tune.",
            "affected": [
                {
                    "package": {"name": vulnerable, "ecosystem": "PyPI"},
                    "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "999"}]}],
                }
            ],
        }

        def do_POST(self) -> None:
            query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked[query["package"]["name"]] = query["version"]
            body = json.dumps({"vulns": [self.known]} if query["package"]["name"] == vulnerable else {}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1/query", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.slow
def test_the_audit_asks_for_every_package_that_serves_and_finds_nothing_where_nothing_is() -> None:
    with osv() as (url, asked):
        done = just("audit", "--osv-url", url)
    assert done.returncode == 0, done.stderr
    for lock in ("base", "llm"):
        assert asked.keys() >= names(lock) - {"colorama", "tzdata", "typing-extensions"}
    versions = dict(re.findall(r"^([a-z0-9][\w.-]*)==([\w.]+)", (LOCKS / "versions.txt").read_text(), re.MULTILINE))
    assert asked["litestar"] == versions["litestar"]


@pytest.mark.slow
def test_the_audit_fails_on_a_package_that_is_vulnerable_and_names_it() -> None:
    with osv("granian") as (url, _):
        done = just("audit", "--osv-url", url)
    assert done.returncode == 1
    assert "granian" in done.stdout
    assert "PYSEC-2026-1" in done.stdout


@pytest.mark.slow
def test_an_audit_that_cannot_ask_says_so_and_is_no_good_news() -> None:
    done = just("audit", "--osv-url", f"http://127.0.0.1:{free_port()}/v1/query", "--timeout", "2")
    assert done.returncode == 2
    assert "audit: not done: " in done.stderr
    assert "Traceback" not in done.stderr
    assert "No known vulnerabilities" not in done.stdout + done.stderr


# -- a bill of materials -----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_bill_of_materials_has_what_serves_with_versions_and_licences(tmp_path: Path) -> None:
    file = tmp_path / "sbom.json"
    done = just("sbom", str(file))
    assert done.returncode == 0, done.stderr
    bill = json.loads(file.read_text())
    assert (bill["bomFormat"], bill["metadata"]["component"]["name"]) == ("CycloneDX", "tiding")
    listed = {licences.normal(each["name"]): each for each in bill["components"]}
    assert listed.keys() >= names("base") - {"colorama", "tzdata", "typing-extensions"}
    assert all(listed["litestar"][key] for key in ("version", "purl", "licenses"))
    assert str(ROOT) not in file.read_text(), "where it was made is nobody's affair"
