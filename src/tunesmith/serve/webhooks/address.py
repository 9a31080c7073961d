"""Which addresses a webhook may lead to: those of the internet, unless the operator says more.

A server that calls addresses that others name can be made to call what only it can reach. So a name
is resolved first, every address that it has must be allowed, and then that very address is called,
not the name, which could mean another one by then.
"""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import urlsplit

from tunesmith.serve.errors import ApiError, bad_request
from tunesmith.serve.settings import Reach

_Address = IPv4Address | IPv6Address
_PRIVATE = tuple(
    ipaddress.ip_network(network)
    for network in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
)
_TUNNELS = tuple(
    ipaddress.ip_network(network) for network in ("2002::/16", "2001::/32", "64:ff9b::/96")
)
"""Addresses of version 6 that stand for any of version 4."""


class Unreachable(Exception):
    """A message cannot be sent to this address; says why, as a finished sentence."""


@dataclass(frozen=True, slots=True)
class Target:
    """A URL, taken apart."""

    secure: bool
    host: str
    port: int
    path: str


def parse(url: str, reach: Reach) -> Target:
    """The URL's parts, if such a one may be called at all. Raises ApiError 400."""
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname
    except ValueError:
        raise _refused("is no URL") from None
    if parts.scheme not in ("https", "http") or not host or not url.isascii():
        raise _refused("is no URL that begins with https:// and a host, in ASCII")
    if any(sign <= " " or sign == "\x7f" for sign in url):
        raise _refused("has spaces or control characters in it")
    if parts.username is not None or parts.fragment:
        raise _refused("has a user or a fragment in it; neither can be used")
    secure = parts.scheme == "https"
    target = Target(secure, host, port or (443 if secure else 80), _path(parts.path, parts.query))
    _require(target, reach)
    return target


def resolve(target: Target, reach: Reach) -> str:
    """The address to be called, all that the host has being allowed. Raises Unreachable."""
    try:
        found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Unreachable(f"The host {target.host} cannot be resolved: {error}.") from error
    addresses = [str(place[0]) for *_, place in found]
    for address in addresses:
        if not _allowed(ipaddress.ip_address(address.partition("%")[0]), target.secure, reach):
            raise Unreachable(
                f"The host {target.host} has an address that this service does not call: it calls "
                "addresses of the internet, by https, unless its operator allows more."
            )
    return addresses[0]


def _require(target: Target, reach: Reach) -> None:
    """What can be said of a URL without asking anyone: an address in it, and http."""
    try:
        allowed = _allowed(ipaddress.ip_address(target.host), target.secure, reach)
    except ValueError:
        allowed = target.secure or reach == "private"
        allowed = allowed or (target.host == "localhost" and reach == "loopback")
    if not allowed:
        raise _refused(
            "leads where this service does not call: it calls addresses of the internet, by https, "
            "unless its operator allows more"
        )


def _allowed(address: _Address, secure: bool, reach: Reach) -> bool:
    """http leaves the machine only into networks that the operator has allowed."""
    address = getattr(address, "ipv4_mapped", None) or address
    if address.is_loopback:
        return reach != "public"
    if any(address in network for network in _PRIVATE):
        return reach == "private"
    if address.is_multicast or any(address in network for network in _TUNNELS):
        return False
    return secure and address.is_global


def _path(path: str, query: str) -> str:
    return (path or "/") + (f"?{query}" if query else "")


def _refused(what: str) -> ApiError:
    return bad_request(f"The URL of the webhook {what}.", param="url", code="invalid_url")
