"""The settings as a running node has them, read and checked already (edge/config.py does that).

It knows no setting by name but the community key; it is all that a resident node needs of its configuration.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

AP_ADDRESS = "10.42.0.1"  # this box in the Wi-Fi that it makes (net.wifi)


class Config:
    """Settings as one flat mapping of dotted names. Secrets are hex text in it; print edge.config.redacted only.

    section("lan") gives the settings under one heading without it, community_key() 32 bytes or None.
    """

    def __init__(self, values: dict[str, Any]) -> None:
        self.values = values

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    def section(self, name: str) -> dict[str, Any]:
        """The settings under one heading, without it: section("lan")["port"]."""
        head = name + "."
        return {full[len(head):]: value for full, value in self.values.items() if full.startswith(head)}

    def community_key(self) -> bytes | None:
        """The 32-byte community key, or None on an open node."""
        return bytes.fromhex(str(self.values["community.key"])) or None


def split_address(text: str, default_port: int) -> tuple[str, int] | None:
    """(host, port) of "HOST", "HOST:PORT" or "[IPV6]:PORT"; None when it is none of them."""
    host, port = text, str(default_port)
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            return None
        port = rest[1:] if rest else port
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    if not host or any(one.isspace() for one in host) or not (port.isascii() and port.isdigit() and len(port) <= 5):
        return None
    return (host, int(port)) if 1 <= int(port) <= 65535 else None
