"""Whom a webhook may reach: nobody inside the house, unless the installation says so.

Without this whoever may add a webhook could have the service knock at its own database, at a
cloud's metadata service, or anywhere behind the hospital's fire wall (SSRF).
"""

import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import SplitResult, urlsplit

from backend.kit.errors import Unprocessable
from backend.settings import Settings

Address = IPv4Address | IPv6Address
NAT64 = IPv6Network("64:ff9b::/96")
LONGEST = 2000
PORTS = {"http": 80, "https": 443}


class UrlRefused(Unprocessable):
    code, title = "webhook_url_refused", "No webhook may go to this address"


def parse(url: str, settings: Settings) -> SplitResult:
    """Return the parts of a URL that may be a webhook's; raise UrlRefused with the reason."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise UrlRefused("This is no URL.") from None
    if len(url) > LONGEST or not url.isascii() or any(c <= " " or c == "\x7f" for c in url):
        raise UrlRefused(f"A URL has at most {LONGEST} characters, ASCII without spaces.")
    if parts.scheme not in PORTS or not parts.hostname or port == 0:
        raise UrlRefused("A webhook's URL begins with https:// and names a host.")
    if parts.username is not None or parts.password is not None:
        raise UrlRefused("A URL with a user name or a password in it is not taken.")
    literal = as_address(parts.hostname)
    if literal is not None:
        require(literal, parts.scheme, settings)
    return parts


def as_address(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def resolved(parts: SplitResult, settings: Settings) -> Address:
    """Return the address to connect to: asked for now, and held to for this delivery.

    Raise UrlRefused if the name leads to any address that none may go to, OSError if to nothing.
    """
    host = parts.hostname or ""
    port = parts.port or PORTS[parts.scheme]
    entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    found: Sequence[Address] = [ip_address(entry[4][0]) for entry in entries]
    for address in found:
        require(address, parts.scheme, settings)
    return found[0]


def require(address: Address, scheme: str, settings: Settings) -> None:
    """Raise UrlRefused unless the address is public and asked by https, or allowed here."""
    if any(address in network for network in settings.networks_of_webhooks):
        return
    innermost = inside(address)
    # the last: private addresses of IPv6 as they once were, which Python takes for public ones
    if (
        not innermost.is_global
        or innermost.is_multicast
        or innermost.is_reserved
        or getattr(innermost, "is_site_local", False)
    ):
        raise UrlRefused(
            "This address is not a public one. MEMBRANA_WEBHOOK_NETWORKS says which addresses "
            "inside the house webhooks may go to."
        )
    if scheme != "https":
        raise UrlRefused("Outside the house webhooks go by https:// only.")


def inside(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 one stands for, if it does."""
    if isinstance(address, IPv4Address):
        return address
    if address in NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo or [address])[-1]
