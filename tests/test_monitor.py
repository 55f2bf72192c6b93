"""The dashboard and the alerts ask for what is there, and Prometheus itself understands them."""

import asyncio
import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from app.metric import Metric
from app.speech_metrics import SPEECH_METRICS
from app.text_metrics import TEXT_METRICS
from tests.listening import browsing, speak_stream
from tests.llm import talking
from tests.reading_docs import reference, rows, sections
from tests.scraping import scrape
from tests.serving import ROOT, Served, free_port

MONITOR = ROOT / "docs/how-to/monitor"
ALERTS = [
    rule for group in yaml.safe_load((MONITOR / "alerts.yml").read_text("utf-8"))["groups"] for rule in group["rules"]
]
TARGETS = [
    target
    for panel in json.loads((MONITOR / "dashboard.json").read_text("utf-8"))["panels"]
    for target in panel.get("targets", ())
]
QUERIES = [*(rule["expr"] for rule in ALERTS), *(target["expr"] for target in TARGETS)]
HTTP_LABELS = ("method", "path", "status_code", "app_name")
SERIES = {
    "histogram": ("_bucket", "_sum", "_count"),
    "counter": ("",),
    "gauge": ("",),
}
BY_PROMETHEUS = {"instance", "job"}
NEVER_HERE = ("cut_short", "underrun", "failed", "refus", "preempt")
"""What a server that works and is not pressed has nothing of."""


@pytest.fixture(scope="module")
def text_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[talking.Served]:
    with talking.serve_process("tests.llm.served", log=tmp_path_factory.mktemp("text") / "log") as served:
        yield served


def series(known: Iterable[Metric]) -> Iterator[tuple[str, set[str]]]:
    for metric in known:
        for ending in SERIES[metric.kind]:
            yield metric.name + ending, {*metric.labels, *(["le"] if ending == "_bucket" else [])}


LABELS = {
    **dict(series((*SPEECH_METRICS, *TEXT_METRICS))),
    "tiding_http_requests_total": set(HTTP_LABELS),
    "up": set[str](),
    "process_cpu_seconds_total": set[str](),
    "process_resident_memory_bytes": set[str](),
}
"""What may be asked for, and by which labels."""


def asked_for(query: str) -> Iterator[tuple[str, set[str]]]:
    """Each series of a query, with the labels that it is chosen by."""
    for name, chosen in re.findall(r"\b((?:tiding|process)_\w+|up\b)(?:\{([^}]*)\})?", query):
        yield name, set(re.findall(r"(\w+)\s*(?:=|!=|=~|!~)\s*\"", chosen))


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_asks_for_series_and_labels_that_there_are(query: str) -> None:
    found = list(asked_for(query))
    assert found
    for name, chosen in found:
        assert name in LABELS, f"there is no {name}"
        assert chosen <= LABELS[name] | BY_PROMETHEUS, f"{name} has no such label"
    grouped = {label.strip() for by in re.findall(r"(?:by|on)\s*\(([^)]*)\)", query) for label in by.split(",")}
    assert grouped <= BY_PROMETHEUS.union(*(LABELS[name] for name, _ in found))


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: str(target["expr"]))
def test_a_legend_names_labels_that_are_left(target: dict[str, Any]) -> None:
    named = set(re.findall(r"\{\{\s*(\w+)\s*\}\}", target["legendFormat"]))
    grouped = [set(re.split(r",\s*", by)) for by in re.findall(r"by \(([^)]*)\)", target["expr"])]
    assert named <= (set.intersection(*grouped) if grouped and "on (" not in target["expr"] else BY_PROMETHEUS)


@pytest.mark.parametrize("metric", [*SPEECH_METRICS, *TEXT_METRICS], ids=lambda metric: metric.name)
def test_what_is_counted_is_shown(metric: Metric) -> None:
    names = {"tiding_engine_ready", "tiding_llm_engine_ready"}  # an alert
    names |= {"tiding_model_info", "tiding_llm_model_info", "tiding_sessions_capacity", "tiding_llm_sessions_capacity",
              "tiding_underruns_total", "tiding_segments_total", "tiding_llm_slots_in_use", "tiding_llm_slots_capacity",
              "tiding_llm_step_rows_total"}  # fmt: skip
    shown = {name for target in TARGETS for name, _ in asked_for(target["expr"])}
    assert metric.name in names or any(metric.name + ending in shown for ending in SERIES[metric.kind])


def test_every_alert_is_explained_and_has_a_case() -> None:
    explained = rows(sections((ROOT / "docs/how-to/monitor.md").read_text("utf-8"))["Alerts"])
    cases = {
        case["alertname"]
        for test in yaml.safe_load((ROOT / "tests/alerts.yml").read_text("utf-8"))["tests"]
        for case in test["alert_rule_test"]
        if case["exp_alerts"]
    }
    assert {rule["alert"] for rule in ALERTS} == explained.keys() == cases


async def test_what_litestar_counts_is_in_the_reference(fake_server: Served) -> None:
    described = rows(sections(reference("metrics"))["Both"])
    seen = await scrape(fake_server.url)
    counted = {name for name in seen.families if name.startswith("tiding_http_")}
    on_error = {"tiding_http_requests_error"}  # there from the first error on, which others of this server's tests make
    assert counted | on_error == {name.removesuffix("_total") for name in described}
    for family in counted:
        labels = {label for sample in seen.families[family].samples for label in sample.labels}
        assert labels - {"le"} == set(HTTP_LABELS)


# -- Prometheus itself -------------------------------------------------------------------------------------------------

needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool (Debian: prometheus) is missing")
needs_prometheus = pytest.mark.skipif(shutil.which("prometheus") is None, reason="prometheus is missing")


@needs_promtool
@pytest.mark.parametrize(
    "command", [("check", "config", "docs/how-to/monitor/prometheus.yml"), ("test", "rules", "tests/alerts.yml")]
)
def test_promtool_is_content(command: tuple[str, ...]) -> None:
    run = subprocess.run(["promtool", *command], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.slow
@needs_promtool
@pytest.mark.parametrize("fixture", ["fake_server", "text_server"])
def test_promtool_finds_no_fault_with_the_names(fixture: str, request: pytest.FixtureRequest) -> None:
    url = request.getfixturevalue(fixture).url
    text = httpx.get(f"{url}/metrics").text
    run = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True)
    faults = [line for line in (run.stdout + run.stderr).splitlines() if line.startswith("tiding_")]
    # Litestar's: a gauge beside its counter, that it calls a total.
    assert not [fault for fault in faults if not fault.startswith("tiding_http_")], faults


@contextmanager
def prometheus(tmp_path: Path, *urls: str) -> Iterator[httpx.Client]:
    """Prometheus itself, which scrapes these five times a second. The client asks it."""
    config = tmp_path / "prometheus.yml"
    targets = [url.removeprefix("http://") for url in urls]
    job = {"job_name": "tiding-test", "scrape_interval": "200ms", "static_configs": [{"targets": targets}]}
    config.write_text(json.dumps({"scrape_configs": [job]}), "utf-8")
    port = free_port()
    arguments = [
        f"--config.file={config}",
        f"--storage.tsdb.path={tmp_path}/data",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (tmp_path / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(["prometheus", *arguments], stdout=log, stderr=log)
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
                until_ready(client)
                yield client
        finally:
            process.terminate()
            process.wait(20)


def until_ready(client: httpx.Client, patience_s: float = 20.0) -> None:
    deadline_s = time.monotonic() + patience_s
    while time.monotonic() < deadline_s:
        try:
            if client.get("/-/ready").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise TimeoutError("Prometheus is not ready")


def answer(client: httpx.Client, query: str) -> list[Any]:
    filled = query.replace("$__rate_interval", "30s").replace("$instance", ".*")
    response = client.get("/api/v1/query", params={"query": filled})
    assert response.status_code == 200, response.text
    return response.json()["data"]["result"]


def until_answered(client: httpx.Client, query: str, patience_s: float = 20.0) -> None:
    deadline_s = time.monotonic() + patience_s
    while time.monotonic() < deadline_s:
        try:
            if answer(client, query):
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise AssertionError(f"no answer to {query}")


@needs_prometheus
@pytest.mark.slow
def test_prometheus_has_an_answer_to_every_query_of_the_dashboard(
    hibari_server: Served, text_server: talking.Served, tmp_path: Path
) -> None:
    async def work() -> None:
        async with browsing(hibari_server) as client:
            await speak_stream(client, "Prometheus should see this.")
        async with talking.talk(text_server) as talker:
            await talker.start(pause={"max_tokens": 2})
            await talker.go_on(pause={"max_tokens": 2})
            await talker.end()

    with prometheus(tmp_path, hibari_server.url, text_server.url) as client:
        until_answered(client, 'sum(up{job="tiding-test"}) == 2')
        asyncio.run(work())
        until_answered(
            client, "rate(tiding_llm_step_rows_total[30s]) > 0 and on () rate(tiding_step_rows_total[30s]) > 0"
        )
        for target in TARGETS:
            result = answer(client, target["expr"])
            if not any(part in target["expr"] for part in NEVER_HERE):
                assert result, f"nothing for {target['expr']}"
        for rule in ALERTS:
            assert not answer(client, rule["expr"]), f"{rule['alert']} on servers that work"
