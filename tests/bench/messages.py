"""What a message of audio takes of the server's processors, beside other commits: `python -m tests.bench.messages [REF
...] [--asyncio] [--sockets 24] [--rounds 9]`.

All servers run at once, each on its own code with the packages that are installed here, and take turns, so that all
meet the same machine. The voice is the fake one, which costs next to nothing, and nothing is paced: what is left is
what it takes to read a text and to hand on audio that is there. On a GPU that shares Python's lock with the device's
thread. With `--asyncio` this tree is served on asyncio's own event loop as well. Commits before uvloop was asked for by
name run on it too, where it is installed.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from websockets.asyncio.client import connect

from tests.bench.against import tree_of
from tests.bench.speech_meter import usage
from tests.bench.speech_process import own_process
from tests.bench.speech_texts import Texts
from tests.serving import ROOT, Served, serve_process

NUM_TEXTS: Final = 6
INIT: Final = {"type": "init", "sample_rate": 22_050, "send_rate": 0}
HERE: Final = "this tree"
ROOM: Final = {"max_line": "4000", "max_wait_s": "600"}
"""For all of the sockets, with settings that a tree may not have yet."""

PLAIN_LOOP: Final = "from asyncio import new_event_loop"
"""A module in place of uvloop."""


class Cost(msgspec.Struct, frozen=True):
    """Of one round: messages with audio, and processor seconds of all the server's processes."""

    num_messages: int
    cpu_s: float

    @property
    def message_us(self) -> float:
        return 1e6 * self.cpu_s / self.num_messages


def take_turns(servers: Sequence[Served], num_sockets: int, num_rounds: int) -> list[list[float]]:
    """For each server microseconds a message, round by round; a round before the first warms all of them up."""
    texts = Texts(seed=0)
    costs = [list[float]() for _ in servers]
    with own_process() as pool:
        for number in range(1 + num_rounds):
            talks = [[" ".join(texts.sentence()) for _ in range(NUM_TEXTS)] for _ in range(num_sockets)]
            turns = list(zip(servers, costs, strict=True))
            for served, noted in turns if number % 2 else reversed(turns):
                before_s = usage(served.pid).cpu_s
                num_messages = pool.submit(_hear_all, served, talks).result()
                if number:
                    noted.append(Cost(num_messages, usage(served.pid).cpu_s - before_s).message_us)
    return costs


def _hear_all(served: Served, talks: Sequence[Sequence[str]]) -> int:
    async def all_of_them() -> int:
        return sum(await asyncio.gather(*(_hear(served, talk) for talk in talks)))

    return asyncio.run(all_of_them())


async def _hear(served: Served, talk: Sequence[str]) -> int:
    """Messages with audio of one socket that is told all of a talk."""
    num_messages = 0
    async with connect(served.socket_url, max_size=None, compression=None, open_timeout=60) as socket:
        await socket.send(json.dumps(INIT))
        for text in talk:
            await socket.send(json.dumps({"type": "text", "text": text, "mode": "stream", "preset": "aggressive"}))
        await socket.send(json.dumps({"type": "close"}))
        async for message in socket:
            if isinstance(message, bytes):
                num_messages += 1
            elif (news := json.loads(message))["type"] == "done":
                return num_messages
            elif news["type"] == "error":
                raise RuntimeError(news)
    raise RuntimeError("the server closed the socket before the end")


def _room(tree: Path) -> dict[str, str]:
    known = (tree / "app/settings.py").read_text()
    return {name: value for name, value in ROOM.items() if f" {name}:" in known}


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.messages")
    parser.add_argument("refs", nargs="*", metavar="REF", help="a commit, branch or tag")
    parser.add_argument("--asyncio", action="store_true", help="this tree on asyncio's own event loop as well")
    parser.add_argument("--sockets", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args(arguments)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (plain := folder / "plain").mkdir()
        (plain / "uvloop.py").write_text(PLAIN_LOOP)
        trees = {ref: (stack.enter_context(tree_of(ref, folder / ref)), None) for ref in options.refs}
        trees |= {"asyncio": (ROOT, plain)} if options.asyncio else {}
        trees |= {HERE: (ROOT, None)}
        servers = [
            stack.enter_context(
                serve_process(log=folder / f"{number}.log", root=root, path=path, model="fake", **_room(root))
            )
            for number, (root, path) in enumerate(trees.values())
        ]
        costs = np.array(take_turns(servers, options.sockets, options.rounds))
    print(f"processor time a message of audio, {options.sockets} sockets, {options.rounds} rounds in turns")
    for ref, cost in zip(trees, costs, strict=True):
        low, middle, high = np.percentile(cost, [25, 50, 75])
        ratio = np.median(costs[-1] / cost)
        print(f"{ref:12} {middle:6.1f} us ({low:.1f} to {high:.1f})   {HERE}, round by round x {ratio:.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
