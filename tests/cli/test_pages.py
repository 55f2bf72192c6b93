"""The pages of the command line: the reference has all that there is, and the how-to's snippets run."""

import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from app.cli.command import tiding
from app.cli.failure import INTERRUPTED, Failure, Misuse
from app.cli.forms import SUFFIXES, WORD_SUFFIXES
from tests.cli.commands import environment
from tests.decoding import decoded
from tests.reading_docs import reference, rows
from tests.serving import ROOT, Served

HOW_TO = ROOT / "docs/how-to/command-line.md"


def section(name: str) -> str:
    """What stands under a command's heading, with all that is below it."""
    return reference("command-line").partition(f"\n## tiding {name}\n")[2].partition("\n## ")[0]


PARAMETERS = [
    pytest.param(name, param, id=f"{name} {param.name}")
    for name, command in tiding.commands.items()
    for param in command.params
]


@pytest.mark.parametrize("name", tiding.commands)
def test_every_command_is_in_the_reference(name: str) -> None:
    assert f"`tiding {name} " in section(name)


@pytest.mark.parametrize(("name", "param"), PARAMETERS)
def test_every_option_its_choices_and_its_default_are_in_the_reference(name: str, param: click.Parameter) -> None:
    names = param.opts if isinstance(param, click.Option) else [str(param.name).upper()]
    described = rows(section(name))
    assert set(names) <= described.keys()
    row = described[names[-1]]
    if isinstance(param.type, click.Choice):
        assert all(f"`{choice}`" in row for choice in param.type.choices)
    if isinstance(param.default, str | int | float) and not isinstance(param.default, bool):
        assert row.startswith(f"`{param.default}` ")


def test_the_options_of_all_commands_are_in_the_reference() -> None:
    described = rows(reference("command-line").partition("\n## ")[0])
    options = tiding.get_params(click.Context(tiding, **tiding.context_settings))
    assert described.keys() == {opt for option in options for opt in option.opts}


def test_nothing_is_in_the_reference_that_is_not_there() -> None:
    for name, command in tiding.commands.items():
        known = {opt for param in command.params for opt in (*param.opts, str(param.name).upper())}
        described = {cell for cell in rows(section(name)) if not cell.startswith(".")}
        assert described <= known


def test_every_suffix_and_status_is_in_the_reference() -> None:
    assert all(f"`{suffix}`" in rows(section("say"))["--format"] for suffix in SUFFIXES)
    assert set(WORD_SUFFIXES) <= rows(section("say")).keys()
    statuses = rows(reference("command-line").partition("## Exit status")[2].partition("\n## ")[0])
    assert {"0", "143", *map(str, (Failure.exit_code, Misuse.exit_code, INTERRUPTED))} == statuses.keys()


def snippets() -> list[str]:
    return re.findall(r"^```sh tiding\n(.*?)^```$", HOW_TO.read_text("utf-8"), re.MULTILINE | re.DOTALL)


@pytest.mark.slow
def test_the_snippets_of_the_how_to_run_and_leave_audio(fake_server: Served, tmp_path: Path) -> None:
    tools, folder = tmp_path / "tools", tmp_path / "work"
    tools.mkdir()
    folder.mkdir()
    (tools / "ffplay").write_text("#!/bin/sh\ncat >>played.wav\n")
    (tools / "ffplay").chmod(0o755)
    paths = os.pathsep.join([str(tools), str(Path(sys.executable).parent), os.environ["PATH"]])
    for code in snippets():
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", code.replace("localhost:8001", f"127.0.0.1:{fake_server.port}")],
            cwd=folder, env=environment(model="fake") | {"PATH": paths}, capture_output=True, text=True, timeout=60,
            check=False,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, ""), code
    made = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert len(made) > 8
    assert made["played.wav"].count(b"RIFF") == 3
    assert made["chapter.vtt"].startswith(b"WEBVTT")
    assert all(len(decoded(data)[0]) for name, data in made.items() if Path(name).suffix in SUFFIXES)
