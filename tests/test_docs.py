"""What there is has a place in the reference, and the documentation's links lead somewhere."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from litestar import Litestar
from litestar.routes import WebSocketRoute

from app import errors as app_errors
from app import llm, llm_messages, tts
from app.metric import Metric
from app.settings import LlmSettings, TtsSettings
from app.speech_metrics import SPEECH_METRICS
from app.text_metrics import TEXT_METRICS
from app.tracing import WANTED_BY
from engines import accounts as speech_accounts
from engines.catalog import MODELS
from engines.engine import Engine
from engines.errors import SpeechError
from engines.llm import accounts as text_accounts
from engines.llm.fake import FakeText
from engines.llm.types import Reason
from engines.model import Model
from engines.session import Session
from engines.types import Frame, Limits
from modes.messages import ClientMessage, ServerMessage, SpokenWord
from modes.registry import installed
from tests import settings_page
from tests.reading_docs import PAGES, anchors, links, reference, rows, sections
from tests.serving import ROOT

OURS = [point for point in installed() if point.dist is not None and point.dist.name == "tiding"]
APPS = {
    "http": tts.create_app(TtsSettings(model="fake"), mode_points=OURS),
    "llm": llm.create_app(LlmSettings(), load=FakeText),
}
"""By the page of the reference that describes what each answers."""

SCHEMAS: dict[str, Any] = {
    page: json.loads(msgspec.json.encode(app.openapi_schema.to_schema())) for page, app in APPS.items()
}
OPERATIONS = [
    pytest.param(page, f"{method.upper()} {path}", operation, id=f"{page}-{method.upper()} {path}")
    for page, schema in SCHEMAS.items()
    for path, methods in schema["paths"].items()
    for method, operation in methods.items()
]


def subclasses(kind: type[SpeechError]) -> Iterator[type[SpeechError]]:
    yield kind
    for child in kind.__subclasses__():
        if child.__module__ == SpeechError.__module__:
            yield from subclasses(child)


def properties(page: str, schema: Any) -> dict[str, Any]:
    """Every field of a JSON body, with those of its alternatives."""
    if "$ref" in schema:
        return properties(page, SCHEMAS[page]["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    found = dict(schema.get("properties", {}))
    for alternative in schema.get("oneOf", ()):
        found |= properties(page, alternative)
    return found


def missing_from(row: str, field: dict[str, Any]) -> list[str]:
    """What a field's row does not say: its default, its range or its choices."""
    bounds = [field[name] for name in ("minimum", "maximum") if name in field]
    wanted = [f"{bound:g}" if abs(bound) < 1e9 else str(min(int(bound), 2**63 - 1)) for bound in bounds]
    wanted += [json.dumps(field["default"])] if "default" in field else []
    wanted += field.get("enum", ())
    return [value for value in wanted if value not in row]


@pytest.mark.parametrize(("page", "name", "operation"), OPERATIONS)
def test_every_route_and_field_is_in_the_reference(page: str, name: str, operation: dict[str, Any]) -> None:
    text = sections(reference(page))
    assert f"`{name}`" in text, f"docs/reference/{page}.md has no section `{name}`"
    described, shared = rows(text[f"`{name}`"]), rows(text.get("Fields that several paths have", ""))
    body = operation.get("requestBody", {"content": {}})["content"].get("application/json", {"schema": {}})
    for field, schema in properties(page, body["schema"]).items():
        assert field in described, f"{name}: no row for the field {field}"
        row = described[field].replace("as above", shared.get(field, ""))
        for shape in [schema, *schema.get("oneOf", ())]:
            assert not missing_from(row, shape), f"{name}: the row of {field} leaves something out"


@pytest.mark.parametrize(("page", "name", "operation"), OPERATIONS)
def test_every_status_and_answer_is_in_the_reference(page: str, name: str, operation: dict[str, Any]) -> None:
    section, refusals = sections(reference(page))[f"`{name}`"], sections(reference("http"))["Every refusal"]
    for status, response in operation["responses"].items():
        is_said = status in section if int(status) < 400 else status in section + refusals
        assert is_said, f"{name}: nothing about status {status}"
        schema = response.get("content", {}).get("application/json", {"schema": {}})["schema"]
        if int(status) < 400:
            unsaid = [field for field in properties(page, schema) if field not in rows(section)]
            assert not unsaid, f"{name}: no row for what is answered in {unsaid}"


@pytest.mark.parametrize(("page", "app"), [("websocket", APPS["http"]), ("llm", APPS["llm"])])
def test_every_socket_is_in_the_reference(page: str, app: Litestar) -> None:
    paths = [route.path_format for route in app.routes if isinstance(route, WebSocketRoute)]
    assert paths
    assert not [path for path in paths if f"`{path}`" not in reference(page)]


def message_fields(message: type[msgspec.Struct]) -> dict[str, Any]:
    _, components = msgspec.json.schema_components([message])
    fields = dict(components[message.__name__]["properties"])
    fields.pop("type", None)
    fields.pop("action", None)
    return fields


SENT = [*get_args(ClientMessage), *get_args(llm_messages.ClientMessage)]
UNTAGGED = {
    llm_messages.Chunk: "A whole chunk",
    llm_messages.Ended: "The end of a stream",
    llm_messages.Pong: "The answer to a ping",
    llm_messages.Failed: "An error",
    llm_messages.PauseAt: "`pause`",
}


@pytest.mark.parametrize(
    ("page", "message"),
    [
        *(("websocket", message) for message in (*get_args(ClientMessage), *get_args(ServerMessage))),
        *(("llm", message) for message in get_args(llm_messages.ClientMessage)),
        *(("llm", message) for message in get_args(llm_messages.ServerMessage)),
        ("llm", llm_messages.PauseAt),
    ],
)
def test_every_message_and_field_is_in_the_reference(page: str, message: type[msgspec.Struct]) -> None:
    heading = UNTAGGED.get(message, f"`{message.__struct_config__.tag}`")
    section = sections(reference(page)).get(heading)
    assert section is not None, f"docs/reference/{page}.md has no section {heading}"
    is_sent = message in (*SENT, llm_messages.PauseAt)
    shared = sections(reference(page)).get("What a client sends" if is_sent else "What the server sends", "")
    described = rows(shared) | rows(section)
    for field, schema in message_fields(message).items():
        assert field in described, f"{heading}: no row for the field {field}"
        for shape in [schema, *schema.get("anyOf", ())] if is_sent else []:
            assert not missing_from(described[field], shape), f"{heading}: the row of {field} leaves something out"


@pytest.mark.parametrize("reason", get_args(Reason))
def test_every_reason_is_in_the_reference(reason: str) -> None:
    assert reason in rows(sections(reference("llm"))["Reasons"])


def test_every_field_of_a_word_is_in_the_reference() -> None:
    assert message_fields(SpokenWord).keys() <= rows(sections(reference("websocket"))["`words`"]).keys()


CARRIERS = {
    "websocket": ("modes/*.py", {"Failed": 1, "Warn": 1, "NotUnderstood": 1}),
    "llm": ("app/llm_*.py", {"Failed": 2, "NotFollowed": 1}),
}
"""What carries a code, and which of its arguments that is."""


@pytest.mark.parametrize(
    ("page", "some"),
    [("websocket", {"no_stream", "unspeakable", "malformed_json"}), ("llm", {"stream_exists", "internal_error"})],
)
def test_every_code_of_a_socket_is_in_the_reference(page: str, some: set[str]) -> None:
    """Codes that are written where they are sent, as literals."""
    files, carriers = CARRIERS[page]
    codes = {
        constant.value
        for path in ROOT.glob(files)
        for call in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in carriers
        for argument in call.args[carriers[call.func.id] :][:1]
        for constant in ast.walk(argument)
        if isinstance(constant, ast.Constant)
    }
    assert some <= codes
    assert not [code for code in codes if f"`{code}`" not in reference(page)]


@pytest.mark.parametrize("kind", list(subclasses(SpeechError)))
def test_every_engine_error_is_in_the_reference(kind: type[SpeechError]) -> None:
    row = rows(reference("errors"))[kind.__name__]
    status = next(app_errors.STATUS[base] for base in kind.__mro__ if base in app_errors.STATUS)
    assert f"`{kind.code}`" in row
    assert f"| {status} |" in row
    assert kind is SpeechError or f"`{kind.__bases__[0].__name__}`" in row


def test_every_other_code_over_http_is_in_the_reference() -> None:
    assert "internal_error" in app_errors._CODES.values()
    assert not [code for code in app_errors._CODES.values() if f"`{code}`" not in reference("errors")]


def test_the_settings_are_as_their_fields_say() -> None:
    text = settings_page.PAGE.read_text("utf-8")
    assert text == settings_page.written(text), "`just settings-page` writes it"
    assert set(rows(text)) >= {setting.variable for setting in settings_page.SETTINGS}


@pytest.mark.parametrize("setting", settings_page.SETTINGS, ids=lambda setting: setting.variable)
def test_every_setting_says_what_it_does(setting: settings_page.Setting) -> None:
    assert setting.doc.endswith("."), f"{setting.field} has no sentence behind it"
    assert rows(reference("settings"))[setting.variable].startswith(("empty ", f"`{setting.shown_default}` "))


def test_every_model_is_in_the_reference() -> None:
    assert all(f"`{name}`" in rows(reference("settings"))["TIDING_MODEL"] for name in MODELS)


@pytest.mark.parametrize(("kind", "page"), [(Engine, "modes"), (Session, "modes"), (Model, "models")])
def test_every_public_member_of_a_contract_is_in_the_reference(kind: type, page: str) -> None:
    unsaid = [
        name
        for name in {*vars(kind), *getattr(kind, "__annotations__", {})}
        if not name.startswith("_") and not re.search(rf"`{name}\b", reference(page))
    ]
    assert not unsaid


@pytest.mark.parametrize("kind", [Frame, Limits])
def test_every_field_that_a_mode_reads_is_in_the_reference(kind: type[msgspec.Struct]) -> None:
    assert set(kind.__struct_fields__) <= rows(reference("modes")).keys()


METRICS = [
    *(("The speech server", metric) for metric in SPEECH_METRICS),
    *(("The LLM server", metric) for metric in TEXT_METRICS),
]


@pytest.mark.parametrize(("section", "metric"), METRICS, ids=[metric.name for _, metric in METRICS])
def test_every_metric_is_in_the_reference(section: str, metric: Metric) -> None:
    kind, labels = rows(sections(reference("metrics"))[section])[metric.name].split("|")[:2]
    assert kind.strip() == metric.kind
    assert re.findall(r"`(\w+)`", labels) == list(metric.labels)
    units = {"counter": "_total", "histogram": ("_seconds", "_ratio")}
    assert metric.name.endswith(units.get(metric.kind, "")), "Prometheus: metric and label naming"


@pytest.mark.parametrize(
    ("section", "known"), [("The speech server", SPEECH_METRICS), ("The LLM server", TEXT_METRICS)]
)
def test_the_reference_has_no_metric_that_is_not_there(section: str, known: tuple[Metric, ...]) -> None:
    assert list(rows(sections(reference("metrics"))[section])) == [metric.name for metric in known]


def test_every_event_and_variable_of_traces_is_in_the_reference() -> None:
    sources = [*(ROOT / "engines").glob("accounts.py"), *(ROOT / "engines/llm").glob("accounts.py")]
    told = re.findall(r'_tell\("(\w+)", (.+)\)', "\n".join(path.read_text("utf-8") for path in sources))
    traces = rows(sections(reference("metrics"))["Traces"])
    assert {"segment", "first_audio", "chunk"} <= {event for event, _ in told} <= traces.keys()
    assert not [
        name for event, given in told for name in re.findall(r"(\w+)=", given) if f"`{name}`" not in traces[event]
    ]
    assert set(WANTED_BY) <= traces.keys()


def test_every_field_of_a_log_line_is_in_the_reference() -> None:
    fields = [*speech_accounts.Account.__struct_fields__, *text_accounts.Account.__struct_fields__]
    assert set(fields) <= rows(sections(reference("settings"))["Log lines"]).keys()


def test_every_recipe_is_in_the_reference() -> None:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    just = shutil.which("just", path=path)
    assert just is not None, "just runs these tests, and is on PATH or beside this Python"
    said = subprocess.run([just, "--summary"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert set(said.split()) == rows(reference("recipes")).keys()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_resolves(page: Path) -> None:
    for target, anchor in links(page):
        assert target.exists(), f"{page.name} links to {target}"
        assert not anchor or anchor in anchors(target), f"{page.name} links to #{anchor} of {target.name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_source_file_that_is_named_exists(page: Path) -> None:
    named = re.findall(r"`((?:app|modes|engines|tests|locks|docs)/[\w./-]*)`", page.read_text("utf-8"))
    assert not [path for path in named if not (ROOT / path).exists()]


def test_every_page_is_on_the_map() -> None:
    listed = {target.resolve() for target, _ in links(ROOT / "docs/index.md")}
    assert {page for page in PAGES if page.is_relative_to(ROOT / "docs")} - listed == {ROOT / "docs/index.md"}
