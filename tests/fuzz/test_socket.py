"""Sockets on which anything is said at any time, with an account of what must be heard."""

import asyncio
import json
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, Protocol, get_args

import httpx
import msgspec
import pytest
from hypothesis import HealthCheck, assume, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from msgspec import inspect

from app.settings import TtsSettings
from modes.messages import Cancel, ClientMessage, Init, NotUnderstood, Text, decode
from tests.fuzz.conversing import MAX_CHARS, Conversation, begin
from tests.fuzz.stepwise import Steps, steps, watched
from tests.fuzz.values import BROKEN, DOCUMENTS, TEXTS, encoded, fields_of, good_fields_of
from tests.serving import Served, serve_process

pytestmark = pytest.mark.slow

ANY_TALK = settings(max_examples=40, stateful_step_count=25, suppress_health_check=list(HealthCheck))
FEW_TALKS = settings(ANY_TALK, max_examples=6, stateful_step_count=15)
SHORT_CHARS = 30
MAX_SESSIONS = 20
"""More than one of these talks opens at once, and fewer than all of them do: what is left of each makes it full."""

KINDS: list[str] = [msgspec.inspect.type_info(kind).tag for kind in get_args(ClientMessage)]
OF_OTHERS = {"text", "context_id"}
"""Fields that are filled in elsewhere."""

NAMES = st.sampled_from([None, None, "a", "b", "x" * 128])
"""Of contexts. As many as there are here may speak at once."""


def good(kind: type[msgspec.Struct]) -> st.SearchStrategy[dict[str, Any]]:
    """Fields of a message that a server takes."""
    return good_fields_of(kind).map(without_others)


def typed(kind: type[msgspec.Struct]) -> st.SearchStrategy[dict[str, Any]]:
    """Fields of a message that msgspec takes."""
    info = inspect.type_info(kind)
    assert isinstance(info, inspect.StructType)
    return fields_of(info).map(without_others)


def without_others(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in OF_OTHERS | {"type"}}


NEAR = st.builds(
    lambda kind, fields: encoded({**fields, "type": kind}),
    st.sampled_from(KINDS) | DOCUMENTS,
    st.dictionaries(st.sampled_from(sorted(Init.__struct_fields__ + Text.__struct_fields__)), DOCUMENTS, max_size=4),
)
GARBAGE = BROKEN | DOCUMENTS.map(encoded) | NEAR
REFUSED = st.sampled_from(
    [{"voice": "nobody"}, {"voice": {"id": ""}}, {"language": "tlh"}, {"language": ""}, {"sample_rate": 1},
     {"speed": 9}, {"seed": -1}, {"send_rate": -1}, {"encoding": "opus"}, {"aggregate": "page"}, {"default_mode": None}]
)  # fmt: skip


class Server(Protocol):
    """What conversations are held with."""

    steps: Steps
    served: Served

    def check_nothing_is_left(self) -> None: ...


class Elsewhere(msgspec.Struct, frozen=True):
    """A server in a process of its own: it can only be asked."""

    steps: Steps
    served: Served

    def check_nothing_is_left(self) -> None:
        assert httpx.get(f"{self.served.url}/ready").status_code == 200


class AnyTalk(RuleBasedStateMachine):
    """One client of a server, on one socket after the other."""

    def __init__(self, server: Server, *, max_chars: int = MAX_CHARS, rest_s: float = 0.03) -> None:
        super().__init__()
        self.rest_s = rest_s
        self.server = server
        self.max_chars = max_chars

    def run(self, what: Coroutine[Any, Any, Any]) -> Any:
        return self.server.steps.run(what)

    @initialize()
    def connects(self) -> None:
        self.talk: Conversation = self.run(begin(self.server.served, self.rest_s))

    @rule(name=NAMES)
    def turn_to(self, name: str | None) -> None:
        """What follows is for this context."""
        self.talk.name = name

    @rule(fields=good(Init))
    def init(self, fields: dict[str, Any]) -> None:
        self.run(self.talk.init(fields))

    @rule(fields=typed(Init))
    def init_of_any_fields(self, fields: dict[str, Any]) -> None:
        self.run(self.talk.try_init(fields))

    @rule(fields=REFUSED)
    def init_that_is_refused(self, fields: dict[str, Any]) -> None:
        self.run(self.talk.wrong(json.dumps({"type": "init", **fields, "context_id": self.talk.name})))

    @rule(text=TEXTS, fields=good(Text))
    def text(self, text: str, fields: dict[str, Any]) -> None:
        self.run(self.talk.text(text[: self.max_chars], fields))

    @rule(texts=st.lists(TEXTS, max_size=8), fields=good(Text))
    def texts(self, texts: list[str], fields: dict[str, Any]) -> None:
        for text in texts:
            self.run(self.talk.text(text[: self.max_chars], fields))

    @rule(num_chars=st.sampled_from([MAX_CHARS, MAX_CHARS + 1, 3 * MAX_CHARS]), fields=good(Text))
    def long_text(self, num_chars: int, fields: dict[str, Any]) -> None:
        if num_chars > MAX_CHARS or self.max_chars == MAX_CHARS:
            self.run(self.talk.text(("word " * MAX_CHARS)[:num_chars], fields))

    @rule()
    def close(self) -> None:
        self.run(self.talk.close())

    @rule(fields=good(Cancel))
    def cancel(self, fields: dict[str, Any]) -> None:
        self.run(self.talk.cancel(fields))

    @rule()
    def flush(self) -> None:
        self.run(self.talk.send({"type": "flush"}))

    @rule()
    def ping(self) -> None:
        self.run(self.talk.ping())

    @rule(data=GARBAGE, is_text=st.booleans())
    def garbage(self, data: bytes, is_text: bool) -> None:
        """Anything that is not a message: one error, and the socket lives."""
        try:
            decode(data)
        except NotUnderstood:
            self.run(self.talk.wrong(_as_text(data) if is_text else data))
        else:
            assume(False)

    @rule(duration_s=st.sampled_from([0.001, 0.01, 0.05]))
    def listen(self, duration_s: float) -> None:
        self.run(self.talk.listen(duration_s))

    @rule(duration_s=st.sampled_from([0.001, 0.01, 0.05, 0.35]))
    def do_not_listen(self, duration_s: float) -> None:
        self.run(asyncio.sleep(duration_s))

    @rule()
    def settle(self) -> None:
        self.run(self.talk.settle())

    @rule()
    def finish(self) -> None:
        self.run(self.talk.finish())

    @rule(is_sudden=st.booleans())
    def leave_and_come_again(self, is_sudden: bool) -> None:
        name = self.talk.name
        self.leave(is_sudden=is_sudden)
        self.connects()
        self.talk.name = name

    def leave(self, *, is_sudden: bool) -> None:
        if is_sudden:
            self.talk.socket.transport.abort()
        else:
            self.run(self.talk.socket.close())
        self.run(self.talk.socket.wait_closed())
        self.server.check_nothing_is_left()

    def teardown(self) -> None:
        if hasattr(self, "talk"):
            try:
                self.run(self.talk.finish())
            finally:
                self.leave(is_sudden=False)


def _as_text(data: bytes) -> str | bytes:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


@pytest.mark.slow
def test_whatever_is_said_what_must_be_heard_is_heard_and_nothing_is_left() -> None:
    with watched(TtsSettings(send_rate=0, max_line=1000)) as server:
        run_state_machine_as_test(lambda: AnyTalk(server), settings=ANY_TALK)


@pytest.fixture(scope="module")
def real_voice(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Path]]:
    log = tmp_path_factory.mktemp("fuzz") / "log"
    with serve_process(
        log=log, model="hibari", send_rate="0", max_sessions=str(MAX_SESSIONS), max_line="1000"
    ) as served:
        yield served, log


@pytest.mark.slow
def test_a_real_voice_in_a_process_of_its_own_is_heard_so_too(real_voice: tuple[Served, Path]) -> None:
    served, log = real_voice
    with steps() as stepping:
        server = Elsewhere(stepping, served)
        run_state_machine_as_test(lambda: AnyTalk(server, max_chars=SHORT_CHARS, rest_s=0.3), settings=FEW_TALKS)
    assert "Traceback" not in log.read_text()
