"""What siblings inside `edge` know of each other: protocols only, no code, for the type checker. Nothing loads it.

Store, bus, services, console and web never import each other; they are handed objects of these shapes by
`edge.node` and `tools`. Values on the bus are what `edge.core.cbor` carries: None, bool, int, str, bytes, list and
dict with text keys. No floats.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Protocol

from edge.caller import LOCAL, Caller
from edge.core.message import Message

Handler = Callable[[Caller, dict[str, Any]], Any]  # coroutine function, or async generator function when streaming


class BusPort(Protocol):
    """A bus as its users see it. `capability` is "name@major" or "name@major.minor"."""

    def provide(self, name: str, version: str, handler: Handler, *, trust: int, summary: str, needs: str = "") -> None:
        """Offer a capability. An async generator function streams. needs: "internet" where it can't do without."""

    def withdraw(self, name: str, version: str) -> None:
        """Offer it no longer; calls that run go on."""

    async def call(self, capability: str, params: dict[str, Any] | None = None, *, caller: Caller = LOCAL,
                   to: bytes | None = None, deadline_ms: int = 10000) -> Any:
        """Call it here (to None and provided here), else on a healthy neighbour that offers it, or on `to`.

        Raises the BusError subclass that came back. A streaming capability gives the list of its items.
        """

    def stream(self, capability: str, params: dict[str, Any] | None = None, *, caller: Caller = LOCAL,
               to: bytes | None = None, deadline_ms: int = 10000) -> AsyncIterator[Any]:
        """The same, item by item."""

    def offered(self, name: str, to: bytes | None = None) -> list[str]:
        """The versions of a capability that the node `to` offers, newest first; None: this node and all near it."""

    def publish(self, topic: str, value: dict[str, Any]) -> None:
        """Tell local subscribers (page, console) that something changed. Never blocks; slow ones lose the oldest."""

    def subscribe(self, *topics: str) -> Subscription:
        """Follow topics; all when none is named."""


class Subscription(Protocol):
    """An async iterator of (topic, value) with `close`."""

    def __aiter__(self) -> AsyncIterator[tuple[str, dict[str, Any]]]: ...

    def close(self) -> None: ...


class NodePort(Protocol):
    """What services may ask of the running node."""

    name: str
    key: bytes

    @property
    def aired(self) -> RadioPort:
        """The radios."""

    def post(self, type: int, lane: int, ttl_s: int, dest: bytes | None, body: Any) -> Awaitable[bytes]:
        """Author one message. Gives its 16-byte id once it is committed; CapacityExceeded where the store is full."""

    def watch(self, type: int, told: Callable[[Message], None]) -> None:
        """Have each message of a type told once it is committed and new here; `told` must not block."""

    def command(self, name: str, *arguments: Any) -> None:
        """A command to the core (edge/core/effects.py)."""

    def import_frame(self, frame: bytes) -> Awaitable[dict[str, Any]]:
        """Take one MESSAGES frame of a courier file: {"new", "known", "refused": {reason: n}}."""

    def peers(self) -> list[dict[str, Any]]:
        """Neighbours now: {"node": hex key, "name", "link", "address", "since_ms", "member": bool, ...}."""

    def status(self) -> dict[str, Any]:
        """Facts for node.status: texts, integers, nested dicts."""


class RadioPort(Protocol):
    """What services may see of the radios, and do with them. What happens there comes as topics: "on_air" {link, token,
    state, detail, key where it is a message}, "heard" (a frame), "text" (of a person), "echo" (the answer to a probe),
    "seen" (a node on a link with connections: {link, node, what, rssi_dbm}).
    """

    def radios(self) -> list[dict[str, Any]]:
        """{"link", "facts": what its driver says, "waiting": [{"number", "lane", "bytes", "what", "kind": a frame's
        first byte, "state", "detail"}], "nodes": see there} of each radio link: what waits and what went last, oldest
        first."""

    def nodes(self, link: str) -> list[dict[str, Any]]:
        """The nodes whose beacons are heard there, the one heard longest ago first: {"node": hex of the 8 bytes that
        stand for it, "heard_s", "rssi_dbm" or None, "verified", and what it says of itself: "condition", "battery",
        "queue"}."""

    def in_reach(self) -> list[dict[str, Any]]:
        """Nodes that are heard by radio and by no other link, as NodePort.peers has them; "node" is the key where it is
        known, else hex of the 8 bytes that stand for it. Their beacons were good: they are of this community."""

    def fates(self, key: bytes) -> list[dict[str, str]]:
        """{"link", "state", "detail"} for each radio that the message with this 16-byte key went to lately."""

    def probe(self, link: str, nonce: bytes, n: int) -> int:
        """Send probe n (0..255) of a test (nonce: 4 bytes); its number for "on_air". Raises Unavailable,
        CapacityExceeded."""

    def send_text(self, link: str, to: bytes | None, channel: str, text: str, *, hop_limit: int = 3, lane: int = 1,
                  alert: bool = False) -> int:
        """Queue a text for one radio (4 bytes), or a channel by its name (to None), on a link that carries texts.

        What becomes of the number that it gives, comes as topic "on_air"; 0: no room now. Raises Unavailable for a link
        that can't, BadRequest for what it can't carry. alert: on the alert port, at lane 0.
        """

    def text_links(self) -> list[str]:
        """The links that carry texts of people. What is said there comes as topic "text" {link, from, to_us, channel,
        text, hops, alert, ...}; who is near as "radio" {link, radio, name, short, hops}, once a minute at most."""

    def text_ms(self, link: str, n_bytes: int) -> int:
        """How long a text of `n_bytes` is on the air there, in ms; 0: not known yet. Raises Unavailable."""

    def text_fate(self, link: str, token: int) -> tuple[str, str]:
        """(state, detail) of a text; two times "" when that was too long ago. Raises Unavailable."""

    def cancel_text(self, link: str, token: int) -> None:
        """Take it back, if it still waits. Raises Unavailable."""


class HintsPort(Protocol):
    """Triage as services see it; the shell does it in the store's thread."""

    def judge(self, text: str) -> Awaitable[dict[str, Any] | None]:
        """{"labels": [...], "why": {label: [[source, words], ...]}} of a text, None: no label. Raises Unavailable."""

    def mark(self, id: bytes, mark: dict[str, Any] | None) -> Awaitable[bool]:
        """Keep what a person says of a message, None to take it back; False where it is not held."""


class LibraryPort(Protocol):
    """The knowledge packs of this node."""

    def search(self, question: str, limit: int, pack: str | None = None) -> Awaitable[dict[str, Any]]:
        """{"passages": [{"id", "pack", "doc", "source", "title", "heading", "text", "marks": [[from, to]], "score"}],
        "good": bool}, the best first; good: whether the first is worth showing as an answer."""

    def vectors(self, ids: list[int]) -> Awaitable[dict[str, Any]]:
        """{"model": whose vectors they are, "" for none, "vectors": {id: int8 components}} of those that have one."""

    def packs(self) -> Awaitable[list[dict[str, Any]]]:
        """{"name", "version", "title", "language", "licence", "key", "digest", "passages", ...} of each."""


class BudgetPort(Protocol):
    """Tokens of a paid model, counted by day. Closed on error."""

    def take(self, tokens: int, limit: int) -> Awaitable[int | None]:
        """Reserve tokens of today's limit; gives the day, None where they may not be spent."""

    def give_back(self, day: int, tokens: int) -> Awaitable[None]:
        """What was reserved on a day and not used."""


class StorePort(Protocol):
    """What services may read. Every row is a dict as edge.store.rows gives it."""

    def list_messages(self, *, type: int | None = None, lane: int | None = None, dest: bytes | None = None,
                      author: bytes | None = None, search: str | None = None, limit: int = 100,
                      before_hlc: int | None = None, now_s: int) -> list[dict[str, Any]]:
        """Unexpired messages, newest first: id, author, seq, hlc, time_ms, expires_s, lane, type, dest, data, conflict,
        hint (None or {"found": what triage found or None, "mark": what a person said or None})."""

    def fetch(self, keys: list[bytes]) -> list[bytes]:
        """The whole messages under these 16-byte keys, in their order; missing ones are left out."""

    def kept(self, key: str) -> int | None:
        """A small number that outlives a reboot, or None."""

    def keep(self, key: str, value: int) -> None:
        """Remember it: written with the next commit."""

    def receipts(self, ids: list[bytes]) -> dict[bytes, list[bytes]]:
        """For each of our ids, the keys that have receipted it."""

    def stats(self) -> dict[str, Any]:
        """Counts and bytes by lane, refusals, conflicts, file size."""


class AlertsPort(Protocol):
    """What the emergency machine asks of whoever keeps alerts, neighbours' reports and halts. Nothing here waits.

    It asks every few seconds, and at once when the topic "alerts" is published (with any value).
    """

    def standing(self) -> list[tuple[bytes, int, int, int]]:
        """Official alerts for this node's place that are not cancelled: (id, level, sent_s, expires_s); level 1: be
        watchful, 2: an emergency. Whether one has expired is judged by whoever asks (edge/core/standing.py)."""

    def reports(self) -> list[tuple[bytes, int, int]]:
        """What neighbours report now, the newest of each author: (author's key, trust UNKNOWN..ANCHOR, level); level 0:
        the author says that there is nothing."""

    def halted(self) -> tuple[list[str], str]:
        """What the community has halted on its nodes, "models", "relay" or both, and why in words; ([], "") while it
        has not."""


class EmergencyPort(Protocol):
    """The emergency machine as services and the body of the box see it. via: "console", "page" or "button"."""

    readings: list[tuple[int, str, str]]  # (ms, input, value): the last ones, oldest first

    def put(self, name: str, value: str) -> None:
        """A reading by its words, as edge/core/conditions.py names them."""

    def declare(self, level: str, via: str) -> None:
        """A person says how things are: "none" (it is over), "watch" or "emergency"."""

    def stop(self, via: str) -> None:
        """A person stops all but alerts, beacons, the console and direct messages."""

    def resume(self, via: str) -> None:
        """A person lets it go on."""

    def status(self) -> dict[str, Any]:
        """States, reasons, policy, history, readings (docs/EMERGENCY.md)."""
