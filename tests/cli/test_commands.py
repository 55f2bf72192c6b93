"""The other commands, and what a stranger sees first."""

import json
import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import httpx
import pytest

from app.cli.command import tiding
from tests.cli.commands import COMMAND, environment, invoke, run
from tests.launching import launching
from tests.serving import ROOT
from tests.test_architecture import HEAVY, modules_after

pytestmark = pytest.mark.slow

HIDDEN = 'import sys; sys.modules["llama_cpp"] = None'
"""Imported at start-up (sitecustomize): for whoever asks, llama.cpp is not installed."""


def test_the_console_script_and_the_module_are_the_same_command() -> None:
    script = Path(sys.executable).with_name("tiding")
    said = [
        subprocess.run([*command, "--version"], cwd=ROOT, capture_output=True, check=True).stdout
        for command in ([script], COMMAND)
    ]
    assert said == [f"tiding {version('tiding')}\n".encode()] * 2


def test_help_has_every_command_with_an_example_and_every_option_with_a_sentence() -> None:
    for name, command in tiding.commands.items():
        result = invoke([name, "--help"])
        assert result.exit_code == 0
        assert (
            re.search(r"^  +(\w+=\S+ )?tiding ", result.stdout.partition("Options:")[0], re.MULTILINE)
            or name == "modes"
        )
        options = [param for param in command.params if param.param_type_name == "option"]
        assert all(len(getattr(option, "help", "") or "") > 10 for option in options)
        assert name in invoke(["--help"]).stdout


def test_a_command_that_is_not_there_is_misuse() -> None:
    result = invoke(["sing"])
    assert result.exit_code == 2
    assert "No such command 'sing'" in result.stderr


def test_importing_the_command_line_imports_nothing_heavy() -> None:
    assert not modules_after("import app.cli.command") & (HEAVY | {"msgspec", "av"})


def test_asking_a_server_imports_no_engine() -> None:
    modules = modules_after("import app.cli.delivery, app.cli.remote")
    assert not modules & (HEAVY - {"engines"} | {"av"})
    code = "import sys, app.cli.delivery, app.cli.remote; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"engines.engine", "engines.types", "engines.catalog"} & set(done.stdout.split())


@pytest.mark.skipif(shutil.which("bash") is None, reason="completion is a shell's")
def test_a_shell_completes_commands_and_options() -> None:
    asked = {"COMP_WORDS": "tiding say --for", "COMP_CWORD": "2", "_TIDING_COMPLETE": "bash_complete"}
    done = subprocess.run(
        [*COMMAND], cwd=ROOT, env=environment() | asked, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.split() == ["plain,--format"]


def test_voices_are_listed_for_people_and_for_programs() -> None:
    listed = json.loads(invoke(["voices", "--json"]).stdout)
    assert [voice["name"] for voice in listed] == ["sine", "square"]
    assert {"name", "language", "gender", "aliases"} == listed[0].keys()
    lines = invoke(["voices"]).stdout.splitlines()
    assert [line.split()[:3] for line in lines] == [["sine", "en-US", "female"], ["square", "de-DE", "male"]]
    assert lines[0].endswith("also: " + ", ".join(listed[0]["aliases"]))


def test_modes_are_listed_with_where_they_are_from() -> None:
    lines = invoke(["modes"]).stdout.splitlines()
    assert f"batch = modes.batch:mode (tiding {version('tiding')})" in lines
    listed = json.loads(invoke(["modes", "--json"]).stdout)
    assert {"name": "batch", "object": "modes.batch:mode", "from": f"tiding {version('tiding')}"} in listed
    assert len(listed) == len(lines)


@pytest.mark.parametrize("what", [[], ["all"], ["llm"]])
def test_without_the_llm_it_says_what_to_do(tmp_path: Path, what: list[str]) -> None:
    (tmp_path / "sitecustomize.py").write_text(HIDDEN)
    paths = {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    done = subprocess.run(
        [*COMMAND, "serve", *what],
        cwd=tmp_path,
        env=environment() | paths,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    for part in (b"llama-cpp-python", b"`just setup-llm`", b"pip install 'tiding[llm]'", b"`tiding serve tts`"):
        assert part in done.stderr


def test_a_wrong_setting_ends_a_server_with_status_2() -> None:
    done = run("serve", "tts", port="many")
    assert (done.returncode, done.stderr[:29]) == (2, b"tiding: TIDING_PORT='many': e")


@pytest.mark.slow
def test_it_serves_until_a_signal(tmp_path: Path) -> None:
    with launching(tmp_path) as launch:
        launched = launch(("serve", "tts"), command=("-m", "app.cli"))
        launched.until_health("healthy")
        answer = httpx.post(f"{launched.url}/v1/audio/speech", json={"input": "Hello.", "response_format": "wav"})
        assert answer.content[:4] == b"RIFF"
        launched.process.terminate()
        assert launched.wait() == 0
