"""Which receivers of webhooks the mock may call, at which address, and the call itself.

Whoever can reach the mock names the receiver, so the mock must not become a way into the network behind it: it calls
loopback, and beyond that what its owner lists. Here live no event, no signature and no retry.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx2

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

LOCALHOST: tuple[Address, ...] = (ipaddress.IPv4Address("127.0.0.1"), ipaddress.IPv6Address("::1"))
"""Where `localhost` is, whatever a resolver says."""
INTERNAL: tuple[Network, ...] = (
    ipaddress.IPv4Network("192.0.0.0/24"),  # of protocols, and of one cloud's metadata
    ipaddress.IPv4Network("168.63.129.16"),  # looks public, yet is what another cloud's machines ask about themselves
    ipaddress.IPv6Network("2002::/16"),  # 6to4: carries any IPv4 address
    ipaddress.IPv6Network("fec0::/10"),  # site-local, as it was before fc00::/7
)
"""What not every Python that we run on knows as closed to the open Internet."""

# No two readers of such a URL can take it for different places: there is no user, no backslash, no fragment, no percent
# sign in the host, nothing beyond ASCII. It is a sieve alone: httpx2 parses what passes, and what it parsed is called.
PLAIN_URL = re.compile(
    r"https?://(?:\[[0-9a-f:.]+\]|[0-9a-z._-]+)(?::[0-9]{1,5})?(?:[/?](?:(?![#\\])[!-~])*)?", re.ASCII | re.IGNORECASE
)
_LABEL = r"[0-9a-z_](?:[0-9a-z_-]{0,61}[0-9a-z_])?"
# A name that ends in a number is what resolvers read as an address in one of its older spellings: 127.1, 0x7f000001.
NAME = re.compile(rf"(?:{_LABEL}\.)*(?!(?:[0-9]+|0x[0-9a-f]*)\.?\Z){_LABEL}\.?", re.ASCII | re.IGNORECASE)


class RefusedReceiver(Exception):  # noqa: N818 - a finding about a URL, not an error of ours
    """The receiver may not be called. The message says why, and holds no part of the URL, which may be a secret."""


@dataclass(frozen=True)
class Receivers:
    """Loopback, and what is listed besides. Raises ValueError for an entry that is no name, address or network."""

    allowed: tuple[str, ...] = ()
    """Host names, addresses, CIDR networks. A listed name is good for loopback and public addresses only: a private,
    link-local or reserved one is called if it is itself listed."""

    def __post_init__(self) -> None:
        _ = self._entries  # nonsense is told at once, not with the first webhook

    @cached_property
    def _entries(self) -> frozenset[str | Network]:
        return frozenset(_entry(text) for text in self.allowed)

    def refusal(self, url: str) -> str | None:
        """Why this URL may not be called, without its text; None if it may, or a look-up of its name has to tell."""
        try:
            self._known(url)
        except RefusedReceiver as refused:
            return str(refused)
        return None

    async def post(
        self, url: str, body: bytes, headers: Mapping[str, str], timeout_s: float, method: str = "POST"
    ) -> int | None:
        """One POST over a connection of its own, to an address that was checked. Proxies, redirects and cookies do not
        exist at this level. A fault may have another `method`.

        The status of the answer, whose body is left unread; None where none came in time, or its certificate is not
        one for this host. Raises RefusedReceiver before any connection.
        """
        import httpx2

        target, addresses = self._known(url)
        name = target.raw_host.decode().removesuffix(".")
        headers = {**headers, "Host": target.netloc.decode(), "Connection": "close"}
        # A TLS context takes 30 ms of everybody's time, so it is built for https alone.
        is_https = target.scheme == "https"
        with suppress(httpx2.HTTPError, OSError):  # OSError is also TimeoutError, gaierror and SSLError
            async with (
                asyncio.timeout(timeout_s),
                httpx2.AsyncHTTPTransport(verify=is_https, trust_env=False) as transport,
            ):
                for address in addresses or await self._resolved(name):
                    pinned = target.copy_with(host=str(address))
                    request = httpx2.Request(
                        method, pinned, headers=headers, content=body, extensions={"sni_hostname": name}
                    )
                    # Nothing was sent where there is no connection, so the next address is no second delivery.
                    with suppress(httpx2.ConnectError):
                        response = await transport.handle_async_request(request)
                        await response.aclose()
                        return response.status_code
        return None

    def _known(self, url: str) -> tuple[httpx2.URL, tuple[Address, ...]]:
        """The parsed URL, and the addresses of its host; none where a look-up has to tell. Raises RefusedReceiver."""
        parsed = _parsed(url)
        host = parsed.raw_host.decode()
        name = host.removesuffix(".")
        if name == "localhost":
            return parsed, LOCALHOST
        try:
            address = _address(host)
        except ValueError:
            if name in self._entries:
                return parsed, ()
        else:
            if address.is_loopback or self._lists(address):
                return parsed, (address,)
        raise RefusedReceiver("its host is not on loopback, nor allowed with --webhook-host")

    async def _resolved(self, name: str) -> Iterable[Address]:
        """The addresses of a listed name, each of them checked. Raises OSError, RefusedReceiver."""
        found = await asyncio.get_running_loop().getaddrinfo(name, None, type=socket.SOCK_STREAM)
        addresses = [_address(str(socket_address[0])) for *_, socket_address in found]
        if all(each.is_loopback or _is_public(each) or self._lists(each) for each in addresses):
            return addresses
        raise RefusedReceiver("its name leads to an internal address, which is not allowed with --webhook-host")

    def _lists(self, address: Address) -> bool:
        return any(address in each for each in self._entries if not isinstance(each, str))


def _parsed(url: str) -> httpx2.URL:
    """Raises RefusedReceiver for whatever is not of the one plain form."""
    import httpx2

    with suppress(httpx2.InvalidURL):  # such as 256.0.0.1 or [::1::], or more than 64 KiB
        if PLAIN_URL.fullmatch(url):
            parsed = httpx2.URL(url)
            if parsed.port is None or 1 <= parsed.port <= 65535:
                return parsed
    raise RefusedReceiver("its URL is not of the plain form http(s)://host:port/path?query, in ASCII")


def _entry(text: str) -> str | Network:
    """A name as it is compared, or a network; an address is a network of one. Raises ValueError."""
    with suppress(ValueError):
        network = ipaddress.ip_network(text)
        # Addresses are compared in their IPv4 form and without a zone, so these would never be met.
        if "%" not in text and getattr(network.network_address, "ipv4_mapped", None) is None:
            return network
    if NAME.fullmatch(text) and len(text) <= 253:
        return text.lower().removesuffix(".")
    raise ValueError(
        f"webhook host {text!r} is no host name (hook.example, without scheme or port), no address (10.0.0.5) and no "
        "network (10.0.0.0/8, no bit set beyond its prefix)"
    )


def _address(text: str) -> Address:
    """Of an IPv6 address that only carries an IPv4 one (::ffff:127.0.0.1), the IPv4 one. Raises ValueError."""
    address = ipaddress.ip_address(text)
    return getattr(address, "ipv4_mapped", None) or address


def _is_public(address: Address) -> bool:
    closed = address.is_multicast or address.is_reserved or any(address in each for each in INTERNAL)
    return address.is_global and not closed
