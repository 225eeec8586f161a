"""A made-up mesh for the text service: what is sent is written down, and the test says what becomes of it."""

from __future__ import annotations

from typing import Any

from edge.errors import Unavailable

LINK = "lora"


class Sent:
    """One text that the service handed over."""

    def __init__(self, token: int, to: bytes | None, channel: str, text: str, hop_limit: int, lane: int,
                 alert: bool) -> None:
        self.token = token
        self.to = to
        self.channel = channel
        self.text = text
        self.hop_limit = hop_limit
        self.lane = lane
        self.alert = alert
        self.state = "queued"


class Air:
    """A RadioPort with one link."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []
        self.room = True
        self.gone = False
        self.ms = 1000  # of each part

    def send_text(self, link: str, to: bytes | None, channel: str, text: str, *, hop_limit: int = 3, lane: int = 1,
                  alert: bool = False) -> int:
        assert 1 <= len(text.encode()) <= 200, text
        self._check(link)
        if not self.room:
            return 0
        self.sent.append(Sent(len(self.sent) + 1, to, channel, text, hop_limit, lane, alert))
        return len(self.sent)

    def text_ms(self, link: str, n_bytes: int) -> int:
        return self.ms

    def text_fate(self, link: str, token: int) -> tuple[str, str]:
        self._check(link)
        return self.sent[token - 1].state, ""

    def cancel_text(self, link: str, token: int) -> None:
        self.sent[token - 1].state = "cancelled"

    def text_links(self) -> list[str]:
        return [] if self.gone else [LINK]

    def radios(self) -> list[dict[str, Any]]:
        return []

    def in_reach(self) -> list[dict[str, Any]]:
        return []

    def fates(self, key: bytes) -> list[dict[str, str]]:
        return []

    @property
    def texts(self) -> list[str]:
        """What was said so far."""
        return [one.text for one in self.sent]

    def _check(self, link: str) -> None:
        if link != LINK or self.gone:
            raise Unavailable(f"no link {link}")
