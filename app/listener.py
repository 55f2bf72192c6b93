"""The socket that a worker listens on. What is set on it holds for each connection that it accepts.

A client that reads nothing would keep what it holds for ever: TCP goes on to ask it whether there is room, and it goes
on to say that there is none. And of a client that went without a word nothing is heard again. The system can tell both,
below whatever the server keeps in buffers of its own.
"""

import math
import socket
from collections.abc import Callable
from typing import Any, Final

from granian.net import SocketHolder, SocketSpec  # pyright: ignore[reportPrivateImportUsage]

ASK_AFTER_S: Final = 60
ASK_EVERY_S: Final = 15
MAX_ASKS: Final = 4
"""A connection on which nothing has been heard for so long is asked whether it is still there, and so many times."""


def give_up_after(holder: SocketHolder, send_timeout_s: float) -> None:
    """End connections whose client has taken nothing of what it was sent for `send_timeout_s` (0: never), or has gone.
    The first of the two where the system can: Linux.
    """
    options = {
        "TCP_KEEPIDLE": ASK_AFTER_S,
        "TCP_KEEPINTVL": ASK_EVERY_S,
        "TCP_KEEPCNT": MAX_ASKS,
        "TCP_USER_TIMEOUT": math.ceil(1000 * send_timeout_s),
    }
    listener = socket.socket(fileno=holder.get_fd())
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in options.items():
            if (option := getattr(socket, name, None)) is not None:
                listener.setsockopt(socket.IPPROTO_TCP, option, value)
    finally:
        listener.detach()  # it is the holder's


def serve_on_listener(
    serve: Callable[..., None], send_timeout_s: float, worker: int, name: str | None, load: Callable[[], Any],
    sockets: tuple[tuple[SocketSpec | None, SocketHolder | None], Any], *args: Any,
) -> None:  # fmt: skip
    """What Granian starts a worker with, whose socket has these options. In the worker's process."""
    (spec, holder), shared = sockets
    if holder is None:
        assert spec is not None, "Granian gives a worker one of the two"
        holder = spec.build()
    give_up_after(holder, send_timeout_s)
    serve(worker, name, load, ((None, holder), shared), *args)
