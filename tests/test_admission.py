"""Admission: who is let in, whose share is used up, and a door that is closed."""

import pytest

from engines.admission import Admission
from engines.errors import CapacityError, Draining, ShareUsedUp
from engines.llm.engine import TextLimits
from engines.requests import ORIGIN, Origin
from engines.types import Limits
from tests.llm.running import running as running_text
from tests.llm.running import user
from tests.running import running


def test_as_many_are_let_in_as_there_may_be() -> None:
    admission = Admission(2)
    admission.enter("a")
    admission.enter("a")
    with pytest.raises(CapacityError, match="all 2 sessions are in use") as caught:
        admission.enter("b")
    assert type(caught.value) is CapacityError
    admission.leave("a")
    admission.enter("b")
    assert admission.num_inside == 2


def test_a_client_has_its_share_and_no_more_of_it() -> None:
    admission = Admission(3, 2)
    admission.enter("a")
    admission.enter("a")
    with pytest.raises(ShareUsedUp, match="2 sessions open"):
        admission.enter("a")
    admission.check()
    admission.enter("b")
    with pytest.raises(CapacityError, match="all 3"):
        admission.enter("b")


def test_a_share_as_large_as_all_there_is_means_that_the_server_is_full() -> None:
    admission = Admission(1, 1)
    admission.enter("a")
    with pytest.raises(CapacityError) as caught:
        admission.check("a")
    assert caught.value.code == "at_capacity"


def test_behind_a_closed_door_whoever_is_inside_stays() -> None:
    admission = Admission(2)
    admission.enter("a")
    admission.close()
    assert not admission.is_open
    with pytest.raises(Draining):
        admission.enter("b")
    assert admission.num_inside == 1
    admission.leave("a")
    with pytest.raises(Draining):
        admission.check()


async def test_sessions_are_counted_by_the_client_that_they_were_opened_under() -> None:
    async with running(limits=Limits(max_sessions=3, max_client_sessions=1)) as (engine, _):
        token = ORIGIN.set(Origin(client="a"))
        first = engine.open_session()
        with pytest.raises(ShareUsedUp):
            engine.open_session()
        ORIGIN.reset(token)
        other = engine.open_session()
        first.cancel()
        first.cancel()
        ORIGIN.set(Origin(client="a"))
        engine.open_session().cancel()
        other.cancel()
        assert engine.admission.num_inside == 0


async def test_text_sessions_are_counted_by_client_while_they_are_being_opened_too() -> None:
    async with running_text(limits=TextLimits(max_sessions=3, max_client_sessions=1)) as (engine, _):
        ORIGIN.set(Origin(client="a"))
        session = await engine.open_session([user("Hello.")])
        with pytest.raises(ShareUsedUp):
            await engine.open_session([user("Hello.")])
        session.close()
        assert engine.admission.num_inside == 0


async def test_engines_open_nothing_behind_a_closed_door_and_finish_what_they_have() -> None:
    async with running() as (engine, _):
        session = engine.open_session()
        engine.admission.close()
        with pytest.raises(Draining):
            engine.open_session()
        session.push("Hello.")
        session.finish()
        assert [frame.is_segment_end async for frame in session][-1]
    assert engine.admission.num_inside == 0
