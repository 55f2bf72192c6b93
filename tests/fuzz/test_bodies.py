"""Any bytes as a body, under any headers, to every path that takes one: an answer below 500, and soon."""

import json
import re
import socket

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.contract import check_refusal
from tests.fuzz.values import BROKEN, DOCUMENTS, ENDS_THE_SERVER, TEXTS, encoded
from tests.serving import Served

pytestmark = pytest.mark.slow

HANG_S = 20.0
UNKNOWN = "00000000-0000-0000-0000-000000000000"
ANY_BODY = settings(max_examples=40, suppress_health_check=list(HealthCheck))

NAMES = st.sampled_from(
    ["input", "text", "voice", "language", "sample_rate", "response_format", "speed", "stream_format"]
)
NEAR = st.dictionaries(NAMES, DOCUMENTS | TEXTS, max_size=4)
BODIES = st.one_of(
    BROKEN, DOCUMENTS.map(encoded), NEAR.map(encoded), st.builds(bytes.__add__, NEAR.map(encoded), BROKEN)
)

CONTENT_TYPES = st.sampled_from(
    [
        "application/json", "application/json; charset=utf-16", "text/plain", "application/msgpack",
        "multipart/form-data", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "audio/wav", "",
        "nonsense", "application/x-msgpack", "application/vnd.api+json", "application/json; charset=x", "*/*", "/",
    ]
) | st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=15)  # fmt: skip
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "Content-Type": CONTENT_TYPES,
        "Accept": st.sampled_from(["*/*", "text/html", "", "application/json;q=0", "nonsense"]),
        "Content-Encoding": st.sampled_from(["gzip", "br", "nonsense"]),
        "X-Request-Id": st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=300),
        "Cookie": st.sampled_from(["a=b; =; ;;", "é", "x" * 3000]),
        "Origin": st.sampled_from(["null", "http://example.com"]),
        "Range": st.just("bytes=0-1"),
        "Expect": st.just("100-continue"),
        "X-HTTP-Method-Override": st.just("DELETE"),
    },
)


@pytest.fixture(scope="module")
def post_paths(fake_server: Served) -> list[str]:
    """Every path of the served document that takes a POST; of streams, with the id of none."""
    document = httpx.get(f"{fake_server.url}/schema/openapi.json").json()
    paths = [path for path, methods in document["paths"].items() if "post" in methods and path != ENDS_THE_SERVER]
    return [re.sub(r"\{\w+\}", UNKNOWN, path) for path in paths]


def check_answer(response: httpx.Response) -> None:
    """It is known, no fault of the server, and a refusal says why."""
    assert response.status_code < 500
    assert response.headers["X-Request-Id"]
    if response.status_code >= 400:
        check_refusal(response)


@ANY_BODY
@given(body=BODIES, headers=HEADERS)
def test_any_bytes_under_any_headers_are_answered(
    fake_server: Served, post_paths: list[str], body: bytes, headers: dict[str, str]
) -> None:
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    with httpx.Client(base_url=fake_server.url, timeout=HANG_S) as client:
        for path in post_paths:
            response = client.post(path, content=body, headers=raw)
            check_answer(response)
            if "stream_id" in response.text[:20]:
                client.delete(f"{path}/{response.json()['stream_id']}")


# -- bytes that are hardly HTTP ----------------------------------------------------------------------------------------

JSON_BODY = json.dumps({"input": "Hi.", "text": "Hi."}).encode()
LENGTHS = st.sampled_from(["0", "1", "5", "30", "32", "1000", "-1", "x", "", "9" * 20, "1, 2", "+31", "0x1f"])
CHUNKS = st.sampled_from(
    [b"1b\r\n" + JSON_BODY + b"\r\n0\r\n\r\n", b"5\r\nabc", b"zz\r\n", b"f" * 10 + b"\r\n", b"0\r\n"]
)
STATED = st.lists(LENGTHS.map("Content-Length: {}".format), min_size=1, max_size=2)
LIES = st.tuples(STATED, st.just(JSON_BODY) | st.binary(max_size=30)) | st.tuples(
    st.just(["Transfer-Encoding: chunked"]) | STATED.map(lambda stated: [*stated, "Transfer-Encoding: chunked"]), CHUNKS
)
NO_REQUESTS = st.binary(max_size=60) | st.builds(
    bytes.__add__, st.sampled_from([b"GET ", b"POST /v1/", b"PRI * "]), st.binary()
)


@ANY_BODY
@given(lie=LIES)
def test_a_request_that_lies_about_its_length_is_answered_or_dropped(
    fake_server: Served, post_paths: list[str], lie: tuple[list[str], bytes]
) -> None:
    headers, body = lie
    for path in post_paths:
        head = "\r\n".join([f"POST {path} HTTP/1.1", "Host: x", "Content-Type: application/json", *headers, "", ""])
        answer = spoken_to(fake_server, head.encode() + body)
        assert not re.match(rb"HTTP/1.1 5", answer), answer[:200]
    assert httpx.get(f"{fake_server.url}/ready").status_code == 200


@ANY_BODY
@given(data=NO_REQUESTS)
def test_bytes_that_are_no_request_are_answered_or_dropped(fake_server: Served, data: bytes) -> None:
    assert not re.match(rb"HTTP/1.1 5", spoken_to(fake_server, data))
    assert httpx.get(f"{fake_server.url}/ready").status_code == 200


def spoken_to(served: Served, data: bytes) -> bytes:
    """All that a server answers to these bytes and the end of them.

    Raises:
        TimeoutError: it neither answers nor closes.
    """
    with socket.create_connection(("127.0.0.1", served.port), timeout=HANG_S) as connection:
        answer = bytearray()
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            while piece := connection.recv(65536):
                answer += piece
        except TimeoutError:
            raise
        except OSError:
            pass  # dropped
        return bytes(answer)
