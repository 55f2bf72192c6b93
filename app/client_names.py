"""Who asks: the name that a client's share is counted under."""

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, Final, TypeAlias

Network: TypeAlias = IPv4Network | IPv6Network

IPV6_PREFIX: Final = 64
"""What one customer has at least. Source: RFC 6177."""


def networks(items: Iterable[str]) -> tuple[Network, ...]:
    """The addresses and networks of a list; `*` is every one.

    Raises:
        ValueError: an item is neither.
    """
    every = ("0.0.0.0/0", "::/0")
    return tuple(ip_network(one, strict=False) for item in items for one in (every if item == "*" else (item,)))


class ClientNames:
    """`proxies` are those whose `X-Forwarded-For` is believed. Nobody else can choose the address that they have."""

    def __init__(self, proxies: Iterable[Network] = ()) -> None:
        self._proxies = tuple(proxies)

    def address_of(self, scope: Any) -> str:
        """The address that a request comes from: of its last hop that is no proxy of ours. Empty: it has none."""
        peer = scope.get("client")
        address = peer[0] if peer else ""
        if not self._proxies or not self._is_proxy(address):
            return _grouped(address)
        for hop in reversed(_hops(scope)):
            address = hop
            if not self._is_proxy(hop):
                break
        return _grouped(address)

    def _is_proxy(self, address: str) -> bool:
        try:
            parsed = ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in self._proxies if network.version == parsed.version)


def _hops(scope: Any) -> list[str]:
    values = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
    return [hop.strip() for value in values for hop in value.split(",") if hop.strip()]


def _grouped(address: str) -> str:
    """An IPv6 client has as many addresses as it likes; what is no address is cut to a length that can be kept."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address[:64]
    if isinstance(parsed, IPv6Address):
        mapped = parsed.ipv4_mapped
        return str(mapped) if mapped else str(IPv6Network((parsed, IPV6_PREFIX), strict=False))
    return address
