"""Requests made from the served OpenAPI document: every answer is one that the document describes."""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import Case, CheckContext, GenerationMode, HookContext, Response
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks

from engines.formats import FORMATS
from tests.contract import SAMPLE_RATES_HZ, check_refusal
from tests.fuzz.values import BLANK, ENDS_THE_SERVER, SPEAKABLE, UNSPEAKABLE
from tests.serving import Served, serve_process

pytestmark = pytest.mark.slow

HANG_S = 20.0
"""Nothing here is long: what takes longer has hung."""

MAX_SESSIONS = 100

ANY_CASE = settings(max_examples=25, suppress_health_check=list(HealthCheck))

Body = dict[str, Any]


# -- what every answer is held to --------------------------------------------------------------------------------------


def is_known_and_comes_soon(_: CheckContext, response: Response, case: Case) -> None:
    """It has an id, came before anybody would have left, and says what was wrong where something was."""
    assert response.headers["x-request-id"], f"{case.operation.label} has no X-Request-Id"
    assert response.elapsed < HANG_S, f"{case.operation.label} took {response.elapsed} s"
    if response.status_code >= 400:
        headers = {name: values[0] for name, values in response.headers.items()}
        headers.pop("content-encoding", None)
        check_refusal(httpx.Response(response.status_code, headers=headers, content=response.content))


def has_the_documented_shape(context: CheckContext, response: Response, case: Case) -> None:
    """Schemathesis holds each event of a stream against what 3.1 says of the whole body; 3.2 has `itemSchema`."""
    if not response.headers["content-type"][0].startswith("text/event-stream"):
        checks.response_schema_conformance(context, response, case)


DOCUMENTED = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    has_the_documented_shape,
    is_known_and_comes_soon,
]


class Caller:
    """Sends cases to one server, counts the statuses of its answers, and lets go of the streams that they open."""

    def __init__(self, served: Served) -> None:
        self.served = served
        self.answers: dict[str, Counter[int]] = defaultdict(Counter)
        self._session = requests.Session()

    def check(self, case: Case, *more: Any) -> Response:
        """The answer, which passed all checks."""
        response = case.call(session=self._session, timeout=HANG_S)
        self._let_go(case.path, response.status_code, response.content)
        self.answers[case.operation.label][response.status_code] += 1
        case.validate_response(response, checks=[*DOCUMENTED, *more])
        return response

    def check_that_the_server_is_as_before(self) -> None:
        """It has room for as many streams as at its start."""
        with httpx.Client(base_url=self.served.url, timeout=HANG_S) as client:
            assert client.get("/ready").status_code == 200
            opened = [client.post("/v1/tts/stream") for _ in range(MAX_SESSIONS)]
            assert {response.status_code for response in opened} == {200}
            assert client.get("/ready").status_code == 503, "these are all that there is room for"
            for response in opened:
                client.delete(f"/v1/tts/stream/{response.json()['stream_id']}")
            assert client.get("/ready").status_code == 200

    def status_without_a_body(self, path: str) -> int:
        """What a POST of nothing is answered with."""
        response = self._session.post(f"{self.served.url}{path}", timeout=HANG_S)
        self._let_go(path, response.status_code, response.content)
        return response.status_code

    def _let_go(self, path: str, status: int, content: bytes | None) -> None:
        if path == "/v1/tts/stream" and status == 200:
            stream_id = json.loads(content or b"")["stream_id"]
            self._session.delete(f"{self.served.url}{path}/{stream_id}", timeout=HANG_S)


# -- documents ---------------------------------------------------------------------------------------------------------


def document(served: Served) -> Any:
    """The served document, as schemathesis reads it. Some stream ids that it makes are of a stream that is over."""
    schema = schemathesis.openapi.from_url(f"{served.url}/schema/openapi.json")
    over = httpx.post(f"{served.url}/v1/tts/stream").json()["stream_id"]
    httpx.delete(f"{served.url}/v1/tts/stream/{over}")

    @schema.hook
    def filter_case(context: HookContext, case: Case) -> bool:
        """Refusals repeat what was sent, and no answer may hold this."""
        return "Traceback" not in f"{case.path_parameters} {case.body}"

    @schema.hook
    def flatmap_path_parameters(context: HookContext, path_parameters: Body) -> st.SearchStrategy[Body]:
        return st.sampled_from([path_parameters, path_parameters, {"stream_id": over}])

    return schema


def of_good_fields(schema: Any) -> Any:
    """`schema`, whose bodies say what a server takes where the document leaves that open; most texts are short."""
    text = SPEAKABLE | SPEAKABLE | UNSPEAKABLE | BLANK
    good = {
        "input": text,
        "text": text,
        "voice": st.sampled_from(["aria", "ALLOY", "nobody"]),
        "language": st.sampled_from(["en", "en-GB", "tlh"]),
        "sample_rate": st.sampled_from(SAMPLE_RATES_HZ),
        "response_format": st.sampled_from(FORMATS),
    }

    @schema.hook
    def flatmap_body(context: HookContext, body: Any) -> st.SearchStrategy[Any]:
        if not isinstance(body, dict):
            return st.just(body)
        return st.fixed_dictionaries({name: good.get(name, st.just(value)) for name, value in body.items()})

    return schema


@pytest.fixture(scope="module", params=["fake", pytest.param("hibari", marks=pytest.mark.slow)])
def caller(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    """Each model in turn; what was asked of a server has left nothing in it."""
    log: Path = tmp_path_factory.mktemp("fuzz") / "log"
    with serve_process(log=log, model=request.param, max_sessions=str(MAX_SESSIONS)) as served:
        caller = Caller(served)
        yield caller
        caller.check_that_the_server_is_as_before()
        assert "Traceback" not in log.read_text()


def check_every_operation(schema: Any, mode: GenerationMode, check: Callable[[Case], object], subtests: Any) -> None:
    """Many cases of each operation of the document. Only bodies can be wrong: a path may be any text."""
    for operation in (result.ok() for result in schema.get_all_operations()):
        if operation.path == ENDS_THE_SERVER or (mode is GenerationMode.NEGATIVE and not operation.body):
            continue
        with subtests.test(operation=operation.label, mode=mode.value):
            ANY_CASE(given(operation.as_strategy(mode))(check))()


@pytest.mark.parametrize("mode", GenerationMode)
def test_whatever_is_sent_the_answer_is_documented(
    caller: Caller, mode: GenerationMode, subtests: pytest.Subtests
) -> None:
    def check(case: Case) -> None:
        caller.check(case, checks.negative_data_rejection)

    check_every_operation(document(caller.served), mode, check, subtests)


def test_what_can_be_spoken_is_answered_as_documented(caller: Caller, subtests: pytest.Subtests) -> None:
    def check(case: Case) -> None:
        caller.check(case)

    check_every_operation(of_good_fields(document(caller.served)), GenerationMode.POSITIVE, check, subtests)
    for path in ("/v1/audio/speech", "/v1/audio/speech/stream", "/v1/tts/stream"):
        assert set(caller.answers[f"POST {path}"]) >= {200, 400}, "both were tried"


def test_a_body_that_the_document_demands_is_demanded(caller: Caller, subtests: pytest.Subtests) -> None:
    paths = httpx.get(f"{caller.served.url}/schema/openapi.json").json()["paths"]
    for path, methods in paths.items():
        if methods.get("post", {}).get("requestBody", {}).get("required"):
            with subtests.test(path=path):
                assert caller.status_without_a_body(path) in (400, 404, 422)
