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
from litestar.routes import WebSocketRoute

from app import errors as app_errors
from app.settings import PREFIX, TtsSettings
from app.tts import create_app
from engines.catalog import MODELS
from engines.engine import Engine
from engines.errors import SpeechError
from engines.model import Model
from engines.session import Session
from engines.types import Frame, Limits
from modes.messages import ClientMessage, ServerMessage, SpokenWord
from modes.registry import installed
from tests.reading_docs import PAGES, anchors, links, reference, rows, sections
from tests.serving import ROOT

OURS = [point for point in installed() if point.dist is not None and point.dist.name == "tiding"]
APP = create_app(TtsSettings(model="fake"), mode_points=OURS)
SCHEMA: dict[str, Any] = json.loads(msgspec.json.encode(APP.openapi_schema.to_schema()))
OPERATIONS = [
    (f"{method.upper()} {path}", operation)
    for path, methods in SCHEMA["paths"].items()
    for method, operation in methods.items()
]


def subclasses(kind: type[SpeechError]) -> Iterator[type[SpeechError]]:
    yield kind
    for child in kind.__subclasses__():
        if child.__module__ == SpeechError.__module__:
            yield from subclasses(child)


def properties(schema: Any) -> dict[str, Any]:
    """Every field of a JSON body, with those of its alternatives."""
    if "$ref" in schema:
        return properties(SCHEMA["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    found = dict(schema.get("properties", {}))
    for alternative in schema.get("oneOf", ()):
        found |= properties(alternative)
    return found


def missing_from(row: str, field: dict[str, Any]) -> list[str]:
    """What a field's row does not say: its default, its range or its choices."""
    bounds = [field[name] for name in ("minimum", "maximum") if name in field]
    wanted = [f"{bound:g}" if bound < 1e9 else str(2**63 - 1) for bound in bounds]
    wanted += [json.dumps(field["default"])] if "default" in field else []
    wanted += field.get("enum", ())
    return [value for value in wanted if value not in row]


@pytest.mark.parametrize(("name", "operation"), OPERATIONS, ids=[name for name, _ in OPERATIONS])
def test_every_route_and_field_is_in_the_reference(name: str, operation: dict[str, Any]) -> None:
    text = sections(reference("http"))
    assert f"`{name}`" in text, f"docs/reference/http.md has no section `{name}`"
    described, shared = rows(text[f"`{name}`"]), rows(text["Fields that several paths have"])
    body = operation.get("requestBody", {"content": {}})["content"].get("application/json", {"schema": {}})
    for field, schema in properties(body["schema"]).items():
        assert field in described, f"{name}: no row for the field {field}"
        row = described[field].replace("as above", shared.get(field, ""))
        for shape in [schema, *schema.get("oneOf", ())]:
            assert not missing_from(row, shape), f"{name}: the row of {field} leaves something out"


@pytest.mark.parametrize(("name", "operation"), OPERATIONS, ids=[name for name, _ in OPERATIONS])
def test_every_status_and_answer_is_in_the_reference(name: str, operation: dict[str, Any]) -> None:
    text = sections(reference("http"))
    section, refusals = text[f"`{name}`"], text["Every refusal"]
    for status, response in operation["responses"].items():
        is_said = status in section if int(status) < 400 else status in section + refusals
        assert is_said, f"{name}: nothing about status {status}"
        schema = response.get("content", {}).get("application/json", {"schema": {}})["schema"]
        if int(status) < 400:
            unsaid = [field for field in properties(schema) if field not in rows(section)]
            assert not unsaid, f"{name}: no row for what is answered in {unsaid}"


def test_every_socket_is_in_the_reference() -> None:
    paths = [route.path_format for route in APP.routes if isinstance(route, WebSocketRoute)]
    assert paths
    assert not [path for path in paths if f"`{path}`" not in reference("websocket")]


def message_fields(message: type[msgspec.Struct]) -> dict[str, Any]:
    _, components = msgspec.json.schema_components([message])
    fields = dict(components[message.__name__]["properties"])
    fields.pop("type", None)
    return fields


@pytest.mark.parametrize("message", [*get_args(ClientMessage), *get_args(ServerMessage)])
def test_every_message_and_field_is_in_the_reference(message: type[msgspec.Struct]) -> None:
    tag = message.__struct_config__.tag
    section = sections(reference("websocket")).get(f"`{tag}`")
    assert section is not None, f"docs/reference/websocket.md has no section `{tag}`"
    is_sent = message in get_args(ClientMessage)
    for field, schema in message_fields(message).items():
        assert field in rows(section), f"{tag}: no row for the field {field}"
        for shape in [schema, *schema.get("anyOf", ())] if is_sent else []:
            assert not missing_from(rows(section)[field], shape), f"{tag}: the row of {field} leaves something out"


def test_every_field_of_a_word_is_in_the_reference() -> None:
    assert message_fields(SpokenWord).keys() <= rows(sections(reference("websocket"))["`words`"]).keys()


def test_every_code_of_a_socket_is_in_the_reference() -> None:
    """Codes that the modes write themselves: the literals given to what carries one."""
    carriers = {"Failed", "Warn", "NotUnderstood"}
    codes = {
        constant.value
        for path in (ROOT / "modes").glob("*.py")
        for call in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in carriers
        for argument in call.args[1:2]
        for constant in ast.walk(argument)
        if isinstance(constant, ast.Constant)
    }
    assert {"no_stream", "unspeakable", "malformed_json"} <= codes
    assert not [code for code in codes if f"`{code}`" not in reference("websocket")]


@pytest.mark.parametrize("kind", list(subclasses(SpeechError)))
def test_every_engine_error_is_in_the_reference(kind: type[SpeechError]) -> None:
    row = rows(reference("errors"))[kind.__name__]
    status = next(app_errors.STATUS[base] for base in kind.__mro__ if base in app_errors.STATUS)
    assert f"`{kind.code}`" in row
    assert f"| {status} |" in row
    assert kind is SpeechError or f"`{kind.__bases__[0].__name__}`" in row


def test_every_other_code_over_http_is_in_the_reference() -> None:
    source = (ROOT / "app/errors.py").read_text("utf-8")
    codes = {*app_errors._CODES.values(), *re.findall(r'_response\(\d+, "[^"]+", "(\w+)"', source)}
    assert "internal_error" in codes
    assert not [code for code in codes if f"`{code}`" not in reference("errors")]


@pytest.mark.parametrize("field", msgspec.structs.fields(TtsSettings), ids=lambda field: field.name)
def test_every_setting_and_its_default_is_in_the_reference(field: msgspec.structs.FieldInfo) -> None:
    row = rows(reference("settings"))[PREFIX + field.name.upper()]
    words = {(): "all", "": "empty"}
    assert row.startswith(f"{words[field.default]} " if field.default in words else f"`{field.default}` ")


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
