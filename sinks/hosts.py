"""Which `Host` headers are answered, against DNS rebinding: a page of another site must not read the figures.

Source: RFC 9110, 7.2 (Host) and 15.5.20 (421 Misdirected Request).
"""

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

LOOPBACK: Final = "127.0.0.1"
# A name, an IPv4 address, or an IPv6 address in brackets; then an optional port.
_HOST: Final = re.compile(r"(?:\[(?P<ipv6>[0-9a-f:.]+)\]|(?P<name>[^\[\]:/@?#\s]+))(?::[0-9]{0,5})?", re.IGNORECASE)
_NAME: Final = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")
_REFUSED: Final = (
    "this server does not answer for that host: use 127.0.0.1 or localhost, or start it with --allow-host NAME\n"
)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens on a host.

    >>> [is_loopback(host) for host in ("localhost", "127.0.0.2", "::1", "0.0.0.0", "monitor.example.org")]
    [True, True, True, False, False]
    """
    address = _address(host)
    return host.lower() == "localhost" if address is None else address.is_loopback


class Hosts:
    """The hosts that requests may name: loopback and `names`, with any port.

    A name is a host name or an address without a port (ValueError for anything else). The address of all interfaces
    (0.0.0.0 or ::) allows every address, but no host name: an address in a `Host` header cannot have been rebound.

    >>> hosts = Hosts(["monitor.example.org"])
    >>> [hosts.knows(host) for host in ("localhost:9108", "[::1]", "Monitor.Example.ORG.:443")]
    [True, True, True]
    >>> [hosts.knows(host) for host in ("evil.example", "10.0.0.5", "")]
    [False, False, False]
    >>> [Hosts(["0.0.0.0"]).knows(host) for host in ("10.0.0.5:9108", "evil.example")]
    [True, False]
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._names = set(map(_named, names))
        addresses = [address for name in self._names if (address := _address(name)) is not None]
        self._any_address = any(address.is_unspecified for address in addresses)

    def knows(self, host: str) -> bool:
        """Whether requests with this `Host` header are answered."""
        found = _HOST.fullmatch(host)
        if found is None:
            return False
        name = _plain(found["ipv6"] or found["name"])
        return name in self._names or is_loopback(name) or (self._any_address and _address(name) is not None)

    @web.middleware
    async def admit(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer 421 unless the request names a known host.

        aiohttp itself answers 400 to two `Host` headers, and to HTTP/1.1 without one.
        """
        # A request target that is a whole URL replaces the header; `request.host` is the host in it.
        if not (self.knows(request.headers.get("Host", "")) and self.knows(request.host)):
            raise web.HTTPMisdirectedRequest(text=_REFUSED)
        return await handler(request)


def _named(name: str) -> str:
    """A name from the settings, normalised. Raises ValueError if it is not a host name."""
    plain = _plain(name)
    if _address(plain) is None and not _NAME.fullmatch(plain):
        raise ValueError(f"{name!r} is not a host name; write it without http:// and without a port")
    return plain


def _plain(name: str) -> str:
    """A name in lower case, without brackets and without the final dot of a fully qualified name."""
    name = name.strip().lower()
    name = name[1:-1] if name.startswith("[") and name.endswith("]") else name.removesuffix(".")
    address = _address(name)
    return name if address is None else str(address)


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        found = ip_address(host)
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found
