"""The options that name a server."""

from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit

import click

_Command = TypeVar("_Command", bound=Callable[..., Any])


def server_options(command: _Command) -> _Command:
    """The command with `--server` and `--api-key`."""
    key = click.option(
        "--api-key", metavar="KEY", callback=_header, help="What the server, or a proxy before it, knows you by."
    )
    server = click.option(
        "--server",
        metavar="URL",
        callback=_address,
        help="Ask a Tiding server, such as http://localhost:8001, instead of speaking in this process.",
    )
    return server(key(command))


def _address(_: click.Context, __: click.Parameter, url: str | None) -> str | None:
    if url is None:
        return None
    try:
        parts = urlsplit(url)
        is_address = url.isascii() and parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, brackets that do not close
        is_address = False
    if not is_address:
        raise click.BadParameter(f"{url!r} is no address of a server: expected one like http://localhost:8001.")
    return url.rstrip("/")


def _header(_: click.Context, __: click.Parameter, key: str | None) -> str | None:
    if key is not None and not (key.isascii() and key.isprintable()):
        raise click.BadParameter("a key has no line ends and no characters beyond ASCII.")
    return key
