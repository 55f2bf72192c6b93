"""What ends a command with a sentence instead of a traceback."""

from typing import IO, Any, Final

import click

INTERRUPTED: Final = 130
"""The exit status after ^C. Source: POSIX shells, 128 and the number of the signal."""


class Failure(click.ClickException):
    """A command cannot do what it was asked. The message is for whoever typed it."""

    exit_code = 1

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(f"tiding: {self.message}", file=file, err=file is None)


class Misuse(Failure):
    """A setting is not as it has to be. The status is that of click's own usage errors."""

    exit_code = 2


def warn(message: str) -> None:
    """Say on stderr what does not end the command."""
    click.echo(f"tiding: {message}", err=True)
