"""The compose files: valid by the specification, and true of the servers and files that they name."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from app.settings import read_settings
from tests.deploy.manifests import ARGUMENTS, COMPOSE, FOLDER, PORTS, documents, drain_s, paths_of

SERVERS = ["speech", "llm"]


@pytest.mark.parametrize("name", COMPOSE)
def test_it_is_valid_by_the_specification(name: str) -> None:
    """Source: the compose specification, of which check-jsonschema brings a copy."""
    command = [Path(sys.executable).parent / "check-jsonschema", "--builtin-schema", "vendor.compose-spec"]
    checked = subprocess.run([*command, FOLDER / name], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_a_field_that_is_misspelt_is_refused(tmp_path: Path) -> None:
    wrong = documents(FOLDER / "compose.yaml")[0]
    wrong["services"]["speech"]["read_onyl"] = True
    (tmp_path / "compose.yaml").write_text(yaml.safe_dump(wrong))
    command = [Path(sys.executable).parent / "check-jsonschema", "--builtin-schema", "vendor.compose-spec"]
    checked = subprocess.run([*command, tmp_path / "compose.yaml"], capture_output=True, check=False)
    assert checked.returncode == 1


@pytest.mark.parametrize("server", SERVERS)
def test_a_server_is_what_the_image_starts_and_writes_to_its_cache_alone(server: str) -> None:
    service = COMPOSE["compose.yaml"]["services"][server]
    assert service["command"] == ["python", "-m", "app.serve", ARGUMENTS[server]]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["volumes"] == ["models:/models:ro", f"{server}-cache:/cache"]
    assert service["ports"] == [f"127.0.0.1:{PORTS[server]}:{PORTS[server]}"]
    assert float(service["stop_grace_period"].removesuffix("s")) > drain_s(server) + 10


def test_the_health_of_the_llm_is_asked_of_the_llm() -> None:
    test = COMPOSE["compose.yaml"]["services"]["llm"]["healthcheck"]["test"]
    assert f"http://127.0.0.1:{PORTS['llm']}/health" in test[-1]
    compile(test[-1], "healthcheck", "exec")
    assert "/health" in paths_of("llm")


@pytest.mark.parametrize("name", COMPOSE)
def test_nothing_but_this_machine_reaches_a_port(name: str) -> None:
    ports = [port for service in COMPOSE[name]["services"].values() for port in service.get("ports", [])]
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_a_gpu_is_for_speech_with_settings_that_exist() -> None:
    services = COMPOSE["compose.cuda.yaml"]["services"]
    assert services.keys() == {"speech"}
    assert services["speech"]["image"] == "tiding:cuda"
    assert read_settings(services["speech"]["environment"]).model == "magpie"


def test_every_file_that_is_mounted_exists_and_every_volume_is_declared() -> None:
    compose = COMPOSE["compose.yaml"]
    mounts = [mount.split(":")[0] for service in compose["services"].values() for mount in service.get("volumes", [])]
    for source in mounts:
        if source.startswith("../monitor") and not (FOLDER.parent / "monitor").exists():
            continue
        assert (FOLDER / source).is_file() if source.startswith(".") else source in compose["volumes"], source
    assert set(mounts) >= compose["volumes"].keys()


def test_prometheus_asks_each_server_at_its_port_and_grafana_asks_prometheus() -> None:
    (prometheus,) = documents(FOLDER / "prometheus.yml")
    targets = {job["job_name"]: job["static_configs"][0]["targets"] for job in prometheus["scrape_configs"]}
    assert targets == {f"tiding-{server}": [f"{server}:{PORTS[server]}"] for server in SERVERS}
    mounted = [mount.split(":")[1] for mount in COMPOSE["compose.yaml"]["services"]["prometheus"]["volumes"]]
    assert all(f"/etc/prometheus/{file}" in mounted for file in prometheus["rule_files"])
    (grafana,) = documents(FOLDER / "grafana/datasource.yml")
    assert grafana["datasources"][0]["url"] == "http://prometheus:9090"
    (dashboards,) = documents(FOLDER / "grafana/dashboards.yml")
    folder = dashboards["providers"][0]["options"]["path"]
    assert any(f":{folder}/" in mount for mount in COMPOSE["compose.yaml"]["services"]["grafana"]["volumes"])
