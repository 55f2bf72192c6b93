"""Files that are held to a SHA-256: weights that were changed on their way are not opened."""

import hashlib
import logging
import time
from pathlib import Path

from engines.errors import UnusableModel

logger = logging.getLogger("tiding.engine")


class WrongDigest(UnusableModel):
    """A file is not the one that is pinned."""


def require_digest(path: Path, sha256: str, setting: str) -> None:
    """Read the whole file, piece by piece, and return if it has the digest that `setting` pins. Empty: nothing is
    pinned, and nothing read.

    Raises:
        WrongDigest: it has another.
        OSError: it cannot be read.
    """
    if not sha256:
        return
    logger.info("comparing %s with its SHA-256", path.name)
    started_s = time.monotonic()
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256.lower():
        raise WrongDigest(f"{path}: expected the SHA-256 {sha256.lower()}, as {setting} pins it; its own is {found}")
    logger.info("%s is the file that is pinned: %.1f s", path.name, time.monotonic() - started_s)
