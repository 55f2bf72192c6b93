"""What a client raises.

ClientError
  Disconnected   the connection: it cannot be made, or has broken off
  Refused        the server: it does not do what it was asked, and says why
"""


class ClientError(Exception):
    """Any of these."""


class Disconnected(ClientError, ConnectionError):
    """The server cannot be reached, or was lost. What it was doing has ended; asking again connects again."""


class Refused(ClientError):
    """The server's own words, with the `code` that its reference lists; of a handshake, `http_` and the status."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code
