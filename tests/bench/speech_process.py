"""A process of its own for a part of the benchmark, so that no part's computing delays another's clock."""

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context


@contextmanager
def own_process() -> Iterator[ProcessPoolExecutor]:
    """One fresh interpreter that does what is submitted, one thing after the other, until the block ends."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        yield pool
