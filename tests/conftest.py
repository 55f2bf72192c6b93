"""What all tests share: coroutine tests, and servers that live as long as the run."""

import asyncio
import inspect
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import httpx
import hypothesis
import pytest

from tests.contract import Contract
from tests.launching import Launch, launching
from tests.serving import Served, serve_process

TEST_TIMEOUT_S = 60.0

NEEDED = {"magpie": ("torch", "nemo"), "clients": ("pipecat", "livekit")}
"""What is tested where it is installed: `just test-magpie`, `just test-clients`."""

# The same examples on every machine (others: `--hypothesis-profile others`), however long a busy one takes for each.
hypothesis.settings.register_profile("tests", derandomize=True, deadline=None)
hypothesis.settings.register_profile("others", deadline=None)
hypothesis.settings.load_profile("tests")

collect_ignore = [folder for folder, modules in NEEDED.items() if not all(map(find_spec, modules))]


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """An `async def` test runs on a loop of its own, and not for ever."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in inspect.signature(pyfuncitem.obj).parameters}

    async def bounded() -> None:
        async with asyncio.timeout(TEST_TIMEOUT_S):
            await pyfuncitem.obj(**arguments)

    asyncio.run(bounded())
    return True


@pytest.fixture(scope="session")
def fake_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve_process(log=tmp_path_factory.mktemp("fake") / "log", model="fake") as served:
        yield served


@pytest.fixture(scope="session")
def hibari_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve_process(log=tmp_path_factory.mktemp("hibari") / "log", model="hibari") as served:
        yield served


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Launch]:
    """Starts servers as commands do, and ends them with the test."""
    with launching(tmp_path) as launch:
        yield launch


@pytest.fixture(params=["fake", pytest.param("hibari", marks=pytest.mark.slow)])
def server(request: pytest.FixtureRequest) -> Served:
    """Each model in turn: the protocol is the same whoever speaks."""
    return request.getfixturevalue(f"{request.param}_server")


@pytest.fixture(scope="session")
def clients() -> Iterator[Callable[[Served], httpx.Client]]:
    """Clients that hold every response to the contract, one a server."""
    with ExitStack() as stack:

        @cache
        def client_of(served: Served) -> httpx.Client:
            client = stack.enter_context(httpx.Client(base_url=served.url, timeout=30))
            contract = Contract(client.get("/schema/openapi.json").json())
            client.event_hooks = {"response": [contract.check]}
            return client

        yield client_of


@pytest.fixture
def client(server: Served, clients: Callable[[Served], httpx.Client]) -> httpx.Client:
    return clients(server)


@pytest.fixture
def fake_client(fake_server: Served, clients: Callable[[Served], httpx.Client]) -> httpx.Client:
    """For the fake alone, where its tones are what a test looks at."""
    return clients(fake_server)
