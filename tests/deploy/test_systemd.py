"""The systemd units: valid, shut in, and given time to drain."""

import configparser
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from app.settings import read_settings
from tests.deploy.manifests import ARGUMENTS, SYSTEMD, drain_s

UNITS = sorted(SYSTEMD.glob("*.service"))
SERVERS = ["speech", "llm"]

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")

EXPOSURE = 20
"""Of 100, as `systemd-analyze security` counts; a unit without sandboxing has 96."""


def service(server: str) -> dict[str, str]:
    parser = configparser.ConfigParser(interpolation=None, strict=True)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read(SYSTEMD / f"tiding-{server}.service")
    return dict(parser["Service"])


def installed(unit: Path, folder: Path) -> Path:
    """A copy of the unit that starts a program that is here."""
    copy = folder / unit.name
    text = unit.read_text().replace("/opt/tiding/.venv/bin/python", sys.executable)
    copy.write_text(text.replace("WorkingDirectory=/opt/tiding", f"WorkingDirectory={folder}"))
    return copy


@needs_systemd
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
@pytest.mark.parametrize("with_gpu", [False, True], ids=["", "gpu"])
def test_a_unit_is_valid(unit: Path, with_gpu: bool, tmp_path: Path) -> None:
    copy = installed(unit, tmp_path)
    if with_gpu:
        (dropins := tmp_path / f"{unit.name}.d").mkdir()
        shutil.copy(SYSTEMD / "gpu.conf", dropins)
    checked = subprocess.run(["systemd-analyze", "verify", copy], capture_output=True, text=True, check=False)
    about = [line for line in checked.stderr.splitlines() if unit.name in line or "gpu.conf" in line]
    assert (checked.returncode, about) == (0, [])


@needs_systemd
def test_a_unit_that_is_misspelt_is_found_out(tmp_path: Path) -> None:
    copy = installed(UNITS[0], tmp_path)
    copy.write_text(copy.read_text().replace("ProtectSystem=strict", "ProtectSytem=strict"))
    checked = subprocess.run(["systemd-analyze", "verify", copy], capture_output=True, text=True, check=False)
    assert "ProtectSytem" in checked.stderr


@needs_systemd
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_is_shut_in(unit: Path, tmp_path: Path) -> None:
    command = ["systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE}", installed(unit, tmp_path)]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout[-200:]


@pytest.mark.parametrize("server", SERVERS)
def test_a_unit_starts_its_server_and_lets_it_drain(server: str) -> None:
    said = service(server)
    assert said["ExecStart"].endswith(f"python -m app.serve {ARGUMENTS[server]}")
    assert said["KillMode"] == "mixed", "the main process alone is told to end: it tells its worker"
    assert int(said["TimeoutStopSec"]) > drain_s(server) + 10
    assert said["Restart"] == "on-failure"
    assert said["CacheDirectory"] == f"tiding-{server}"
    assert all(f"/{said['CacheDirectory']}" in part for part in said["Environment"].split() if "=" in part)


def test_what_a_gpu_needs_is_named_by_settings_that_exist() -> None:
    variables = dict(
        re.findall(r"(\w+)=(\S+)", re.findall(r"^Environment=(.*)$", (SYSTEMD / "gpu.conf").read_text(), re.M)[0])
    )
    read_settings({name: value for name, value in variables.items() if name.startswith("TIDING_")})
    assert variables["TIDING_MODEL"] == "magpie"
