"""The rules of a server's gate, of its settings; and what its operator should know about them."""

import logging
import resource
from typing import Final, Protocol

from app.client_names import ClientNames, networks
from app.gate import Rules
from app.keys import WEAK_CHARS, ApiKeys, KeysError, read_keys
from app.origins import Origins, is_loopback
from app.settings import SettingsError
from engines.admission import Admission

OTHER_FILES: Final = 64
"""That a server has open beside its clients' sockets."""

logger = logging.getLogger("tiding.app")


class AccessSettings(Protocol):
    """The settings of either server, as far as they say who may ask."""

    @property
    def host(self) -> str: ...
    @property
    def api_keys(self) -> tuple[str, ...]: ...
    @property
    def origins(self) -> tuple[str, ...]: ...
    @property
    def trusted_proxies(self) -> tuple[str, ...]: ...
    @property
    def max_sockets(self) -> int: ...
    @property
    def max_client_sockets(self) -> int: ...


def rules_of(settings: AccessSettings, speech_port: int) -> Rules:
    """Who may ask, as the settings have it. What is dangerous is warned of.

    Raises:
        SettingsError: a file of keys cannot be read, or a proxy is no address.
    """
    try:
        keys = ApiKeys(read_keys(settings.api_keys))
    except KeysError as error:
        raise SettingsError(f"TIDING_API_KEYS: {error}") from None
    try:
        names = ClientNames(networks(settings.trusted_proxies))
    except ValueError as error:
        raise SettingsError(f"TIDING_TRUSTED_PROXIES: {error}") from None
    _warn(settings.host, keys)
    _warn_of_files(settings.max_sockets)
    sockets = Admission(settings.max_sockets, settings.max_client_sockets, noun="sockets")
    origins = Origins(settings.origins, speech_port, is_private=not keys and is_loopback(settings.host))
    return Rules(keys, origins, names, sockets)


def _warn(host: str, keys: ApiKeys) -> None:
    if not keys and not is_loopback(host):
        logger.warning(
            "anybody who reaches %s may use this server: set TIDING_API_KEYS, or keep them out otherwise", host
        )
    if keys.has_weak:
        logger.warning("an API key is shorter than %d characters, and can be guessed", WEAK_CHARS)


def _warn_of_files(max_sockets: int) -> None:
    """Where no more files may be opened, nobody can connect, and the server's accepting thread never rests."""
    _, max_files = resource.getrlimit(resource.RLIMIT_NOFILE)  # Granian raises the other one to this
    if max_files != resource.RLIM_INFINITY and max_files < max_sockets + OTHER_FILES:
        logger.warning(
            "this process may open %d files, and %d sockets are let in: allow it more (ulimit -Hn, LimitNOFILE), or "
            "let in fewer (TIDING_MAX_SOCKETS, TIDING_LLM_MAX_SOCKETS)",
            max_files,
            max_sockets,
        )
