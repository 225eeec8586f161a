"""Addresses: as a person writes them, as the socket module wants them, and as a peer handle of the datagram link.

Pure, no look-up of names. A handle is 22 bytes: the address as IPv6 16 | port 2 | scope 4, big-endian; IPv4 is mapped.
"""

from __future__ import annotations

import socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Address = tuple[Any, ...]

_MAPPED = "::ffff:"


def parse(text: str, default_port: int) -> tuple[str, int]:
    """(host, port) of "host", "host:port", "1.2.3.4:7373", "[fe80::1%eth0]:7373" or "fe80::1%eth0".

    Raises ValueError with what is wrong and what would be right.
    """
    text = text.strip()
    if text.startswith("["):
        host, closed, rest = text[1:].partition("]")
        if not closed or (rest and not rest.startswith(":")):
            raise ValueError(f"{text!r}: write an IPv6 address as [fe80::1%eth0]:{default_port}")
        port = rest[1:]
    elif text.count(":") > 1:
        host, port = text, ""
    else:
        host, _, port = text.partition(":")
    if not host or " " in host:
        raise ValueError(f"{text!r}: write host or host:port, such as 192.168.1.7:{default_port}")
    if not port:
        return host, default_port
    if not port.isascii() or not port.isdigit() or not 1 <= int(port) <= 65535:
        raise ValueError(f"{text!r}: the port must be 1..65535")
    return host, int(port)


def plain(address: Address) -> Address:
    """The same without IPv4 in IPv6 clothes; (host, port) or (host, port, flow, scope)."""
    host = address[0]
    if host.startswith(_MAPPED) and "." in host:
        return (host[len(_MAPPED):], address[1])
    return tuple(address)


def text(address: Address) -> str:
    """As a person reads it: 192.168.1.7:7373, [fe80::1%eth0]:7373."""
    address = plain(address)
    host, port = address[0], address[1]
    if ":" not in host:
        return f"{host}:{port}"
    scope = address[3] if len(address) > 3 else 0
    if scope and "%" not in host:
        try:
            host += "%" + socket.if_indextoname(scope)
        except OSError:
            host += f"%{scope}"
    return f"[{host}]:{port}"


def with_port(address: Address, port: int) -> Address:
    """The same host, another port."""
    address = plain(address)
    return (address[0], port, *address[2:])


def handle(address: Address) -> bytes:
    """The 22-byte peer handle of a datagram's source."""
    host = address[0].partition("%")[0]
    if ":" not in host:
        packed = bytes(10) + b"\xff\xff" + socket.inet_aton(host)
    else:
        packed = socket.inet_pton(socket.AF_INET6, host)
    scope = address[3] if len(address) > 3 else 0
    return packed + int(address[1]).to_bytes(2, "big") + int(scope).to_bytes(4, "big")


def is_local(address: Address) -> bool:
    """Whether this is an address of the loopback interface."""
    host = plain(address)[0]
    return bool(host.startswith("127.") or host == "::1")
